"""The journal on disk: what was announced is there, a torn end is cut off, other damage is named, and there is one queue a folder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.client.errors import GatewayError
from gateway.client.queue.journal import FOLDER, Journal, glance
from gateway.client.queue.ledger import Status
from gateway.client.queue.records import Ended, Intended, Opened, Record, Submitted

RECORDS: tuple[Record, ...] = (
    Opened(url="https://g", cluster=None, username="carol", at=0.0),
    Intended(file="a\udcff.json", key="k", sha256="s", path="/p", name="n", attempt=1, size=1, mtime_ns=2, at=1.0),
    Submitted(file="a\udcff.json", key="k", job_id=90, at=2.0),
    Ended(file="a\udcff.json", job_id=90, state="COMPLETED", exit_code=0, at=3.0),
)

MAKE_ROOM = "The queue writes down what it does before it does it. Make room, or let it write there, and start it again: it goes on where it was."


def written(folder: Path, *records: Record) -> Path:
    with Journal(folder) as journal:
        for record in records:
            journal.write(record)
    return folder / FOLDER / "journal.jsonl"


def test_what_was_written_is_there_again(tmp_path: Path) -> None:
    written(tmp_path, *RECORDS)
    with Journal(tmp_path) as journal:
        assert journal.ledger.entries["a\udcff.json"].status is Status.COMPLETED
        assert journal.ledger.owner == RECORDS[0]


def test_each_record_is_synced_before_it_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(tmp_path) as journal:
        synced: list[int] = []
        monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
        for record in RECORDS:
            journal.write(record)
            assert synced[-1] == (tmp_path / FOLDER / "journal.jsonl").stat().st_size
        assert len(synced) == len(RECORDS)


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    file = written(tmp_path, *RECORDS)
    with Journal(tmp_path) as journal:
        journal.keep_body("k", b"{}")
    assert [path.stat().st_mode & 0o077 for path in (file.parent, *file.parent.iterdir())] == [0] * 4


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.sampled_from([b"", b"\0\0\0", b'{"n": 9']))
def test_a_torn_end_is_cut_off(tmp_path_factory: pytest.TempPathFactory, cut: int, rest: bytes) -> None:
    folder = tmp_path_factory.mktemp("torn")
    file = written(folder, *RECORDS)
    whole = file.read_bytes()
    left = whole[: cut % (len(whole) + 1)] + rest
    file.write_bytes(left)
    lines = left.count(b"\n")
    assert len(glance(folder).ledger.entries) == (lines > 1)
    assert file.read_bytes() == left
    with Journal(folder) as journal:
        for record in RECORDS[lines:]:
            journal.write(record)
    assert file.read_bytes() == whole


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("damage", [b"", b"{}", b'{"n": 1}', b"\0"])
def test_other_damage_is_named_by_its_line_and_nothing_is_touched(tmp_path: Path, number: int, damage: bytes) -> None:
    file = written(tmp_path, *RECORDS)
    lines = file.read_bytes().splitlines()
    lines[number - 1] = damage
    file.write_bytes(b"\n".join(lines) + b"\n")
    before = file.read_bytes()
    for look in (lambda: Journal(tmp_path).__enter__(), lambda: glance(tmp_path)):
        with pytest.raises(GatewayError, match=f"line {number}, is broken") as caught:
            look()
        assert caught.value.reason == "journal_broken"
        assert caught.value.hint == (
            f"Look at that line. If the file is beyond repair, move the folder {tmp_path / FOLDER} away: "
            "the next queue then submits every job file that is still there anew."
        )
    assert file.read_bytes() == before


def test_a_line_that_is_missing_is_noticed(tmp_path: Path) -> None:
    file = written(tmp_path, *RECORDS)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:2] + lines[3:]))
    with pytest.raises(GatewayError, match="line 3, is broken: a line is missing, or there twice"):
        glance(tmp_path)


def test_a_disk_that_is_full_ends_the_queue_and_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(tmp_path) as journal:
        journal.write(RECORDS[0])
        file = tmp_path / FOLDER / "journal.jsonl"
        before = file.read_bytes()
        real = os.write

        def full(handle: int, content: bytes) -> int:
            if len(content) > 10:
                return real(handle, content[:10])
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(GatewayError, match="No space left on device") as caught:
                journal.write(RECORDS[1])
        assert caught.value.hint == MAKE_ROOM
        assert file.read_bytes() == before
        with pytest.raises(GatewayError, match="closed") as caught:
            journal.write(RECORDS[1])
        assert caught.value.hint == "Start the queue again."
    written(tmp_path, *RECORDS[1:])


def test_a_folder_that_cannot_be_written_to_is_told_of(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file")
    with pytest.raises(GatewayError) as caught:
        Journal(tmp_path).__enter__()
    assert caught.value.hint == MAKE_ROOM


def test_a_second_queue_is_refused_with_who_has_the_folder(tmp_path: Path) -> None:
    with Journal(tmp_path):
        with pytest.raises(GatewayError, match=f"a queue runs on {tmp_path} already: process {os.getpid()} on ") as caught:
            Journal(tmp_path).__enter__()
        assert caught.value.reason == "queue_runs"
        assert "--status" in caught.value.hint
        holder = glance(tmp_path).holder
        assert holder is not None
        assert holder.pid == os.getpid()
    assert glance(tmp_path).holder is None


def test_looking_keeps_nobody_out(tmp_path: Path) -> None:
    for _ in range(50):
        glance(tmp_path)
        with Journal(tmp_path):
            pass


def test_the_lock_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    module = "from pathlib import Path; from gateway.client.queue.journal import Journal"
    code = f"import os; {module}; Journal(Path({str(tmp_path)!r})).__enter__(); os.abort()"
    subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    with Journal(tmp_path):
        pass


def test_who_holds_it_may_not_be_known(tmp_path: Path) -> None:
    with Journal(tmp_path):
        (tmp_path / FOLDER / "lock").write_text("garbage")
        assert str(glance(tmp_path).holder) == "another process"


def test_bodies_are_kept_until_they_are_settled(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.write(RECORDS[0])
        journal.keep_body("k", b"bytes")
        journal.keep_body("of-nothing", b"bytes")
        journal.write(RECORDS[1])
    with Journal(tmp_path) as journal:
        assert journal.body("k") == b"bytes"
        assert journal.body("of-nothing") is None
        journal.drop_body("k")
        assert journal.body("k") is None


def test_only_looking_touches_nothing(tmp_path: Path) -> None:
    assert glance(tmp_path).ledger.entries == {}
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_may_not_be_read_is_told_of(tmp_path: Path) -> None:
    written(tmp_path, *RECORDS).unlink()
    (tmp_path / FOLDER / "journal.jsonl").mkdir()
    with pytest.raises(GatewayError, match="cannot be read") as caught:
        glance(tmp_path)
    assert "as the user who runs the queue" in caught.value.hint


def test_it_knows_how_the_clock_of_the_folder_differs(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        assert abs(journal.skew) < 5
        assert json.loads((tmp_path / FOLDER / "lock").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_named_as_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(GatewayError, match="cannot be locked: ") as caught, Journal(tmp_path):
        pass
    assert caught.value.hint == (
        "Two queues on one folder would submit all twice, so none runs where they cannot tell. Put the job files on another file system, "
        "or have this one mounted with locks (Lustre: -o flock; NFS: with lockd)."
    )
    assert caught.value.reason == "journal_unlockable"
    assert glance(tmp_path).holder is None
