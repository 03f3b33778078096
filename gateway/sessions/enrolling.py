"""What somebody holds who is about to enrol: a ticket of the administrator's, then a token that is good for confirming one authenticator."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from gateway.sessions.sessions import Rows
from gateway.sessions.tokens import ENTROPY_BYTES, TICKET, make_token, token_digest
from gateway.signin.account import Account
from gateway.signin.enrolment import Begun
from gateway.store.sessions import ENROLMENT, SessionRow
from gateway.store.tickets import TicketRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A new ticket: the text, which is shown once, and the row that the store keeps."""

    text: str = field(repr=False)
    row: TicketRow


def new_ticket(username: str, *, lifetime: float, now: float) -> Ticket:
    """Return a ticket with which ``username`` can enrol once, within ``lifetime`` seconds."""
    text = make_token(secrets.token_bytes(ENTROPY_BYTES), TICKET)
    row = TicketRow(id=secrets.token_hex(16), ticket_sha256=token_digest(text), username=username, created_at=now, expires_at=now + lifetime)
    return Ticket(text=text, row=row)


async def enrolment_token(rows: Rows, account: Account, begun: Begun, *, origin: str, address: str, client: str, now: float) -> str:
    """Return a new token that confirms what was begun and does nothing else; raise StoreUnavailable.

    Its row has the authenticator's own id, which is how it is known what it confirms.
    """
    token = make_token(secrets.token_bytes(ENTROPY_BYTES))
    row = SessionRow(
        id=begun.id,
        token_sha256=token_digest(token),
        kind=ENROLMENT,
        username=account.username,
        uid=account.uid,
        created_at=now,
        expires_at=begun.expires_at,
        last_used_at=now,
        second_factor_at=0.0,
        address=address,
        client=client,
        factor=origin,
    )
    await rows.add(row)
    return token
