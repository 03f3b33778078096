from __future__ import annotations

import base64
import contextlib
from dataclasses import dataclass, field
from typing import cast

import pytest
from prometheus_client import Counter

from gateway.config import Secret, Server
from gateway.errors import AuditUnavailable, CredentialsRefused, NotPermitted, Refusal, SecondFactorStale
from gateway.observe.audit import AuditTrail, Event
from gateway.observe.metrics import Metrics
from gateway.sessions.sessions import Identity, Sessions
from gateway.signin.credentials import Credentials
from gateway.signin.login import Login, SignedIn
from gateway.slurm.names import Subject
from gateway.web.context import Context, open_context
from gateway.web.doorman import CALLERS, OWNERS, Doorman
from tests.unit.web.conftest import Make

ALICE = Subject(username="alice", uid=2001)
BASIC = [("Authorization", "Basic " + base64.b64encode(b"Alice:secret").decode()), ("X-OTP", "123456")]
TOKEN = [("Authorization", "Bearer sgw_x")]


@dataclass
class Party:
    """Login, sessions and trail in one: what they are to answer, and what they were asked."""

    failure: Refusal | None = None
    trail_fails: bool = False
    kind: str = "session"
    asked: list[object] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    async def sign_in(self, credentials: Credentials, address: str, now: float) -> SignedIn:
        self.asked.append((credentials.username, address))
        if self.failure is not None:
            raise self.failure
        return SignedIn(subject=ALICE, groups=frozenset(), at=now, method="totp")

    async def resolve(self, token: str, address: str, now: float, *, is_use: bool = True) -> Identity:  # noqa: ARG002 - the Protocol's
        self.asked.append(token if is_use else f"{token}, looked at")
        if self.failure is not None:
            raise self.failure
        return Identity(subject=ALICE, kind=self.kind, session_id="s1", expires_at=now + 60, idle_expires_at=now + 60, second_factor_at=now)

    async def require(self) -> None:
        """Nothing has failed before."""

    async def write(self, event: Event) -> None:
        if self.trail_fails:
            raise AuditUnavailable("audit: full")
        self.events.append(event)


def doorman(party: Party, metrics: Metrics | None = None) -> Doorman:
    return Doorman(
        login=cast("Login", party),
        sessions=cast("Sessions", party),
        audit=cast("AuditTrail", party),
        metrics=metrics or Metrics(),
        one_shot_lifetime=60.0,
    )


def opened(make: Make, fields: list[tuple[str, str]]) -> Context:
    return open_context(make(fields=fields), Server.model_validate({"listen": "127.0.0.1:1"}))


def count(counter: Counter) -> float:
    return sum(sample.value for metric in counter.collect() for sample in metric.samples if sample.name.endswith("_total"))


async def test_a_token_is_resolved_and_noted(make: Make) -> None:
    party, context = Party(), opened(make, TOKEN)
    identity = await doorman(party).identify(context)
    assert (identity.username, context.username, context.identity, party.asked) == ("alice", "alice", identity, ["sgw_x"])


async def test_who_is_in_already_is_looked_at_again_without_a_use(make: Make) -> None:
    party, context = Party(), opened(make, TOKEN)
    assert (await doorman(party).look_again(context, context.now + 5)).expires_at == context.now + 65
    assert (party.asked, context.identity) == (["sgw_x, looked at"], None)


async def test_credentials_of_one_request_cannot_be_looked_at_again(make: Make) -> None:
    party = Party()
    with pytest.raises(NotPermitted, match="one_shot_cannot"):
        await doorman(party).look_again(opened(make, BASIC), 0.0)
    assert party.asked == []


async def test_the_token_of_an_enrolment_is_good_for_enrolling_alone(make: Make) -> None:
    with pytest.raises(NotPermitted, match="enrolment_cannot"):
        await doorman(Party(kind="enrolment")).identify(opened(make, TOKEN))
    assert (await doorman(Party(kind="enrolment")).identify(opened(make, TOKEN), frozenset({"enrolment"}))).kind == "enrolment"


async def test_what_a_session_alone_may_do_uses_up_no_code_of_others(make: Make) -> None:
    party = Party()
    with pytest.raises(NotPermitted, match="one_shot_cannot"):
        await doorman(party).identify(opened(make, BASIC), OWNERS)
    assert party.asked == []


