"""A backup of the store that any database can be restored from: a line of JSON a row, between a header and a line with counts and checksum.

After a restore nothing may be used again that was used up: each authenticator's codes of this moment count as used, and what may have been
ended or used since the backup was made (sessions, tokens, recovery codes, tickets) is left out unless it is asked for. Idempotency keys are always
restored: what was submitted with them has been submitted, and nobody gets in with one.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from sqlalchemy import BigInteger, Column, Double, Integer, LargeBinary, Select, String, Table, Text, delete, func, insert, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from gateway.errors import StoreUnavailable
from gateway.store.engine import Database
from gateway.store.sealing import key_of
from gateway.store.tables import accounts, authenticators, metadata, recovery_codes, sessions, tickets

_FORMAT, _VERSION = "slurm-gateway state", 1
_LONGEST_LINE = 1024 * 1024
_AT_ONCE = 500
# Beyond it not every whole number can be told from the next; and the last second that a date is known for.
_LARGEST, _END_OF_TIME = 2**53, 253402300800
# Seconds of a step (RFC 6238 section 4.1), and how many steps ahead of the clock a code may have been used: the widest window.
_STEP, _AHEAD = 30, 2
# What people have made; a store without any of it is empty.
_OWN = (sessions, authenticators, recovery_codes, tickets)
# What only grows: kept beside what is there, the later of two that are the same by this column.
_MERGED = {"attempts": "at", "spent": "expires_at", "known_addresses": "last_at", "audit_heads": "seq", "submissions": "created_at"}


class BackupError(Exception):
    """What was given is no backup that can be restored here; the text says why, and shows nothing that is in it."""


class NotEmptyError(Exception):
    """There is something in the store already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is restored besides the authenticators, although some of it may have been ended or used up since."""

    sessions: bool = False
    tokens: bool = False
    recovery_codes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How many rows of each table were restored and left out, and the ids of the keys that the restored secrets are sealed under."""

    restored: Mapping[str, int]
    left_out: Mapping[str, int]
    keys: frozenset[str]
    made_at: float


async def write_backup(database: Database, write: Callable[[bytes], object], *, revision: str, now: float) -> Mapping[str, int]:
    """Hand the store, as it is at one moment, to ``write`` line by line; return the number of rows by table. Raises StoreUnavailable.

    ``write`` is called on another thread.
    """
    digest, counts = hashlib.sha256(), {table.name: 0 for table in metadata.sorted_tables}

    def line(fields: Mapping[str, object]) -> None:
        encoded = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
        digest.update(encoded)
        write(encoded)

    def question(connection: Connection) -> None:
        line({"format": _FORMAT, "version": _VERSION, "revision": revision, "at": now})
        for table in metadata.sorted_tables:
            with connection.execute(_some_at_a_time(table)) as rows:
                for row in rows.mappings():
                    require_attention()
                    line({"table": table.name, "row": {name: _encoded(value) for name, value in row.items()}})
                    counts[table.name] += 1
        line({"end": {"rows": counts, "sha256": digest.hexdigest()}})

    with _attended() as require_attention:
        await database.snapshot(question)
    return counts


@contextlib.contextmanager
def _attended() -> Iterator[Callable[[], None]]:
    """Give a function that breaks off what is under way on a thread when whoever waits for it has gone, as on an interrupt.

    Short transactions are run to their end; these may last an hour.
    """
    gone = threading.Event()

    def require_attention() -> None:
        if gone.is_set():
            raise BackupError("it was broken off")

    try:
        yield require_attention
    finally:
        gone.set()


def _some_at_a_time(table: Table) -> Select[Any]:
    return select(table).order_by(*table.primary_key.columns).execution_options(yield_per=_AT_ONCE)


def _encoded(value: object) -> object:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


