from __future__ import annotations

import asyncio
import urllib.parse
from dataclasses import dataclass

import pyotp
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.config import Enrolment as Settings
from gateway.config import Throttle, Totp
from gateway.errors import AuditUnavailable, BadRequest, CodeOutOfStep, Conflict, CredentialsRefused, NotFound, Refusal, Throttled
from gateway.signin.enrolment import Begun, Disenrolled, Enrolled, Enrolment, disenrol, enrol, free_name, is_name, read_name, renew_recovery
from gateway.signin.factor import ChosenFactors, NotEnrolled, NotProved, Outcome, Proved, TotpFactor
from gateway.signin.gate import Gate
from gateway.store.attempts import AttemptStore
from gateway.store.authenticators import AuthenticatorStore
from gateway.store.engine import Database
from gateway.store.known import KnownAddressStore
from gateway.store.sealing import KeyRing
from gateway.store.sessions import SessionRow, SessionStore
from gateway.store.spent import SpentStore
from gateway.store.tickets import TicketRow, TicketStore
from tests.unit.fakes import RingSeal

NOW = 1_700_000_010.0
ADDRESS = "192.0.2.1"
SEAL = RingSeal(KeyRing("k1", {"k1": AESGCM(b"1" * 32)}))


@dataclass
class Desk:
    """Where people enrol, on a real store, and the factor that looks at what came of it."""

    database: Database

    def __post_init__(self) -> None:
        self.store = AuthenticatorStore(self.database)
        self.tickets = TicketStore(self.database)
        self.sessions = SessionStore(self.database)
        gate = Gate(AttemptStore(self.database), KnownAddressStore(self.database), Throttle())
        self.enrolment = Enrolment(self.store, SEAL, gate, settings=Settings(max_authenticators=3), totp=Totp(issuer="HPC"))
        self.factor = ChosenFactors([TotpFactor(self.store, SpentStore(self.database), SEAL, Totp())], self.store, "")

    async def enrolled(self, username: str = "alice", name: str | None = None, most: int = 1) -> Enrolled:
        made = await enrol(self.store, SEAL, username=username, issuer="HPC", now=NOW, name=name, most=most)
        assert made is not None
        return made

    async def begun(self, username: str = "alice", name: str | None = None, origin: str = "session", now: float = NOW) -> Begun:
        return await self.enrolment.begin(username, name, origin=origin, now=now)

    async def confirm(self, begun: Begun, code: str | None = None, username: str = "alice", now: float = NOW) -> tuple[str, ...]:
        async def before() -> None:
            """Write nothing down."""

        row = await self.enrolment.waiting(username, begun.id, now)
        return await self.enrolment.confirm(row, code_of(begun, now) if code is None else code, ADDRESS, now, before)

    async def proved(self, code: str, username: str = "alice", now: float = NOW) -> Outcome:
        return await self.factor.verify(username, code, ADDRESS, now)

    async def counted(self) -> int:
        return int(
            await self.database.read(lambda connection: connection.exec_driver_sql("SELECT count(DISTINCT attempt) FROM attempts").scalar_one())
        )


def code_of(what: Begun | Enrolled, now: float = NOW) -> str:
    return pyotp.TOTP(what.secret).at(int(now))


@pytest.fixture
async def desk(database: Database) -> Desk:
    return Desk(database)


# By the administrator.


async def test_the_code_of_a_new_authenticator_proves(desk: Desk) -> None:
    assert await desk.proved(code_of(await desk.enrolled())) == Proved("totp")


async def test_each_of_the_ten_recovery_codes_proves(desk: Desk) -> None:
    outcomes = [await desk.proved(code) for code in (await desk.enrolled()).recovery_codes]
    assert outcomes == [Proved("recovery_code")] * 10


async def test_recovery_codes_are_counted(desk: Desk) -> None:
    codes = (await desk.enrolled()).recovery_codes
    await desk.proved(codes[0])
    assert await desk.enrolment.recovery_codes_left("alice") == 9


async def test_the_address_for_the_app_holds_the_secret_and_the_name(desk: Desk) -> None:
    made = await desk.enrolled()
    parts = urllib.parse.urlsplit(made.otpauth_uri)
    assert (parts.path, urllib.parse.parse_qs(parts.query)["secret"]) == ("/HPC:alice", [made.secret])


async def test_somebody_who_has_an_authenticator_gets_no_other_unasked(desk: Desk) -> None:
    await desk.enrolled()
    assert await enrol(desk.store, SEAL, username="alice", issuer="HPC", now=NOW) is None


