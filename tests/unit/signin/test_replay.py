"""A code is good once, whichever way in it takes: sign-in, one request, step-up, enrolment."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pyotp
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.config import Enrolment as Settings
from gateway.config import Throttle, Totp
from gateway.errors import CredentialsRefused, Throttled
from gateway.signin.account import REQUIRED, Account
from gateway.signin.credentials import credentials
from gateway.signin.enrolment import Enrolment
from gateway.signin.factor import ChosenFactors, TotpFactor
from gateway.signin.gate import Gate
from gateway.signin.login import Login
from gateway.slurm.names import NameRules, Subject
from gateway.store.attempts import AttemptStore
from gateway.store.authenticators import AuthenticatorStore
from gateway.store.engine import Database
from gateway.store.known import KnownAddressStore
from gateway.store.sealing import KeyRing
from gateway.store.spent import SpentStore
from tests.unit.fakes import FakeDirectory, RingSeal, no_turns

NOW, ADDRESS = 1_700_000_010.0, "192.0.2.1"
ALICE = Account(username="alice", uid=2001, groups=frozenset({REQUIRED}))
SEAL = RingSeal(KeyRing("k1", {"k1": AESGCM(b"1" * 32)}))
WAYS = ("sign_in", "step_up", "enrolment")
Way = Callable[[], Awaitable[object]]


@pytest.fixture
async def ways(database: Database) -> dict[str, Way]:
    """The ways that one code of one authenticator could be shown in; the one that enrols it is good while it waits."""
    store, gate = AuthenticatorStore(database), Gate(AttemptStore(database), KnownAddressStore(database), Throttle())
    enrolment = Enrolment(store, SEAL, gate, settings=Settings(), totp=Totp())
    factor = ChosenFactors([TotpFactor(store, SpentStore(database), SEAL, Totp())], store, "")
    login = Login(directory=FakeDirectory(ALICE), factor=factor, gate=gate, names=NameRules.of("slurm", (), 1000), turns=no_turns())
    begun = await enrolment.begin("alice", None, origin="ticket", now=NOW)
    row = await enrolment.waiting("alice", begun.id, NOW)
    totp = pyotp.TOTP(begun.secret)

    async def nothing() -> None:
        """Write nothing down."""

    await enrolment.confirm(row, totp.at(int(NOW) - 30), ADDRESS, NOW, nothing)
    code, subject = totp.at(int(NOW)), Subject(username="alice", uid=2001)
    return {
        "sign_in": lambda: login.sign_in(credentials("alice", "secret", code), ADDRESS, NOW),
        "step_up": lambda: login.step_up(subject, code, ADDRESS, NOW),
        "enrolment": lambda: login.sign_in(credentials("alice", "secret", totp.at(int(NOW) - 30)), ADDRESS, NOW),
    }


@pytest.mark.parametrize(("first", "second"), list(itertools.product(("sign_in", "step_up"), WAYS)))
async def test_a_code_that_was_used_in_one_way_is_used_in_every_other(ways: dict[str, Way], first: str, second: str) -> None:
    await ways[first]()
    with pytest.raises(CredentialsRefused, match="code_used"):
        await ways[second]()


async def test_of_one_code_in_all_ways_two_hundred_times_at_once_one_is_good(ways: dict[str, Way]) -> None:
    made = await asyncio.gather(*(ways[name]() for name in itertools.islice(itertools.cycle(("sign_in", "step_up")), 200)), return_exceptions=True)
    assert sum(not isinstance(one, Exception) for one in made) == 1
    assert all(isinstance(one, CredentialsRefused | Throttled) for one in made if isinstance(one, Exception))
