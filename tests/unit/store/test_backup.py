from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Table, func, select

from gateway.store import backup
from gateway.store.accounts import AccountRow, AccountStore
from gateway.store.attempts import AttemptStore, Limit
from gateway.store.authenticators import AuthenticatorRow, AuthenticatorStore
from gateway.store.backup import BackupError, NotEmptyError, Reader, Wanted, require_empty, restore, survey, write_backup
from gateway.store.engine import Database, open_database
from gateway.store.known import KnownAddressStore
from gateway.store.migrate import migrate
from gateway.store.sessions import SessionRow, SessionStore
from gateway.store.spent import SpentStore
from gateway.store.submissions import SubmissionRow, SubmissionStore
from gateway.store.tables import metadata
from gateway.store.tickets import TicketRow, TicketStore
from tests.postgres import Cluster
from tests.unit.conftest import sqlite_store

NOW = 1_700_000_000.0
STEP = int(NOW // 30)
LATER = NOW + 3600
REVISION = "0003"
EVERYTHING = Wanted(sessions=True, tokens=True, recovery_codes=True)
SESSION = SessionRow(
    id="s1",
    token_sha256=b"\x00\xff" * 16,
    kind="session",
    username="alice",
    uid=4_000_000_000,
    created_at=NOW + 0.1,
    expires_at=NOW + 43200.25,
    last_used_at=NOW,
    second_factor_at=NOW,
    address="2001:db8::7",
    client='curl "é"',
    factor="totp",
)
TOKEN = replace(SESSION, id="t1", token_sha256=b"t" * 32, kind="token", name="nightly", scopes=("read",), networks=("192.0.2.0/24",), made_in="s1")
OVER = replace(SESSION, id="s2", token_sha256=b"o" * 32, expires_at=NOW + 60)
ALICE = AuthenticatorRow(
    id="a", username="alice", name="telephone", sealed_secret=b"1:k1:\x00\xff", last_step=7, created_at=NOW, confirmed_at=NOW, origin="ticket"
)
PENDING = replace(ALICE, id="p", name="tablet", confirmed_at=None)
AHEAD = replace(ALICE, id="b", username="bob", last_step=STEP + 9000, last_used_at=NOW)
CODES = (b"1" * 32, b"2" * 32)
TICKET = TicketRow(id="t", ticket_sha256=b"t" * 32, username="carol", created_at=NOW, expires_at=NOW + 86400)
SUBMITTED = SubmissionRow(
    username="alice", cluster="demo", key_sha256=b"k" * 32, attempt="a", request_sha256=b"r" * 32, mark="m", created_at=NOW, held_until=NOW
)
LIMIT = Limit(scope="code", key="alice", allowed=1, window=86400)


async def fill(database: Database) -> None:
    sessions, authenticators = SessionStore(database), AuthenticatorStore(database)
    for session in (OVER, SESSION, TOKEN):
        await sessions.add(session)
    for row, codes in ((ALICE, CODES), (PENDING, ()), (AHEAD, ())):
        await authenticators.add(row, codes, most=9)
    await authenticators.claim_recovery_code("alice", CODES[0], NOW)
    await AccountStore(database).keep(AccountRow(username="alice", uid=1001, groups=frozenset({"required"}), checked_at=NOW))
    await TicketStore(database).add(TICKET)
    await SpentStore(database).spend("munge", b"m" * 32, now=NOW, expires_at=LATER + 86400)
    await KnownAddressStore(database).note("alice", "192.0.2.7", NOW, 86400)
    await AttemptStore(database).reserve("x", (LIMIT,), NOW)
    await SubmissionStore(database).claim(SUBMITTED, forget_before=0.0, most=1)
    await SubmissionStore(database).settle(replace(SUBMITTED, status=200, answer=b"\x00\xff", job_id=2**40))


async def saved(database: Database) -> io.BytesIO:
    lines: list[bytes] = []
    await write_backup(database, lines.append, revision=REVISION, now=NOW)
    return io.BytesIO(b"".join(lines))


@pytest.fixture
async def full(database: Database) -> Database:
    await fill(database)
    return database


async def counts(database: Database) -> dict[str, int]:
    def question(connection: Connection) -> dict[str, int]:
        return {table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in metadata.sorted_tables}

    return {name: count for name, count in (await database.read(question)).items() if count}


async def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    def question(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
        return {table.name: sorted(map(tuple, connection.execute(select(table))), key=repr) for table in metadata.sorted_tables}

    return await database.read(question)


@pytest.fixture
async def other(backend: str, tmp_path: Path, cluster: Cluster) -> AsyncIterator[Database]:
    """A store with nothing in it in the other database: PostgreSQL for SQLite, SQLite for PostgreSQL."""
    if backend == "sqlite":
        await asyncio.to_thread(cluster.create, "other")
    store = cluster.store("other") if backend == "sqlite" else sqlite_store(tmp_path / "other.db")
    await asyncio.to_thread(migrate, store)
    database = open_database(store)
    yield database
    await database.close()
    if backend == "sqlite":
        await asyncio.to_thread(cluster.drop, "other")


async def test_a_backup_says_what_it_is_and_how_many_rows_it_has(full: Database) -> None:
    lines = (await saved(full)).getvalue().splitlines(keepends=True)
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    assert first == {"format": "slurm-gateway state", "version": 1, "revision": "0003", "at": NOW}
    assert last["end"]["sha256"] == hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    assert {name: count for name, count in last["end"]["rows"].items() if count} == await counts(full)


async def test_what_is_asked_for_moves_to_another_database_as_it_was(full: Database, other: Database) -> None:
    outcome = await restore(other, Reader(await saved(full), REVISION), EVERYTHING, replace=False, now=LATER)
    before, after = await everything(full), await everything(other)
    assert {name: after[name] for name in ("attempts", "spent", "known_addresses", "recovery_codes", "submissions")} == {
        name: before[name] for name in ("attempts", "spent", "known_addresses", "recovery_codes", "submissions")
    }
    assert [await SessionStore(other).find(row.token_sha256) for row in (SESSION, TOKEN, OVER)] == [SESSION, TOKEN, None]
    assert {name: count for name, count in outcome.restored.items() if count} == await counts(other)


async def test_there_and_back_again_is_the_same(full: Database, other: Database) -> None:
    await restore(other, Reader(await saved(full), REVISION), EVERYTHING, replace=False, now=NOW)
    once = await everything(other)
    await restore(full, Reader(await saved(other), REVISION), EVERYTHING, replace=True, now=NOW)
    assert await everything(full) == once


async def test_codes_of_before_and_of_this_moment_are_used_up(full: Database, other: Database) -> None:
    await restore(other, Reader(await saved(full), REVISION), EVERYTHING, replace=False, now=NOW)
    authenticators = AuthenticatorStore(other)
    assert [await authenticators.claim_step("a", STEP + ahead, NOW) for ahead in (-1, 0, 1, 2, 3)] == [False] * 4 + [True]
    assert not await authenticators.claim_step("b", STEP + 9000, NOW)


async def test_what_may_have_been_ended_or_used_since_is_left_out(full: Database, other: Database) -> None:
    outcome = await restore(other, Reader(await saved(full), REVISION), Wanted(), replace=False, now=NOW)
    assert await counts(other) == {"authenticators": 2, "attempts": 1, "known_addresses": 1, "spent": 1, "submissions": 1}
    assert {name: count for name, count in outcome.left_out.items() if count} == {
        "sessions": 3,
        "accounts": 1,
        "authenticators": 1,
        "recovery_codes": 2,
        "tickets": 1,
    }


@pytest.mark.parametrize(("wanted", "ids"), [(Wanted(sessions=True), {"s1", "s2"}), (Wanted(tokens=True), {"t1"}), (Wanted(), set())])
async def test_sessions_and_tokens_are_asked_for_each_by_itself(full: Database, other: Database, wanted: Wanted, ids: set[str]) -> None:
    await restore(other, Reader(await saved(full), REVISION), wanted, replace=False, now=NOW)
    assert {row.id for kind in ("session", "token") for row in await SessionStore(other).of(kind)} == ids


async def test_what_was_spent_stays_spent_and_what_failed_stays_counted(full: Database, other: Database) -> None:
    await restore(other, Reader(await saved(full), REVISION), Wanted(), replace=False, now=LATER)
    assert not await SpentStore(other).spend("munge", b"m" * 32, now=LATER, expires_at=LATER + 1)
    assert await AttemptStore(other).peek((LIMIT,), LATER) is not None


async def test_a_recovery_code_that_was_used_since_stays_used_where_the_store_knows(full: Database) -> None:
    before = await saved(full)
    await AuthenticatorStore(full).claim_recovery_code("alice", CODES[1], LATER)
    await restore(full, Reader(before, REVISION), EVERYTHING, replace=True, now=LATER)
    assert await AuthenticatorStore(full).recovery_codes_left("alice") == 0


async def test_what_only_grows_is_merged_and_the_later_one_kept(full: Database) -> None:
    before = await saved(full)
    await KnownAddressStore(full).note("alice", "192.0.2.7", LATER, 86400)
    await KnownAddressStore(full).note("bob", "192.0.2.8", LATER, 86400)
    await SpentStore(full).spend("radius", b"r" * 32, now=LATER, expires_at=LATER + 86400)
    await restore(full, Reader(before, REVISION), Wanted(), replace=True, now=LATER)
    known = KnownAddressStore(full)
    assert [await known.is_known(*who, LATER) for who in (("alice", "192.0.2.7"), ("bob", "192.0.2.8"))] == [True, True]
    assert not await SpentStore(full).spend("radius", b"r" * 32, now=LATER, expires_at=LATER + 1)


async def test_a_store_that_is_not_empty_is_left_as_it_is(full: Database) -> None:
    file, before = await saved(full), await everything(full)
    with pytest.raises(NotEmptyError):
        await restore(full, Reader(file, REVISION), EVERYTHING, replace=False, now=NOW)
    with pytest.raises(NotEmptyError):
        await require_empty(full)
    assert await everything(full) == before


async def test_a_store_in_which_nothing_but_failures_stand_is_empty(database: Database) -> None:
    await AttemptStore(database).reserve("x", (LIMIT,), NOW)
    await require_empty(database)


async def test_with_replace_what_was_there_goes(full: Database) -> None:
    file = await saved(full)
    await AuthenticatorStore(full).add(replace(ALICE, id="e", username="eve"), most=1)
    await restore(full, Reader(file, REVISION), Wanted(), replace=True, now=NOW)
    assert await counts(full) == {"authenticators": 2, "attempts": 1, "known_addresses": 1, "spent": 1, "submissions": 1}
    assert await AuthenticatorStore(full).of("eve") == ()


async def test_a_survey_says_what_a_restore_would_do(full: Database, other: Database) -> None:
    file = await saved(full)
    surveyed = survey(Reader(file, REVISION), Wanted(tokens=True), NOW)
    restored = await restore(other, Reader(file, REVISION), Wanted(tokens=True), replace=False, now=NOW)
    assert (surveyed.restored, surveyed.left_out, surveyed.keys, surveyed.made_at) == (restored.restored, restored.left_out, frozenset({"k1"}), NOW)


async def test_a_backup_is_of_one_moment(full: Database) -> None:
    loop = asyncio.get_running_loop()
    lines: list[bytes] = []
    spent: list[bool] = []

    def write(line: bytes) -> None:
        lines.append(line)
        if b'"table":"accounts"' in line:
            late = SpentStore(full).spend("late", b"l" * 32, now=NOW, expires_at=LATER)
            spent.append(asyncio.run_coroutine_threadsafe(late, loop).result(5))

    await write_backup(full, write, revision=REVISION, now=NOW)
    assert (spent, any(b'"late"' in line for line in lines)) == ([True], False)


async def test_a_backup_that_is_broken_off_goes_no_further(full: Database) -> None:
    lines: list[bytes] = []
    reached, go = threading.Event(), threading.Event()

    def write(line: bytes) -> None:
        lines.append(line)
        if b'"table"' in line:
            reached.set()
            assert go.wait(10)

    task = asyncio.create_task(write_backup(full, write, revision=REVISION, now=NOW))
    await asyncio.to_thread(reached.wait, 10)
    task.cancel()
    await asyncio.wait({task})
    go.set()
    await full.close()
    assert (task.cancelled(), len(lines)) == (True, 2)


async def test_a_restore_that_is_broken_off_changes_nothing(full: Database, other: Database) -> None:
    reached, go = threading.Event(), threading.Event()

    class Slow(Reader):
        def __iter__(self) -> Iterator[tuple[Table, dict[str, Any]]]:
            for row in super().__iter__():
                reached.set()
                assert go.wait(10)
                yield row

    task = asyncio.create_task(restore(other, Slow(await saved(full), REVISION), EVERYTHING, replace=False, now=NOW))
    await asyncio.to_thread(reached.wait, 10)
    task.cancel()
    await asyncio.wait({task})
    go.set()
    await require_empty(other)
    assert (task.cancelled(), await counts(other)) == (True, {})


async def test_many_rows_are_read_and_written_some_at_a_time(database: Database, other: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "_AT_ONCE", 3)
    for number in range(10):
        await SpentStore(database).spend("munge", bytes([number]) * 32, now=NOW, expires_at=LATER)
    outcome = await restore(other, Reader(await saved(database), REVISION), Wanted(), replace=False, now=NOW)
    assert (outcome.restored["spent"], await counts(other)) == (10, {"spent": 10})


async def test_a_backup_that_fails_half_way_in_leaves_the_store_as_it_was(full: Database) -> None:
    good = (await saved(full)).getvalue().splitlines(keepends=True)
    twice = next(line for line in good if b'"id":"b"' in line)
    before = await everything(full)
    for bad in ([*good[:-1], twice], [*good[:5], *good[6:-1]]):
        file = io.BytesIO(sealed(bad) if bad[-1] == twice else b"".join([*bad, good[-1]]))
        with pytest.raises(BackupError):
            await restore(full, Reader(file, REVISION), EVERYTHING, replace=True, now=NOW)
    assert await everything(full) == before


# Whatever a file holds, it is a backup or it is refused.


def sealed(lines: list[bytes]) -> bytes:
    """Give lines an end that fits them."""
    rows = dict.fromkeys((table.name for table in metadata.sorted_tables), 0)
    for line in lines[1:]:
        try:
            rows[json.loads(line)["table"]] += 1
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    end = {"end": {"rows": rows, "sha256": hashlib.sha256(b"".join(lines)).hexdigest()}}
    return b"".join([*lines, json.dumps(end).encode() + b"\n"])


HEADER: dict[str, object] = {"format": "slurm-gateway state", "version": 1, "revision": REVISION, "at": NOW}
SPENT: dict[str, object] = {"kind": "munge", "digest": base64.b64encode(b"m" * 32).decode(), "expires_at": NOW}
KNOWN: dict[str, object] = {"username": "alice", "address": "192.0.2.7", "last_at": NOW}
ACCOUNT: dict[str, object] = {"username": "alice", "uid": 1001, "groups": "[]", "checked_at": NOW}


def line(fields: object) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def of(table: str, row: Mapping[str, object], header: Mapping[str, object] = HEADER) -> bytes:
    return sealed([line(header), line({"table": table, "row": row})])


def read(content: bytes) -> int:
    return len(list(Reader(io.BytesIO(content), REVISION)))


def test_a_backup_that_is_whole_is_read() -> None:
    assert [read(of("spent", SPENT)), read(of("known_addresses", KNOWN)), read(of("accounts", ACCOUNT)), read(sealed([line(HEADER)]))] == [1, 1, 1, 0]


BAD: dict[str, bytes] = {
    "nothing": b"",
    "no end": line(HEADER),
    "no newline": of("spent", SPENT)[:-1],
    "more": of("spent", SPENT) + b"\n",
    "another format": of("spent", SPENT, {**HEADER, "format": "tar"}),
    "another version": of("spent", SPENT, {**HEADER, "version": 2}),
    "a version that is true": of("spent", SPENT, {**HEADER, "version": True}),
    "another shape": of("spent", SPENT, {**HEADER, "revision": "0001"}),
    "no time": of("spent", SPENT, {**HEADER, "at": None}),
    "a time before time": of("spent", SPENT, {**HEADER, "at": -1}),
    "a time after time": of("spent", SPENT, {**HEADER, "at": 1e15}),
    "more in its first line": of("spent", SPENT, {**HEADER, "more": 1}),
    "a list": sealed([line(HEADER), b"[]\n"]),
    "no JSON": sealed([line(HEADER), b"nonsense\n"]),
    "no UTF-8": sealed([line(HEADER), b'{"table":"\xff"}\n']),
    "deep": sealed([line(HEADER), b"[" * 100_000 + b"\n"]),
    "a huge number": sealed([line(HEADER), b'{"table":' + b"9" * 10_000 + b"}\n"]),
    "a long line": sealed([line(HEADER), line({"table": "spent", "row": {**SPENT, "kind": "x" * 2_000_000}})]),
    "an unknown table": of("alembic_version", {"version_num": "9999"}),
    "a table that is a list": sealed([line(HEADER), line({"table": [], "row": SPENT})]),
    "a value that is missing": of("spent", {"kind": "munge", "digest": SPENT["digest"]}),
    "a value too many": of("spent", {**SPENT, "more": 1}),
    "no value": of("spent", {**SPENT, "kind": None}),
    "a text that is a number": of("spent", {**SPENT, "kind": 1}),
    "a text that is too long": of("spent", {**SPENT, "kind": "x" * 17}),
    "a text with a NUL": of("spent", {**SPENT, "kind": "a\0"}),
    "half a character": of("spent", {**SPENT, "kind": "\ud800"}),
    "no base64": of("spent", {**SPENT, "digest": "!!!!"}),
    "base64 that is no ASCII": of("spent", {**SPENT, "digest": "é"}),
    "a digest that is too short": of("spent", {**SPENT, "digest": base64.b64encode(b"m" * 31).decode()}),
    "bytes that are a number": of("spent", {**SPENT, "digest": 7}),
    "a time that is a text": of("spent", {**SPENT, "expires_at": "1.0"}),
    "a time that is true": of("spent", {**SPENT, "expires_at": True}),
    "a time without an end": sealed([line(HEADER), line({"table": "spent", "row": SPENT}).replace(b"1700000000.0", b"Infinity")]),
    "a time that is no number": sealed([line(HEADER), line({"table": "spent", "row": SPENT}).replace(b"1700000000.0", b"NaN")]),
    "a time beyond all numbers": of("spent", {**SPENT, "expires_at": 10**400}),
    "a time that is out of range": of("spent", {**SPENT, "expires_at": 1e300}),
    "a uid with a fraction": of("accounts", {**ACCOUNT, "uid": 1.5}),
    "a uid that is true": of("accounts", {**ACCOUNT, "uid": True}),
    "a uid that is too large": of("accounts", {**ACCOUNT, "uid": 2**63}),
    "groups that are no JSON": of("accounts", {**ACCOUNT, "groups": "x"}),
    "groups that are no list": of("accounts", {**ACCOUNT, "groups": "{}"}),
    "groups that are no texts": of("accounts", {**ACCOUNT, "groups": "[1]"}),
    "groups that are deep": of("accounts", {**ACCOUNT, "groups": "[" * 100_000}),
    "a count that does not fit": of("spent", SPENT).replace(b'"spent": 1', b'"spent": 2'),
    "an end with more": of("spent", SPENT).replace(b'"end": {', b'"end": {"more": 1, '),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_backup_is_refused(case: str) -> None:
    with pytest.raises(BackupError):
        read(BAD[case])


def test_a_refusal_shows_nothing_of_what_was_given() -> None:
    for content in (of("spent", {**SPENT, "kind": "hunter2" * 9}), b"hunter2\n", of("hunter2", SPENT)):
        with pytest.raises(BackupError) as caught:
            read(content)
        assert "hunter2" not in str(caught.value)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_backup_or_refused(content: bytes) -> None:
    with pytest.raises(BackupError):
        read(content)


@given(st.integers(0), st.integers(1, 255), st.sampled_from(["change", "cut", "double"]))
def test_a_backup_with_any_change_is_refused(place: int, change: int, how: str) -> None:
    good = sealed([line(HEADER), line({"table": "spent", "row": SPENT}), line({"table": "accounts", "row": ACCOUNT})])
    place %= len(good)
    changed = good[:place] + bytes([good[place] ^ change]) + good[place + 1 :]
    bad = {"change": changed, "cut": good[:place] + good[place + 1 :], "double": good[:place] + good[place : place + 1] + good[place:]}[how]
    try:
        read(bad)
    except BackupError:
        return
    # Blanks between the words of its last line, which the checksum is not about, change nothing.
    assert b"".join(bad.split()) == b"".join(good.split())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(st.sampled_from(sorted(metadata.tables)), st.data())
def test_any_row_with_an_end_that_fits_is_read_or_refused(table: str, data: st.DataObject) -> None:
    row = data.draw(st.fixed_dictionaries(dict.fromkeys(metadata.tables[table].columns.keys(), JSON)))
    try:
        assert read(of(table, row)) == 1
    except BackupError:
        return
