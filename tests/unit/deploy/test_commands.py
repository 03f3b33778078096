"""A program that fails leaves one sentence with its name and the reason that it gave."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.site.commands import downloading, environment, run, run_logged
from deploy.site.trouble import Trouble


def test_what_a_program_says_is_returned() -> None:
    assert run(["cat"], stdin="hello") == "hello"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'error: no room' >&2; echo 'hint: make some.' >&2; exit 3", "sh failed with status 3: error: no room"),
        ("echo 'on stdout'; exit 1", "sh failed with status 1: on stdout"),
        ("exit 1", "sh failed with status 1: it said nothing"),
    ],
)
def test_a_failure_is_told_by_its_reason_not_its_hint(script: str, reason: str) -> None:
    with pytest.raises(Trouble) as caught:
        run(["sh", "-c", script])
    assert caught.value.sentence == reason


def test_the_program_is_named_not_the_words_that_put_it_in_its_place() -> None:
    with pytest.raises(Trouble, match=r"^false failed"):
        run(["env", "--", "setpriv", "--inh-caps=-all", "false"])
    with pytest.raises(Trouble, match=r"^false failed"):
        run(["env", "--", "sh", "-c", 'shift; exec "$@"', "sh", "--", "setpriv", "--inh-caps=-all", "false"])


def test_a_program_that_is_not_there_or_never_ends_is_trouble_too() -> None:
    with pytest.raises(Trouble, match="cannot be run"):
        run(["/no/such/program"])
    with pytest.raises(Trouble, match="did not end within"):
        run(["sleep", "60"], limit=0.1)


def test_a_failure_with_a_log_leads_to_it(tmp_path: Path) -> None:
    log = tmp_path / "pip.log"
    with pytest.raises(Trouble) as caught:
        run_logged(["sh", "-c", "echo out; echo err >&2; exit 1"], log)
    assert (caught.value.log, log.read_text()) == (log, "out\nerr\n")


def test_nothing_of_the_callers_shell_is_passed_on_but_what_downloads_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm/slurm.conf")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert set(environment()) == {"PATH", "LANG", "HOME"}
    assert {"PIP_INDEX_URL", "https_proxy"} <= set(downloading())
    assert "SLURM_CONF" not in downloading()
