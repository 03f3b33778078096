"""Tickets that let somebody enrol once, kept as SHA-256 only."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import delete, insert
from sqlalchemy.engine import Connection

from gateway.store.engine import Database
from gateway.store.tables import tickets


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketRow:
    """One ticket; times are seconds since the epoch."""

    id: str
    ticket_sha256: bytes = field(repr=False)
    username: str
    created_at: float
    expires_at: float


class TicketStore:
    """Each method is one transaction; all raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: TicketRow) -> None:
        """Keep a ticket in the place of any other that the person has."""
        values = {name: getattr(row, name) for name in row.__slots__}

        def change(connection: Connection) -> None:
            connection.execute(delete(tickets).where((tickets.c.expires_at < row.created_at) | (tickets.c.username == row.username)))
            connection.execute(insert(tickets).values(values))

        await self._database.write(change, f"tickets/{row.username}")

    async def redeem(self, username: str, ticket_sha256: bytes, now: float) -> bool:
        """Use the ticket up, in one atomic statement; tell whether it was that person's, and still good."""
        where = (tickets.c.ticket_sha256 == ticket_sha256, tickets.c.username == username, tickets.c.expires_at > now)
        return await self._database.write(lambda connection: connection.execute(delete(tickets).where(*where)).rowcount) == 1

    async def remove_all_of(self, username: str) -> int:
        """Take away the tickets of ``username``; return how many there were."""
        return await self._database.write(lambda connection: connection.execute(delete(tickets).where(tickets.c.username == username)).rowcount)
