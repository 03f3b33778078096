"""The table of sbatch's options: each is taken or says why not, and each field that it makes is one of Slurm's."""

from __future__ import annotations

import pytest

from gateway.client.jobfile.fields import KNOWN
from gateway.client.jobfile.options import OPTIONS, SHORT, Draft, Option
from gateway.client.jobfile.values import number

TAKEN = [option for option in OPTIONS.values() if option.take is not None]
# A value that each option would take, where neither of these is one.
SAMPLES = ("", "1", "yes", "none", "exclusive", "disable-binding", "append", "END", "USR1")


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.name)
def test_an_option_is_taken_or_says_why_not(option: Option) -> None:
    assert (option.take is None) == bool(option.refused)


def test_no_letter_stands_for_two_options() -> None:
    assert len(SHORT) == len([option for option in OPTIONS.values() if option.short is not None])


@pytest.mark.parametrize("option", TAKEN, ids=lambda option: option.name)
def test_what_an_option_asks_for_are_fields_that_slurm_knows_or_a_note(option: Option) -> None:
    assert option.take is not None
    done = []
    for value in SAMPLES:
        draft = Draft()
        try:
            option.take(draft, value)
        except ValueError:
            continue
        done.append(draft)
        assert draft.fields.keys() <= KNOWN
    assert any(draft != Draft() for draft in done) or option.name in {"profile", "gres"}


def taken(name: str, *values: str) -> dict[str, object]:
    draft = Draft()
    for value in values:
        take = OPTIONS[name].take
        assert take is not None
        take(draft, value)
    return draft.fields


@pytest.mark.parametrize(
    ("name", "values", "fields"),
    [
        ("time", ["5", "10"], {"time_limit": number(10)}),
        ("mail-type", ["END", "FAIL"], {"mail_type": "END,FAIL"}),
        ("mail-type", ["END", "NONE"], {"mail_type": "NONE"}),
        ("mail-type", ["NONE", "END"], {"mail_type": "END"}),
        ("exclusive", [""], {"exclusive": "exclusive"}),
        ("exclusive", ["USER"], {"exclusive": "user"}),
        ("oversubscribe", [""], {"exclusive": "oversubscribe"}),
        ("nice", [""], {"nice": 100}),
        ("nice", ["-5"], {"nice": -5}),
        ("priority", ["TOP"], {"priority": number(4294967293)}),
        ("output", ["none"], {"standard_output": "/dev/null"}),
        ("gres", ["gpu:2"], {"gres": "gpu:2"}),
        ("gres", ["gpu:2", "none"], {}),
        ("open-mode", ["t"], {"open_mode": ["TRUNCATE"]}),
        ("kill-on-invalid-dep", ["No"], {"kill_on_invalid_dependency": False}),
        ("switches", ["2@1:00:00"], {"required_switches": number(2), "wait_for_switch": 3600}),
        ("extra-node-info", ["2:*:1"], {"sockets_per_node": 2, "threads_per_core": 1}),
        ("signal", ["B:USR1", "TERM@5"], {"kill_warning_signal": "TERM", "kill_warning_delay": number(5)}),
        ("wait-all-nodes", ["1"], {"wait_all_nodes": 1}),
        ("oom-kill-step", [""], {"oom_kill_step": 1}),
        ("profile", ["none"], {}),
    ],
)
def test_an_option_becomes_its_field(name: str, values: list[str], fields: dict[str, object]) -> None:
    assert taken(name, *values) == fields


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("account", ""),
        ("exclusive", "topo"),
        ("priority", "0"),
        ("open-mode", "x"),
        ("extra-node-info", "2:4"),
        ("extra-node-info", "1:2:3:4"),
        ("extra-node-info", "*"),
        ("switches", "0"),
        ("switches", "1@0"),
        ("propagate", "ALL"),
        ("profile", "energy"),
        ("export", ""),
        ("gres", ""),
        ("output", ""),
        ("cpus-per-task", "0"),
    ],
)
def test_a_value_that_cannot_arrive_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        taken(name, value)
