"""People who listen, for the tests of what lets them in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.sessions.sessions import Identity
from gateway.slurm.names import Subject
from gateway.web.context import open_context
from gateway.web.eyes import Guest
from tests.unit.web.conftest import Make
from tests.unit.web.test_proxied import SETTINGS

PATH = "/slurm/v0.0.40/jobs"


def identity(username: str = "alice", **more: Any) -> Identity:
    made = Identity(
        subject=Subject(username=username, uid=2001),
        kind="session",
        session_id=f"session of {username}",
        expires_at=2e9,
        idle_expires_at=2e9,
        second_factor_at=0.0,
    )
    return replace(made, **more)


def guest(make: Make, username: str = "alice", cluster: str = "main", judged_path: str = PATH, **more: Any) -> Guest:
    context = open_context(make(target="/events"), SETTINGS)
    return Guest(context=context, identity=identity(username, **more), cluster=cluster, judged_path=judged_path)