async def test_somebody_may_have_several_each_with_a_name(desk: Desk) -> None:
    made = [await desk.enrolled(), await desk.enrolled(most=3), await desk.enrolled(name="tablet", most=3)]
    assert [one.name for one in made] == ["authenticator", "authenticator 2", "tablet"]
    assert [await desk.proved(code_of(one)) for one in made] == [Proved("totp")] * 3


async def test_a_name_that_is_taken_is_not_given_again(desk: Desk) -> None:
    await desk.enrolled(name="tablet")
    assert await enrol(desk.store, SEAL, username="alice", issuer="HPC", now=NOW, name="tablet", most=3) is None


async def test_another_authenticator_brings_recovery_codes_in_the_place_of_the_old_ones(desk: Desk) -> None:
    first, second = await desk.enrolled(), await desk.enrolled(most=3)
    assert await desk.proved(first.recovery_codes[0]) == NotProved("recovery_code_refused")
    assert await desk.proved(second.recovery_codes[0]) == Proved("recovery_code")


async def test_one_that_waits_for_its_first_code_makes_room_for_the_administrators(desk: Desk) -> None:
    await desk.begun()
    await desk.enrolled()
    assert [row.confirmed_at for row in await desk.store.of("alice")] == [NOW]


async def test_of_two_administrators_at_once_one_enrols(desk: Desk) -> None:
    made = await asyncio.gather(*(enrol(desk.store, SEAL, username="alice", issuer="HPC", now=NOW) for _ in range(8)))
    assert sum(one is not None for one in made) == 1


async def test_no_two_people_share_anything(desk: Desk) -> None:
    alice, bob = await desk.enrolled(), await desk.enrolled("bob")
    assert alice.secret != bob.secret
    assert not set(alice.recovery_codes) & set(bob.recovery_codes)


async def test_the_store_keeps_neither_secret_nor_codes_in_the_clear(desk: Desk) -> None:
    made = await desk.enrolled()
    queries = [f"SELECT * FROM {table}" for table in ("authenticators", "recovery_codes")]  # noqa: S608 - names of ours
    kept = await desk.database.read(lambda connection: [repr(connection.exec_driver_sql(query).all()) for query in queries])
    assert not any(text in "".join(kept) for text in (made.secret, *made.recovery_codes))


async def test_what_is_shown_once_does_not_show_itself(desk: Desk) -> None:
    made, begun = await desk.enrolled(), await desk.begun()
    assert not any(secret in repr((made, begun)) for secret in (made.secret, begun.secret, *made.recovery_codes))


async def test_new_recovery_codes_void_the_old_ones(desk: Desk) -> None:
    old = (await desk.enrolled()).recovery_codes
    new = await renew_recovery(desk.store, "alice")
    assert [await desk.proved(old[0]), await desk.proved(new[0])] == [NotProved("recovery_code_refused"), Proved("recovery_code")]
    assert len(set(new)) == 10


# By the person.


async def test_what_was_begun_waits_for_its_first_code_and_lets_nobody_in(desk: Desk) -> None:
    begun = await desk.begun()
    assert begun.expires_at == NOW + 900
    assert await desk.proved(code_of(begun)) == NotEnrolled("")


async def test_the_first_code_confirms_and_brings_ten_recovery_codes(desk: Desk) -> None:
    codes = await desk.confirm(await desk.begun())
    assert len(set(codes)) == 10
    assert await desk.proved(codes[4]) == Proved("recovery_code")


async def test_the_code_that_confirmed_is_used_up_and_the_next_one_is_good(desk: Desk) -> None:
    begun = await desk.begun()
    await desk.confirm(begun)
    assert [await desk.proved(code_of(begun)), await desk.proved(code_of(begun, NOW + 30))] == [NotProved("code_used"), Proved("totp")]