class Reader:
    """Reads a backup, row by row and as often as need be; each time to its end, where the checksum must fit. Raises BackupError."""

    def __init__(self, file: BinaryIO, revision: str) -> None:
        self._file = file
        self._revision = revision
        self.made_at = 0.0

    def __iter__(self) -> Iterator[tuple[Table, dict[str, Any]]]:
        """Give each row with its table; what was given is good only when the end was reached."""
        self._file.seek(0)
        digest, counts = hashlib.sha256(), {table.name: 0 for table in metadata.sorted_tables}
        number, raw = 1, self._line()
        self._header(_parsed(raw, number))
        while True:
            digest.update(raw)
            number, raw = number + 1, self._line()
            fields = _parsed(raw, number)
            if set(fields) == {"end"}:
                break
            table, values = _row(fields, number)
            counts[table.name] += 1
            yield table, values
        if fields["end"] != {"rows": counts, "sha256": digest.hexdigest()}:
            raise BackupError("it was changed or damaged: counts and checksum at its end do not fit")
        if self._file.read(1):
            raise BackupError("something follows its end")

    def _line(self) -> bytes:
        raw = self._file.readline(_LONGEST_LINE)
        if not raw.endswith(b"\n"):
            raise BackupError("a line is too long, or its end is missing: it was cut")
        return raw

    def _header(self, fields: dict[str, Any]) -> None:
        if fields.get("format") != _FORMAT or set(fields) != {"format", "version", "revision", "at"}:
            raise BackupError("it does not begin as a backup does")
        if fields["version"] != _VERSION or isinstance(fields["version"], bool):
            raise BackupError("its format is that of another slurm-gateway")
        if fields["revision"] != self._revision:
            raise BackupError(f"it was made of a store of another shape than {self._revision}: restore it with the slurm-gateway that made it")
        self.made_at = _number(fields["at"], "the time in its first line")
        if not 0 <= self.made_at < _END_OF_TIME:
            raise BackupError("the time in its first line is none")


