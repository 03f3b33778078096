"""What a person at a terminal is told in the place of the gateway's words about calls."""

from __future__ import annotations

import re

import pytest

from gateway.client.hints import of_commands
from gateway.slurm.meaning import causes


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Correct 'partition' of the job. GET /slurm/v0.0.38/partitions (or 'sinfo') shows what there is.",
            "Correct 'partition' of the job. 'slurm-gateway partitions' shows what there is.",
        ),
        (causes.CAUSES[9202].hint, "The descriptions name the field. 'slurm-gateway check FILE' says where it is."),
        ("GET /slurm/VERSION/jobs shows those that there are.", "'slurm-gateway jobs' shows those that there are."),
        ("GET /slurmdb/v0.0.42/job/7 shows how it ended.", "'slurm-gateway job 7' shows how it ended."),
        ("Ask: GET /slurm/v0.0.42/diag. Then wait.", "Ask: 'slurm-gateway api GET /slurm/v0.0.42/diag'. Then wait."),
        ("Leave /clusters/NAME out for the default cluster.", "Leave --cluster out for the default cluster."),
        (
            "Send the same request with the same Idempotency-Key again: the gateway looks for the job.",
            "Look for it with 'slurm-gateway jobs' before you submit it again.",
        ),
        (
            "Slurm names no error, but no job either: nothing was submitted. Correct the fields that 'warnings' names.",
            "Nothing was submitted. Correct it; 'slurm-gateway check FILE' says where it is.",
        ),
        (
            "End one that you do not need any more: GET /auth/tokens, then DELETE /auth/tokens/ID.",
            "End one that you do not need any more: 'slurm-gateway tokens list', then 'slurm-gateway tokens revoke ID'.",
        ),
        (
            "Sign in (POST /auth/login) and use that session's token.",
            "Sign in ('slurm-gateway login'), and run this without the token.",
        ),
        ("GET /auth/tokens lists yours.", "'slurm-gateway tokens list' shows yours."),
        ('Write scopes as ["read", "submit"]; README.md lists them all.', "Write --scope read --scope submit; README.md lists them all."),
        ("Leave it out for 2592000 s.", "Name a shorter time, or leave --expires out."),
        ("Try again in a minute.", "Try again in a minute."),
    ],
)
def test_a_call_becomes_the_command_that_makes_it(said: str, told: str) -> None:
    assert of_commands(said) == told


@pytest.mark.parametrize("number", sorted(causes.CAUSES))
def test_no_hint_of_slurms_refusals_leaves_a_person_with_a_bare_call(number: int) -> None:
    assert re.search(r"(?<!api )GET /", of_commands(causes.CAUSES[number].hint)) is None
