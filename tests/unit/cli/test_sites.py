from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Desk, Run


def test_the_sites_are_listed_with_the_default_one(run: Run, desk: Desk) -> None:
    desk.signed_in("one")
    desk.signed_in("two", "bob")
    ran = run("sites")
    assert [line.split() for line in ran.out.splitlines()] == [
        ["NAME", "URL", "USER", "DEFAULT"],
        ["one", desk.fake.url, "alice", "no"],
        ["two", desk.fake.url, "bob", "yes"],
    ]


def test_programs_are_told_all_of_it(run: Run, desk: Desk) -> None:
    desk.signed_in("one")
    assert json.loads(run("sites", "list", "--json").out) == {
        "sites": [{"name": "one", "url": desk.fake.url, "user": "alice", "ca": None, "token_in": "file", "default": True}]
    }


def test_another_can_be_made_the_default_one(run: Run, desk: Desk) -> None:
    desk.signed_in("one")
    desk.signed_in("two")
    assert run("sites", "default", "one").code == 0
    assert desk.sites.default() == "one"


def test_one_that_nobody_knows_cannot(run: Run, desk: Desk) -> None:
    desk.signed_in("one")
    ran = run("sites", "default", "two")
    assert (ran.code, ran.err) == (
        1,
        "slurm-gateway: no site is called 'two'; there are: one\nhint: Sign in first: slurm-gateway login --site two URL\n",
    )
    assert desk.sites.default() == "one"


@pytest.mark.usefixtures("home")
def test_nothing_to_list_is_told_so(run: Run) -> None:
    assert run("sites", "--json").out == run("sites", "list", "--json").out
    assert (run("sites").out, run("sites", "list", "--json").out) == ("No sites.\n", '{"sites": []}\n')


def test_a_broken_file_is_one_line_and_a_hint(run: Run, desk: Desk) -> None:
    desk.signed_in("one")
    file = desk.sites.folder / "sites.json"
    file.write_text("{")
    ran = run("sites")
    assert (ran.code, ran.err) == (1, f"slurm-gateway: {file} is no JSON\nhint: rm {file}; then sign in again: slurm-gateway login URL\n")