def _parsed(raw: bytes, number: int) -> dict[str, Any]:
    try:
        fields = json.loads(raw, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise BackupError(f"line {number} is no JSON") from None
    if not isinstance(fields, dict):
        raise BackupError(f"line {number} is no object")
    return fields


def _refuse(_: str) -> float:
    raise ValueError("not a number")


def _row(fields: dict[str, Any], number: int) -> tuple[Table, dict[str, Any]]:
    name, row = fields.get("table"), fields.get("row")
    table = metadata.tables.get(name) if isinstance(name, str) else None
    if set(fields) != {"table", "row"} or table is None or not isinstance(row, dict) or set(row) != set(table.columns.keys()):
        raise BackupError(f"line {number} is no row of a table")
    return table, {column.name: _decoded(column, row[column.name], f"line {number}: {column.name}") for column in table.columns}


def _decoded(column: Column[Any], value: object, where: str) -> object:
    """Return a value as the table takes it; raise BackupError when it could not stand there."""
    kind = column.type
    if value is None and column.nullable:
        return None
    if isinstance(kind, LargeBinary):
        return _bytes(value, kind.length, where)
    if isinstance(kind, String):
        return _text(kind, value, where)
    if isinstance(kind, Double):
        return _number(value, where)
    bits = 63 if isinstance(kind, BigInteger) else 31
    if not isinstance(kind, Integer) or not isinstance(value, int) or isinstance(value, bool) or not -(2**bits) <= value < 2**bits:
        raise BackupError(f"{where} is no whole number that fits")
    return value


def _bytes(value: object, length: int | None, where: str) -> bytes:
    try:
        decoded = base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except (binascii.Error, ValueError):
        decoded = None
    if decoded is None or (length is not None and len(decoded) != length):
        raise BackupError(f"{where} is no base64 of the right length")
    return decoded


def _text(kind: String, value: object, where: str) -> str:
    if not isinstance(value, str) or "\0" in value or (kind.length is not None and len(value) > kind.length):
        raise BackupError(f"{where} is no text, or too long")
    try:
        value.encode()
        # The columns without a length are those of lists.
        entries = json.loads(value) if isinstance(kind, Text) else []
    except (ValueError, RecursionError):
        raise BackupError(f"{where} is not well-formed") from None
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise BackupError(f"{where} is no list of texts")
    return value


def _number(value: object, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) > _LARGEST or not math.isfinite(value):
        raise BackupError(f"{where} is no number that fits")
    return float(value)


def survey(reader: Reader, wanted: Wanted, now: float) -> Outcome:
    """Read the whole backup and return what restoring it would do; raise BackupError."""
    restored, left_out = _no_rows(), _no_rows()
    keys: set[str] = set()
    for table, row in reader:
        values = _renewed(table, row, wanted, now)
        (left_out if values is None else restored)[table.name] += 1
        if values is not None and table is authenticators:
            keys.add(key_of(values["sealed_secret"]))
    return Outcome(restored=restored, left_out=left_out, keys=frozenset(keys), made_at=reader.made_at)


def _no_rows() -> Counter[str]:
    return Counter({table.name: 0 for table in metadata.sorted_tables})


def _renewed(table: Table, row: dict[str, Any], wanted: Wanted, now: float) -> dict[str, Any] | None:
    """Return a row as it is restored, or None when it is left out."""
    if table is sessions:
        asked_for = wanted.tokens if row["kind"] == "token" else wanted.sessions
        return row if asked_for and row["expires_at"] > now else None
    if table is authenticators:
        # One that waits for its confirmation waits for a session that is not there any more.
        return {**row, "last_step": max(row["last_step"], int(now // _STEP) + _AHEAD)} if row["confirmed_at"] is not None else None
    if table is recovery_codes:
        return row if wanted.recovery_codes else None
    # What the directory said, it is asked again; a ticket lives a day, and may have been redeemed.
    return None if table in {accounts, tickets} else row


async def require_empty(database: Database) -> None:
    """Raise NotEmptyError when the store holds something that people have made; raise StoreUnavailable."""
    await database.read(_require_empty)


def _require_empty(connection: Connection) -> None:
    for table in _OWN:
        if connection.execute(select(func.count()).select_from(table)).scalar_one():
            raise NotEmptyError


async def restore(database: Database, reader: Reader, wanted: Wanted, *, replace: bool, now: float) -> Outcome:
    """Restore a backup that was surveyed before, in one transaction; with ``replace``, in the place of what people have made.

    Raises BackupError, NotEmptyError and StoreUnavailable, and has then changed nothing.
    """
    restored, left_out = _no_rows(), _no_rows()

    def change(connection: Connection) -> None:
        _lock(database, connection)
        if not replace:
            _require_empty(connection)
        used = _cleared(connection)
        for table, rows in _batches(reader, wanted, now, left_out):
            _put(database, connection, table, [{**row, **used.get(row.get("code_sha256", b""), {})} for row in rows])
            restored[table.name] += len(rows)
            require_attention()

    try:
        with _attended() as require_attention:
            await database.write(change)
    except StoreUnavailable as error:
        if isinstance(error.__cause__, DBAPIError) and not error.__cause__.connection_invalidated and _is_about_values(error.__cause__):
            raise BackupError("it holds something twice, or something that the store does not take") from None
        raise
    return Outcome(restored=restored, left_out=left_out, keys=frozenset(), made_at=reader.made_at)


def _is_about_values(error: DBAPIError) -> bool:
    return type(error).__name__ in {"IntegrityError", "DataError"}


def _lock(database: Database, connection: Connection) -> None:
    """Keep a running gateway from adding anything between the look and the end; on SQLite nobody else writes anyway."""
    if not database.is_sqlite:
        names = ", ".join(table.name for table in metadata.sorted_tables)
        connection.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))


def _cleared(connection: Connection) -> Mapping[bytes, Mapping[str, float]]:
    """Remove what people have made; return the recovery codes that were used, which stay used."""
    query = select(recovery_codes.c.code_sha256, recovery_codes.c.used_at).where(recovery_codes.c.used_at.is_not(None))
    used = {bytes(digest): {"used_at": at} for digest, at in connection.execute(query)}
    for table in (*_OWN, accounts):
        connection.execute(delete(table))
    return used


def _batches(reader: Reader, wanted: Wanted, now: float, left_out: Counter[str]) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """Give the rows to restore, some of one table at a time."""
    current: Table | None = None
    batch: list[dict[str, Any]] = []
    for table, row in reader:
        values = _renewed(table, row, wanted, now)
        if values is None:
            left_out[table.name] += 1
            continue
        if batch and current is not None and (table is not current or len(batch) >= _AT_ONCE):
            yield current, batch
            batch = []
        current = table
        batch.append(values)
    if batch and current is not None:
        yield current, batch


def _put(database: Database, connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    later = _MERGED.get(table.name)
    if later is None:
        connection.execute(insert(table), rows)
        return
    statement = database.insert(table)
    keys = [column.name for column in table.primary_key.columns]
    new = {name: statement.excluded[name] for name in table.columns.keys() if name not in keys}  # noqa: SIM118 - not a dictionary
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=new, where=table.c[later] < statement.excluded[later]), rows)