async def test_one_code_confirms_once_however_often_it_is_sent(desk: Desk) -> None:
    begun = await desk.begun()
    made = await asyncio.gather(*(desk.confirm(begun) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(one, tuple) for one in made) == 1
    assert all(isinstance(one, tuple | Conflict | NotFound) for one in made)


async def test_a_wrong_first_code_confirms_nothing_and_counts(desk: Desk) -> None:
    begun = await desk.begun()
    with pytest.raises(CredentialsRefused, match="code_wrong"):
        await desk.confirm(begun, code_of(await desk.begun(name="other")))
    assert await desk.counted() == 1


async def test_five_wrong_first_codes_are_all_that_may_be_tried(desk: Desk) -> None:
    begun = await desk.begun()
    wrong = code_of(await desk.begun(name="other"))
    for _ in range(5):
        with pytest.raises(CredentialsRefused, match="code_wrong"):
            await desk.confirm(begun, wrong)
    with pytest.raises(Throttled):
        await desk.confirm(begun)


async def test_a_right_first_code_is_not_counted(desk: Desk) -> None:
    await desk.confirm(await desk.begun())
    assert await desk.counted() == 0


@pytest.mark.parametrize("off", [-300, 300])
async def test_a_first_code_that_is_out_of_step_is_told_as_such(desk: Desk, off: float) -> None:
    begun = await desk.begun()
    with pytest.raises(CodeOutOfStep) as caught:
        await desk.confirm(begun, code_of(begun, NOW + off))
    assert f"5 minutes {'fast' if off > 0 else 'slow'}" in caught.value.detail


@pytest.mark.parametrize("code", ["", "12345", "1234567", "\uff11\uff12\uff13\uff14\uff15\uff16", "\u00b9\u00b2\u00b3\u2074\u2075\u2076", "abcdef"])
async def test_what_is_no_code_confirms_nothing_and_is_no_guess(desk: Desk, code: str) -> None:
    with pytest.raises(CredentialsRefused, match="code_malformed"):
        await desk.confirm(await desk.begun(), code)
    assert await desk.counted() == 0


async def test_what_cannot_be_written_down_is_not_confirmed(desk: Desk) -> None:
    begun = await desk.begun()

    async def fails() -> None:
        raise AuditUnavailable("audit: full")

    with pytest.raises(AuditUnavailable):
        await desk.enrolment.confirm(await desk.enrolment.waiting("alice", None, NOW), code_of(begun), ADDRESS, NOW, fails)
    assert not await desk.enrolment.is_enrolled("alice")
    assert await desk.counted() == 0


async def test_nothing_waits_longer_than_it_may(desk: Desk) -> None:
    begun = await desk.begun()
    with pytest.raises(NotFound):
        await desk.confirm(begun, now=NOW + 901)


async def test_nobody_confirms_what_somebody_else_began(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.confirm(await desk.begun(), username="bob")


async def test_the_only_one_that_waits_needs_no_naming(desk: Desk) -> None:
    begun = await desk.begun()
    assert (await desk.enrolment.waiting("alice", None, NOW)).id == begun.id


async def test_of_several_that_wait_one_must_be_named(desk: Desk) -> None:
    await desk.begun()
    await desk.begun()
    with pytest.raises(Conflict, match="several_wait"):
        await desk.enrolment.waiting("alice", None, NOW)


async def test_what_munge_proved_gives_a_first_authenticator_and_no_other(desk: Desk) -> None:
    stolen, own = await desk.begun(origin="munge"), await desk.begun(origin="munge")
    await desk.confirm(own)
    with pytest.raises(Conflict, match="not_confirmed"):
        await desk.confirm(stolen)
    assert await desk.proved(code_of(stolen, NOW + 30), now=NOW + 30) == NotProved("code_wrong")


async def test_there_is_room_for_so_many_and_no_more(desk: Desk) -> None:
    for _ in range(3):
        await desk.begun()
    with pytest.raises(Conflict, match="too_many"):
        await desk.begun()


async def test_what_waited_too_long_makes_room(desk: Desk) -> None:
    for _ in range(3):
        await desk.begun()
    assert (await desk.begun(now=NOW + 901)).name == "authenticator 4"
    assert len(await desk.enrolment.listed("alice")) == 1


async def test_a_taken_name_is_a_conflict(desk: Desk) -> None:
    await desk.begun(name="tablet")
    with pytest.raises(Conflict, match="name_taken"):
        await desk.begun(name="tablet")


async def test_one_of_several_can_be_removed(desk: Desk) -> None:
    first = await desk.enrolled()
    await desk.enrolled(most=3, name="tablet")
    assert await desk.enrolment.remove("alice", first.id) == "authenticator"
    assert [row.name for row in await desk.enrolment.listed("alice")] == ["tablet"]


async def test_the_last_one_stays(desk: Desk) -> None:
    only = await desk.enrolled()
    await desk.begun()
    with pytest.raises(Conflict, match="last_authenticator"):
        await desk.enrolment.remove("alice", only.id)


async def test_of_two_that_are_removed_at_once_one_stays(desk: Desk) -> None:
    ids = [(await desk.enrolled(most=3)).id for _ in range(2)]
    made = await asyncio.gather(*(desk.enrolment.remove("alice", one) for one in ids), return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in made) == 1


@pytest.mark.parametrize("username", ["bob", "ALICE"])
async def test_nobody_removes_somebody_elses(desk: Desk, username: str) -> None:
    made = await desk.enrolled()
    with pytest.raises(NotFound):
        await desk.enrolment.remove(username, made.id)


# Away again.


def session(username: str, number: int, kind: str) -> SessionRow:
    return SessionRow(
        id=str(number),
        token_sha256=bytes([number]) * 32,
        kind=kind,
        username=username,
        uid=1001,
        created_at=NOW,
        expires_at=NOW + 1,
        last_used_at=NOW,
        second_factor_at=NOW,
        address="",
        client="",
        factor="totp",
    )


async def gone(desk: Desk, name: str | None = None) -> Disenrolled:
    return await disenrol(desk.store, desk.tickets, desk.sessions, "alice", name)


async def with_everything(desk: Desk) -> Enrolled:
    made = await desk.enrolled()
    await desk.enrolled("bob")
    for number, (username, kind) in enumerate((("alice", "session"), ("alice", "token"), ("alice", "enrolment"), ("bob", "session"))):
        await desk.sessions.add(session(username, number, kind))
    await desk.tickets.add(TicketRow(id="t", ticket_sha256=b"t" * 32, username="alice", created_at=NOW, expires_at=NOW + 60))
    return made


async def test_taking_the_factors_away_ends_what_they_opened(desk: Desk) -> None:
    await with_everything(desk)
    assert await gone(desk) == Disenrolled(authenticators=1, tickets=1, sessions=3)


async def test_somebody_whose_factor_was_taken_away_is_not_enrolled(desk: Desk) -> None:
    made = await with_everything(desk)
    await gone(desk)
    assert [await desk.proved(code_of(made)), await desk.proved(made.recovery_codes[0])] == [NotEnrolled("")] * 2


async def test_one_of_several_is_taken_away_by_its_name(desk: Desk) -> None:
    first, second = await desk.enrolled(), await desk.enrolled(name="tablet", most=3)
    assert (await gone(desk, "authenticator")).authenticators == 1
    assert [await desk.proved(code_of(first)), await desk.proved(code_of(second))] == [NotProved("code_wrong"), Proved("totp")]
    assert await desk.enrolment.recovery_codes_left("alice") == 10


async def test_the_last_one_takes_the_recovery_codes_along(desk: Desk) -> None:
    await desk.enrolled()
    await gone(desk, "authenticator")
    assert await desk.enrolment.recovery_codes_left("alice") == 0


async def test_a_name_that_nobody_has_takes_nothing_away(desk: Desk) -> None:
    await with_everything(desk)
    assert await gone(desk, "tablet") == Disenrolled(authenticators=0, tickets=0, sessions=0)


async def test_somebody_whose_factor_was_taken_away_can_be_enrolled_again(desk: Desk) -> None:
    first = await desk.enrolled()
    await gone(desk)
    assert (await desk.enrolled()).secret != first.secret


# Names.


@pytest.mark.parametrize("name", ["a", "telephone", "my 2nd phone", "a.b_c-d", "9", "a" * 64])
def test_a_name_can_be_read_by_people(name: str) -> None:
    assert is_name(name)
    assert read_name(name) == name


@pytest.mark.parametrize("name", ["", " ", " a", "-a", "a" * 65, "a\n", "a\0", "\u00e9", "<b>", 'a"', 1, [], {}, True])
def test_what_could_lead_a_reader_astray_is_no_name(name: object) -> None:
    assert not is_name(name)
    with pytest.raises(BadRequest):
        read_name(name)


def test_no_name_is_none() -> None:
    assert read_name(None) is None


def test_a_free_name_is_found_whatever_is_taken() -> None:
    taken: list[str] = []
    for _ in range(5):
        taken.append(free_name(taken))
    assert taken == ["authenticator", *(f"authenticator {number}" for number in range(2, 6))]


def test_every_refusal_here_says_what_to_do() -> None:
    assert all(kind("x").hint for kind in (Conflict, NotFound, CodeOutOfStep) if issubclass(kind, Refusal))
