from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from gateway.errors import AuditUnavailable
from gateway.observe.audit import AuditTrail, Event
from tests.unit.observe.audit.conftest import KEY, verified
from tests.web import fakes

SIGN_IN = Event(event="sign_in", at=1_700_000_000.25, user="alice")


async def test_events_are_appended_one_a_line_in_their_order(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path / "audit")
    for number in range(20):
        await trail.write(Event(event="request", at=float(number), status=number))
    trail.close()
    assert [line["status"] for line in fakes.json_lines(tmp_path / "audit")] == list(range(20))


async def test_an_event_is_in_the_file_once_write_returns(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path / "audit")
    await trail.write(SIGN_IN)
    assert (tmp_path / "audit").read_bytes() == SIGN_IN.line()
    trail.close()


async def test_many_writers_at_once_mix_no_lines(tmp_path: Path) -> None:
    trails = [AuditTrail(tmp_path / "audit") for _ in range(3)]
    await asyncio.gather(*(trail.write(Event(event="request", at=0.0, path="x" * 3000)) for trail in trails for _ in range(20)))
    for trail in trails:
        trail.close()
    assert len(fakes.json_lines(tmp_path / "audit")) == 60


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    AuditTrail(tmp_path / "audit").close()
    assert stat.S_IMODE((tmp_path / "audit").stat().st_mode) == 0o600


def test_what_is_there_already_is_kept(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text('{"event":"older"}\n')
    trail = AuditTrail(tmp_path / "audit")
    trail.write_now(SIGN_IN)
    trail.close()
    assert [line["event"] for line in fakes.json_lines(tmp_path / "audit")] == ["older", "sign_in"]


def test_after_it_was_moved_away_reopening_begins_a_new_file(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path / "audit")
    trail.write_now(SIGN_IN)
    (tmp_path / "audit").rename(tmp_path / "audit.1")
    trail.write_now(SIGN_IN)
    trail.reopen()
    trail.write_now(SIGN_IN)
    trail.close()
    assert [len(fakes.json_lines(tmp_path / name)) for name in ("audit.1", "audit")] == [2, 1]


def test_when_it_cannot_be_reopened_the_old_file_is_written_on(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    trail = AuditTrail(folder / "audit")
    folder.rename(tmp_path / "moved")
    with pytest.raises(AuditUnavailable):
        trail.reopen()
    trail.write_now(SIGN_IN)
    trail.close()
    assert len(fakes.json_lines(tmp_path / "moved" / "audit")) == 1


async def test_a_full_disk_is_said() -> None:
    trail = AuditTrail(Path("/dev/full"))
    with pytest.raises(AuditUnavailable):
        await trail.write(SIGN_IN)
    trail.close()


def test_a_line_that_was_cut_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = AuditTrail(tmp_path / "audit")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda _descriptor, data: len(data) - 1)
        with pytest.raises(AuditUnavailable):
            trail.write_now(SIGN_IN)
    trail.close()


def test_a_file_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(AuditUnavailable):
        AuditTrail(tmp_path / "nowhere" / "audit")


def test_without_a_file_the_trail_goes_to_standard_error(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with os.fdopen(os.dup(2), "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        trail = AuditTrail(None)
        trail.write_now(SIGN_IN)
        trail.close()
    assert capfd.readouterr().err.encode() == SIGN_IN.line()


def test_what_was_cut_short_does_not_take_the_next_line_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = tmp_path / "audit.log", os.write
    trail = AuditTrail(path)
    monkeypatch.setattr("os.write", lambda descriptor, data: real(descriptor, data[:10]))
    with pytest.raises(AuditUnavailable):
        trail.write_now(Event(event="one", at=0.0))
    monkeypatch.setattr("os.write", real)
    trail.write_now(Event(event="two", at=0.0))
    trail.close()
    assert json.loads(path.read_text().splitlines()[-1])["event"] == "two"


async def test_a_write_under_way_is_not_taken_for_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = tmp_path / "audit.log", os.write
    trail = AuditTrail(path)
    writing, go_on = threading.Event(), threading.Event()

    def slowly(descriptor: int, data: bytes) -> int:
        writing.set()
        go_on.wait(5)
        return real(descriptor, data)

    monkeypatch.setattr("os.write", slowly)
    under_way = asyncio.create_task(trail.write(Event(event="one", at=0.0)))
    await asyncio.to_thread(writing.wait, 5)
    asked = asyncio.create_task(trail.require())
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(under_way, asked)
    trail.close()
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["one"]


async def test_what_waits_at_once_goes_in_few_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail, real, writes = AuditTrail(tmp_path / "audit", KEY), os.write, []
    held = threading.Event()

    def counted(descriptor: int, data: bytes) -> int:
        if b'"event"' in data:
            held.wait(5)
            writes.append(data)
        return real(descriptor, data)

    monkeypatch.setattr("os.write", counted)
    waiting = [asyncio.create_task(trail.write(SIGN_IN)) for _ in range(50)]
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(*waiting)
    trail.close()
    assert len(writes) <= 4
    assert verified(tmp_path / "audit").lines == 52


async def test_whoever_goes_away_takes_no_line_back(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path / "audit", KEY)
    task = asyncio.create_task(trail.write(SIGN_IN))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    trail.close()
    assert len(fakes.json_lines(tmp_path / "audit")) == 1


async def test_a_batch_that_cannot_be_written_fails_for_all_and_the_trail_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail, real = AuditTrail(tmp_path / "audit", KEY), os.write
    monkeypatch.setattr("os.write", lambda descriptor, data: real(descriptor, data[:10]))
    outcomes = await asyncio.gather(*(trail.write(SIGN_IN) for _ in range(5)), return_exceptions=True)
    assert ([type(outcome) for outcome in outcomes], trail.failing) == ([AuditUnavailable] * 5, True)
    monkeypatch.setattr("os.write", real)
    await trail.require()
    trail.close()
    assert ([line["event"] for line in fakes.json_lines(tmp_path / "audit")], verified(tmp_path / "audit").sound) == (["trail_resumed"], True)


async def test_a_trail_is_signed_when_asked_and_when_it_is_closed(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path / "audit", KEY)
    assert await trail.sign() is None
    await trail.write(SIGN_IN)
    head = await trail.sign()
    await trail.write(SIGN_IN)
    trail.close()
    found = verified(tmp_path / "audit")
    assert (head is not None and head.seq, found.last_head_seq, found.last_seq, found.heads, found.notes) == (3, 5, 5, 3, [])


def test_what_is_no_plain_file_is_written_unchained(capfd: pytest.CaptureFixture[str]) -> None:
    trail = AuditTrail(Path("/dev/null"), KEY)
    trail.write_now(SIGN_IN)
    with pytest.raises(AuditUnavailable):
        trail.rotate()
    trail.close()
    assert (capfd.readouterr().err, Path("/dev/null.head").exists()) == ("", False)


def test_a_chained_trail_follows_its_file_unasked(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path / "audit", KEY)
    trail.write_now(SIGN_IN)
    (tmp_path / "audit").rename(tmp_path / "audit.1")
    trail.write_now(SIGN_IN)
    trail.reopen()
    trail.close()
    assert ([len(fakes.json_lines(tmp_path / name)) for name in ("audit.1", "audit")], verified(tmp_path / "audit").sound) == ([1, 1], True)
