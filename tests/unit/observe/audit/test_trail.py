from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import AuditUnavailable
from gateway.observe.audit import AuditTrail, Event
from tests.web import fakes

SIGN_IN = Event(event="sign_in", at=1_700_000_000.25, user="alice")


def test_a_line_has_the_time_in_utc_and_the_fields_that_are_known() -> None:
    assert SIGN_IN.line() == b'{"time":"2023-11-14T22:13:20.250Z","event":"sign_in","user":"alice"}\n'


def test_nought_is_a_value_and_stands_in_the_line() -> None:
    assert json.loads(Event(event="request", at=0.0, status=0).line())["status"] == 0


@given(st.text(), st.text())
@settings(max_examples=60, deadline=None)
def test_no_value_can_begin_a_line_of_its_own(user: str, path: str) -> None:
    line = Event(event="refusal", at=0.0, user=user, path=path).line()
    assert (line.count(b"\n"), line.isascii(), json.loads(line)["user"]) == (1, True, user)


def test_undecodable_bytes_of_a_client_are_written_too() -> None:
    assert Event(event="refusal", at=0.0, path="/\udcff").line().isascii()


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
