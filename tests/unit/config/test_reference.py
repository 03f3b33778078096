from __future__ import annotations

import tomllib

import pytest
from pydantic import BaseModel

from gateway.config.model import Cluster, Config, Rule
from gateway.config.reference import markdown

ROWS = [line.split(" | ") for line in markdown().splitlines() if line.startswith("| `")]


def models() -> list[type[BaseModel]]:
    sections = [field.annotation for field in Config.model_fields.values()]
    return [section for section in sections if isinstance(section, type) and issubclass(section, BaseModel)] + [Cluster, Rule]


def test_every_setting_stands_in_the_reference_once() -> None:
    assert sorted(row[0].strip("| `") for row in ROWS) == sorted(key for model in models() for key in model.model_fields)


def test_every_table_has_its_heading() -> None:
    assert [line.split("`")[1] for line in markdown().splitlines() if line.startswith("**")] == [
        "[server]",
        "[store]",
        "[directory]",
        "[second_factor]",
        "[totp]",
        "[radius]",
        "[enrolment]",
        "[sessions]",
        "[tokens]",
        "[throttle]",
        "[slurm]",
        "[clusters.NAME]",
        "[reads]",
        "[views]",
        "[events]",
        "[fairness]",
        "[submissions]",
        "[cors]",
        "[policy]",
        "[[policy.rules]]",
        "[audit]",
        "[log]",
    ]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("| `"))
def test_a_setting_says_what_it_is(row: list[str]) -> None:
    assert len(row[2].strip("| ")) > 10


@pytest.mark.parametrize("row", [row for row in ROWS if row[1].startswith("`")], ids=lambda row: row[0].strip("| `"))
def test_a_default_is_written_as_the_file_would_have_it(row: list[str]) -> None:
    assert tomllib.loads(f"value = {row[1].strip('`')}")["value"] is not None


@pytest.mark.parametrize(
    "line", ['| `idle` | `"1h"`', '| `max_body` | `"50MiB"`', "| `listen` | *required*", "| `trusted_proxies` | `[]`", "| `ca_file` |  |"]
)
def test_the_reference_shows_a_default_of_each_kind(line: str) -> None:
    assert line in markdown()


def test_the_tables_are_sound_markdown() -> None:
    assert all(line.count(" | ") == 2 for line in markdown().splitlines() if line.startswith("| "))
