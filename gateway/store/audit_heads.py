"""How far each audit trail had come when its head was last signed; nothing here ever goes back."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from gateway.store.engine import Database
from gateway.store.tables import audit_heads


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHead:
    """A line of a trail, by its number and hash, that stood there at ``at``."""

    trail: str
    seq: int
    line_sha256: bytes
    at: float


class AuditHeadStore:
    """Each method is one transaction; all raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, *, trail: str, seq: int, line_sha256: bytes, at: float) -> None:
        """Keep a head, unless a later one of that trail is kept already."""
        values = {"trail": trail, "seq": seq, "line_sha256": line_sha256, "at": at}
        statement = self._database.insert(audit_heads).values(values)
        changed = {name: statement.excluded[name] for name in ("seq", "line_sha256", "at")}
        forwards = statement.on_conflict_do_update(index_elements=["trail"], set_=changed, where=audit_heads.c.seq < statement.excluded.seq)
        await self._database.write(lambda connection: connection.execute(forwards))

    async def all(self) -> tuple[AuditHead, ...]:
        """Return every head, by trail."""
        query = select(audit_heads).order_by(audit_heads.c.trail)
        return await self._database.read(lambda connection: tuple(AuditHead(**row) for row in connection.execute(query).mappings()))