@pytest.mark.parametrize(("age", "refused"), [(0.0, False), (600.0, False), (600.5, True), (-600.0, False), (-600.5, True)])
async def test_a_second_factor_that_is_old_has_to_be_proved_again(make: Make, age: float, refused: bool) -> None:
    context = opened(make, TOKEN)
    identity = await doorman(Party()).identify(context)
    context.now += age
    with pytest.raises(SecondFactorStale) if refused else contextlib.nullcontext():
        doorman(Party()).require_recent_factor(context, identity, 600.0)


async def test_a_token_that_is_resolved_leaves_no_line(make: Make) -> None:
    party = Party()
    await doorman(party).identify(opened(make, TOKEN))
    assert party.events == []


async def test_credentials_are_checked_for_this_one_request(make: Make) -> None:
    party, context = Party(), opened(make, BASIC)
    identity = await doorman(party).identify(context)
    assert (identity.username, identity.kind, identity.session_id, identity.expires_at) == ("alice", "one_shot", None, context.now + 60)


async def test_a_sign_in_is_written_down_and_counted_under_the_name_that_slurm_knows(make: Make) -> None:
    party, metrics = Party(), Metrics()
    await doorman(party, metrics).identify(opened(make, BASIC))
    assert [(event.event, event.user, event.factor) for event in party.events] == [("sign_in", "alice", "totp")]
    assert count(metrics.sign_ins) == 1


async def test_a_sign_in_that_cannot_be_written_down_is_none(make: Make) -> None:
    metrics = Metrics()
    with pytest.raises(AuditUnavailable):
        await doorman(Party(trail_fails=True), metrics).identify(opened(make, BASIC))
    assert count(metrics.sign_ins) == 0


async def test_a_refused_sign_in_notes_the_name_that_was_typed(make: Make) -> None:
    context = opened(make, BASIC)
    with pytest.raises(CredentialsRefused):
        await doorman(Party(failure=CredentialsRefused("code_wrong"))).identify(context)
    assert (context.username, context.identity) == ("Alice", None)


@pytest.mark.parametrize("presented", [TOKEN, BASIC])
@pytest.mark.parametrize("name", ["bob", "ALICE", "alice ", "", "root", "2001"])
async def test_a_name_that_is_not_the_owners_is_refused_and_never_obeyed(make: Make, presented: list[tuple[str, str]], name: str) -> None:
    context = opened(make, [*presented, ("X-SLURM-USER-NAME", name)])
    with pytest.raises(NotPermitted):
        await doorman(Party()).identify(context)
    assert context.username == "alice"


async def test_the_owners_own_name_is_fine(make: Make) -> None:
    identity = await doorman(Party()).identify(opened(make, [*TOKEN, ("X-SLURM-USER-NAME", "alice")]))
    assert identity.subject == ALICE


@pytest.mark.parametrize(("kind", "kinds"), [("token", OWNERS), ("enrolment", OWNERS), ("enrolment", CALLERS), ("something", CALLERS)])
async def test_a_token_of_another_kind_than_is_wanted_is_refused(make: Make, kind: str, kinds: frozenset[str]) -> None:
    with pytest.raises(NotPermitted, match=rf"^{kind}_cannot$"):
        await doorman(Party(kind=kind)).identify(opened(make, TOKEN), kinds)


async def test_credentials_for_one_request_are_not_used_up_where_they_are_good_for_nothing(make: Make) -> None:
    party = Party()
    with pytest.raises(NotPermitted, match=r"^one_shot_cannot$"):
        await doorman(party).identify(opened(make, BASIC), OWNERS)
    assert party.asked == []


async def test_a_kind_that_is_wanted_is_taken(make: Make) -> None:
    identity = await doorman(Party(kind="enrolment")).identify(opened(make, TOKEN), frozenset({"enrolment"}))
    assert identity.kind == "enrolment"


@pytest.mark.parametrize(("within", "stale"), [(0.0, False), (600.0, False), (-0.5, True)])
async def test_a_second_factor_that_was_proved_too_long_ago_is_stale(make: Make, within: float, stale: bool) -> None:
    context = opened(make, BASIC)
    identity = await doorman(Party()).identify(context)
    if not stale:
        doorman(Party()).require_recent_factor(context, identity, within)
        return
    with pytest.raises(SecondFactorStale):
        doorman(Party()).require_recent_factor(context, identity, within)


async def test_the_trail_names_the_session_that_a_sign_in_is_for(make: Make) -> None:
    party, context = Party(), opened(make, BASIC)
    await doorman(party).sign_in(context, Credentials(username="alice", password=Secret(b"x"), otp="123456"), "5e55")
    assert [event.session for event in party.events] == ["5e55"]
