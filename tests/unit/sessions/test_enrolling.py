from __future__ import annotations

from gateway.sessions.enrolling import enrolment_token, new_ticket
from gateway.sessions.tokens import TICKET, is_well_formed, token_digest
from gateway.signin.account import Account
from gateway.signin.enrolment import Begun
from tests.unit.fakes import FakeRows

NOW = 1_700_000_000.0
BEGUN = Begun(id="a" * 32, name="telephone", secret="S", otpauth_uri="otpauth://", expires_at=NOW + 900)


def test_a_ticket_is_known_by_its_shape_and_kept_as_its_digest() -> None:
    ticket = new_ticket("carol", lifetime=60.0, now=NOW)
    assert is_well_formed(ticket.text, TICKET)
    assert not is_well_formed(ticket.text)
    assert (ticket.row.ticket_sha256, ticket.row.username, ticket.row.expires_at) == (token_digest(ticket.text), "carol", NOW + 60)


def test_no_two_tickets_are_alike() -> None:
    assert len({new_ticket("carol", lifetime=60.0, now=NOW).text for _ in range(100)}) == 100


def test_a_ticket_does_not_show_itself() -> None:
    ticket = new_ticket("carol", lifetime=60.0, now=NOW)
    assert ticket.text not in repr(ticket)


async def test_the_token_of_an_enrolment_has_the_authenticators_id_and_ends_with_its_wait() -> None:
    rows = FakeRows()
    account = Account(username="carol", uid=2003, groups=frozenset())
    token = await enrolment_token(rows, account, BEGUN, origin="munge", address="192.0.2.1", client="test", now=NOW)
    row = rows.rows[token_digest(token)]
    assert (row.id, row.kind, row.username, row.uid, row.expires_at, row.factor) == (BEGUN.id, "enrolment", "carol", 2003, NOW + 900, "munge")
    assert row.second_factor_at == 0.0
