from __future__ import annotations

from typing import cast

import pytest

from gateway.config import Secret
from gateway.errors import BadRequest, NotAcceptable
from gateway.proxy.forward import Upstream
from gateway.sessions.sessions import Identity
from gateway.slurm.keys import HmacKey
from gateway.slurm.minting import Minter
from gateway.slurm.names import NameRules, Subject
from gateway.web.call import Call, ClusterAccess
from gateway.web.context import open_context
from tests.unit.web.conftest import Make
from tests.unit.web.test_proxied import SETTINGS
from tests.web import fakes


def call(make: Make, *fields: tuple[str, str]) -> Call:
    context = open_context(make(target="/slurm/v0.0.38/jobs", fields=fields), SETTINGS)
    later = context.now + 60
    return Call(
        context=context,
        identity=Identity(
            subject=Subject(username="alice", uid=2001),
            kind="session",
            session_id="s",
            expires_at=later,
            idle_expires_at=later,
            second_factor_at=0.0,
        ),
        cluster="main",
        access=ClusterAccess(upstream=cast("Upstream", None), minter=Minter(HmacKey(Secret(fakes.JWT_KEY)), NameRules.of("slurm", (), 1000), 60.0)),
        method="GET",
        path="/slurm/v0.0.38/jobs",
        query="flags=ALL",
        before_stream=cast("object", None),  # type: ignore[arg-type]  # nothing is streamed here
    )


def test_the_head_is_the_callers_own(make: Make) -> None:
    head = call(make).head(accept="application/json")
    assert (head.method, head.target, head.username, head.accept) == ("GET", "/slurm/v0.0.38/jobs?flags=ALL", "alice", "application/json")


def test_another_question_may_be_asked_of_the_same_path(make: Make) -> None:
    assert [call(make).head(query=query).target for query in ("update_time=1", "")] == ["/slurm/v0.0.38/jobs?update_time=1", "/slurm/v0.0.38/jobs"]


def test_an_accept_header_that_is_odd_is_refused(make: Make) -> None:
    assert call(make, ("Accept", "application/json")).accept() == "application/json"
    with pytest.raises(BadRequest):
        call(make, ("Accept", "a\x7f")).accept()


def test_slurmrestd_is_asked_for_what_it_has(make: Make) -> None:
    assert call(make, ("Accept", "text/html")).accept_for_slurm() == "application/json"
    with pytest.raises(NotAcceptable):
        call(make, ("Accept", "image/png")).accept_for_slurm()
