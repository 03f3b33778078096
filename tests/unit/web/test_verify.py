from __future__ import annotations

from typing import cast

import pytest

from gateway.config import Server
from gateway.errors import NotPermitted, Refusal, TokenRefused
from gateway.sessions.sessions import Identity
from gateway.slurm.keys import SigningKey
from gateway.slurm.minting import Minter
from gateway.slurm.names import NameRules, Subject
from gateway.web.context import Context, open_context
from gateway.web.doorman import OWNERS, Doorman
from gateway.web.verify import VerifyHandler
from tests.unit.web.conftest import Make


class FakeDoorman:
    """Knows one identity, or refuses."""

    def __init__(self, answer: Identity | Refusal) -> None:
        self.answer = answer

    async def identify(self, _context: Context, kinds: frozenset[str]) -> Identity:
        assert kinds == OWNERS
        if isinstance(self.answer, Refusal):
            raise self.answer
        return self.answer


class FakeKey:
    """Signs nothing, but shows what it was given."""

    def sign(self, claims: dict[str, object]) -> str:
        return f"{claims['sun']}-{claims['exp']}"


def verify(answer: Identity | Refusal) -> VerifyHandler:
    minter = Minter(cast("SigningKey", FakeKey()), NameRules.of("slurm", (), 1000), 60.0)
    return VerifyHandler(doorman=cast("Doorman", FakeDoorman(answer)), minter=minter)


def opened(make: Make) -> Context:
    return open_context(make(), Server.model_validate({"listen": "127.0.0.1:1"}))


def identity(username: str, lives: float) -> Identity:
    return Identity(
        subject=Subject(username=username, uid=2001), kind="session", session_id="s", expires_at=lives, idle_expires_at=lives, second_factor_at=0.0
    )


@pytest.mark.parametrize(("left", "minted"), [(3600.0, 60), (10.0, 10)])
async def test_the_jwt_is_for_the_sessions_user_and_never_outlives_it(make: Make, left: float, minted: int) -> None:
    context = opened(make)
    context.now = 1000.0
    answer = await verify(identity("alice", 1000.0 + left)).verify(context)
    assert (answer.status, answer.body) == (200, None)
    assert dict(answer.headers)["X-Slurm-User-Name"] == "alice"
    assert dict(answer.headers)["X-Slurm-User-Token"] == f"alice-{1000 + minted}"


@pytest.mark.parametrize("refusal", [TokenRefused("token_unknown_or_ended"), NotPermitted("token_cannot")])
async def test_what_the_doorman_refuses_is_refused(make: Make, refusal: Refusal) -> None:
    with pytest.raises(type(refusal)):
        await verify(refusal).verify(opened(make))


async def test_a_name_that_slurm_takes_for_more_gets_none(make: Make) -> None:
    with pytest.raises(NotPermitted):
        await verify(identity("root", 9e9)).verify(opened(make))
