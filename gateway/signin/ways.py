"""The ways to a second factor of one's own, in words (pure): what a person is told depends on which of them are configured."""

from __future__ import annotations

from collections.abc import Sequence

ADMINISTRATOR, TICKET, MUNGE, SESSION = "administrator", "ticket", "munge", "session"

_FIRST = {
    MUNGE: "run 'slurm-gateway enroll-me' on a login node of the cluster",
    TICKET: (
        "ask your administrators for a ticket ('slurm-gateway enroll --ticket USER') and redeem it ('slurm-gateway enroll-me --ticket', "
        "or POST /auth/totp)"
    ),
    ADMINISTRATOR: "ask your administrators to enrol you ('slurm-gateway enroll USER')",
}
_NAMES = {
    ADMINISTRATOR: "by the administrators",
    TICKET: "with a ticket from the administrators",
    MUNGE: "by 'slurm-gateway enroll-me' on a login node",
    SESSION: "with a session whose second factor is fresh",
}


def how_to_enrol(ways: Sequence[str]) -> str:
    """Tell somebody without a second factor how to come to one."""
    possible = [text for way, text in _FIRST.items() if way in ways]
    if not possible:
        return "Ask your administrators how to come to one: no way of enrolling is open here."
    text = "; or ".join(possible)
    return f"{text[0].upper()}{text[1:]}. Then sign in with the code."


def open_ways(ways: Sequence[str]) -> str:
    """Tell which ways are open, when the one that was tried is not."""
    possible = [_NAMES[way] for way in _NAMES if way in ways]
    return f"Here, second factors are enrolled {', or '.join(possible)}." if possible else "Here, nobody enrols a second factor."
