from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import AuditUnavailable
from gateway.observe.audit import chain
from gateway.observe.audit.file import ChainedFile, head_path, new_trail, place
from gateway.observe.audit.head import SIZE, decode, encode, is_trail
from gateway.observe.audit.reading import siblings
from tests.unit.observe.audit.conftest import KEY, OTHER_KEY, event, kinds, verified
from tests.web import fakes

ROOT = Path(__file__).resolve().parents[4]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def causes(path: Path) -> list[str]:
    return [line["cause"] for line in lines(path) if line["event"] == "chain_head"]


def test_each_line_has_its_number_and_the_hash_of_the_line_before(trail: ChainedFile, path: Path) -> None:
    trail.append([event(1), event(2)])
    trail.append([event(3)])
    raw = path.read_bytes().splitlines(keepends=True)
    found = [json.loads(line) for line in raw]
    assert [line["seq"] for line in found] == [1, 2, 3, 4]
    assert [line["prev"] for line in found] == [chain.ZEROS, *(chain.digest(line) for line in raw[:-1])]


def test_a_trail_begins_with_a_signed_head(trail: ChainedFile, path: Path) -> None:
    trail.append([event(1)])
    first = lines(path)[0]
    assert (first["event"], first["cause"], first["key"], is_trail(first["trail"])) == ("chain_head", "first", KEY.fingerprint, True)


def test_what_was_written_is_sound(trail: ChainedFile, path: Path) -> None:
    for number in range(5):
        trail.append([event(number)])
    found = verified(path)
    assert (found.sound, found.lines, found.heads) == (True, 6, 1)


def test_several_writers_write_one_chain(trail: ChainedFile, path: Path) -> None:
    other = ChainedFile(path, KEY)
    for number in range(10):
        (trail, other)[number % 2].append([event(number)])
    other.close()
    assert (verified(path).sound, [line["seq"] for line in lines(path)]) == (True, list(range(1, 12)))


def test_nothing_is_signed_twice(trail: ChainedFile, path: Path) -> None:
    assert trail.sign("interval") is None
    trail.append([event(1)])
    for _ in range(3):
        head = trail.sign("interval")
    assert (head is not None and head.seq, causes(path)) == (3, ["first", "interval"])


def test_files_are_their_owners_alone(trail: ChainedFile, path: Path) -> None:
    trail.append([event(1)])
    assert {stat.S_IMODE(file.stat().st_mode) for file in (path, head_path(path))} == {0o600}


# Rotation.


def test_after_a_mv_the_chain_goes_on_in_a_new_file(trail: ChainedFile, path: Path) -> None:
    trail.append([event(1)])
    path.rename(path.with_name("audit.log.1"))
    trail.append([event(2)])
    assert ([line["seq"] for line in lines(path)], causes(path), verified(path).sound) == ([3, 4], ["file"], True)


def test_after_copytruncate_the_chain_goes_on(trail: ChainedFile, path: Path) -> None:
    trail.append([event(1)])
    shutil.copyfile(path, path.with_name("audit.log.1"))
    os.truncate(path, 0)
    trail.append([event(2)])
    assert (causes(path), verified(path).sound) == (["file"], True)


def test_rotating_signs_puts_away_and_begins_the_next(trail: ChainedFile, path: Path) -> None:
    trail.append([event(1)])
    name = trail.rotate()
    assert name is not None
    assert (causes(name), causes(path), verified(path).sound) == (["first", "rotation"], ["file"], True)


def test_rotating_twice_in_a_second_overwrites_nothing(path: Path) -> None:
    trail = ChainedFile(path, KEY, clock=lambda: 1_700_000_000.0)
    trail.append([event(1)])
    names = [trail.rotate() for _ in range(3)]
    trail.close()
    assert (len(set(names)), len(siblings(path)), verified(path).sound) == (3, 4, True)


def test_where_nothing_is_there_is_nothing_to_rotate(trail: ChainedFile) -> None:
    assert trail.rotate() is None


# What goes wrong.


def test_lines_that_were_there_before_the_chain_are_kept_and_told_apart(path: Path) -> None:
    path.write_text('{"event":"older"}\n')
    trail = ChainedFile(path, KEY)
    trail.append([event(1)])
    trail.close()
    found = verified(path)
    assert (found.sound, "before the chain" in found.notes[0]) == (True, True)


def test_a_line_that_was_cut_is_taken_back(trail: ChainedFile, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail.append([event(1)])
    before, real = path.read_bytes(), os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:10]))
        with pytest.raises(AuditUnavailable):
            trail.append([event(2)])
    assert path.read_bytes() == before
    trail.append([event(3)])
    assert (verified(path).sound, verified(path).notes[:1]) == (True, ["2 line(s) since the last signed head"])


@pytest.fixture
def torn(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChainedFile]:
    """A trail whose writer died in the middle of a line: where nothing can be taken back (chattr +a), it is the same."""
    trail, real = ChainedFile(path, KEY), os.write
    trail.append([event(1)])
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: real(descriptor, data[: len(data) - 20]))
        patched.setattr(os, "ftruncate", _refused)
        with pytest.raises(AuditUnavailable):
            trail.append([event(2), event(3)])
    yield trail
    trail.close()


def _refused(*_: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def test_a_torn_line_is_no_fault_even_before_anybody_writes_again(torn: ChainedFile, path: Path) -> None:
    assert torn is not None
    found = verified(path)
    assert (found.sound, "cut short" in found.notes[0]) == (True, True)


def test_a_torn_line_is_closed_and_the_next_is_signed_and_says_so(torn: ChainedFile, path: Path) -> None:
    torn.append([event(4)])
    raw = path.read_bytes().splitlines(keepends=True)
    *whole, broken, head, last = raw
    assert ([json.loads(line)["seq"] for line in (*whole, head, last)], json.loads(head)["cause"]) == ([1, 2, 3, 4, 5], "torn")
    assert json.loads(head)["prev"] == chain.digest(broken)
    found = verified(path)
    assert (found.sound, "cut short" in found.notes[0]) == (True, True)


def test_a_torn_line_is_remembered_when_its_closing_fails_too(torn: ChainedFile, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: real(descriptor, data) if data == b"\n" else _refused())
        with pytest.raises(AuditUnavailable):
            torn.append([event(4)])
    torn.append([event(5)])
    assert verified(path).sound


def test_a_torn_line_at_the_end_of_a_file_that_was_moved_away_is_closed_there(torn: ChainedFile, path: Path) -> None:
    path.rename(path.with_name("audit.log.1"))
    fresh = ChainedFile(path, KEY)
    fresh.append([event(4)])
    fresh.close()
    assert (torn is not None, verified(path).sound, causes(path)) == (True, True, ["torn"])


@pytest.mark.parametrize("done", ["nothing", "all", "a line", "all but the newline"])
@pytest.mark.parametrize("moved", [False, True])
def test_whatever_a_writer_dies_between_the_chain_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch, done: str, moved: bool) -> None:
    trail, real, noted = ChainedFile(path, KEY), os.write, os.pwrite
    trail.append([event(1)])
    writes = {"nothing": 0, "all": 10_000, "a line": 150, "all but the newline": -1}
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: real(descriptor, data[: writes[done]]) and _died())
        patched.setattr(os, "pwrite", lambda *words: noted(*words) if b'"next":{' in words[1] else _died())
        with pytest.raises(_DiedError):
            trail.append([event(2), event(3)])
    trail.close()
    assert verified(path).sound
    if moved:
        path.rename(path.with_name("audit.log.1"))
    fresh = ChainedFile(path, KEY)
    fresh.append([event(4)])
    fresh.close()
    found = verified(path)
    assert found.sound, found.faults


class _DiedError(Exception):
    pass


def _died() -> int:
    raise _DiedError


def test_lines_of_somebody_elses_are_found_by_the_next_writer(trail: ChainedFile, path: Path) -> None:
    trail.append([event(1)])
    raw = path.read_bytes().splitlines(keepends=True)
    with path.open("ab") as file:
        file.write(chain.link(event(2), 3, chain.digest(raw[-1])))
    assert kinds(verified(path)) == ["added_lines"]
    trail.append([event(3)])
    assert (kinds(verified(path)), causes(path)) == (["added_lines"], ["first", "foreign_lines"])


def test_that_lines_are_gone_is_found_by_the_next_writer(trail: ChainedFile, path: Path) -> None:
    for number in range(3):
        trail.append([event(number)])
    os.truncate(path, path.read_bytes().rindex(b"\n", 0, -1) + 1)
    trail.append([event(3)])
    assert ("missing_lines" in kinds(verified(path)), causes(path)) == (True, ["first", "cut"])


@pytest.mark.parametrize("harm", ["missing", "garbage", "forged", "empty"])
def test_a_head_file_that_was_lost_or_forged_is_told_for_good(trail: ChainedFile, path: Path, harm: str) -> None:
    trail.append([event(1), event(2)])
    head = head_path(path)
    if harm == "missing":
        head.unlink()
    else:
        made = decode(head.read_bytes(), KEY)[0]
        assert made is not None
        forged = encode(made, KEY).replace(b'"seq":3', b'"seq":2')
        head.write_bytes({"garbage": b"x" * SIZE, "forged": forged, "empty": b""}[harm])
    assert kinds(verified(path)) == ["forged_head"]
    trail.append([event(3)])
    assert ([line["seq"] for line in lines(path)], causes(path), kinds(verified(path))) == ([1, 2, 3, 4, 5], ["first", "head_lost"], ["forged_head"])


def test_a_new_key_is_announced_and_both_keys_verify(trail: ChainedFile, path: Path) -> None:
    trail.append([event(1)])
    fresh = ChainedFile(path, OTHER_KEY)
    fresh.append([event(2)])
    fresh.close()
    found = verified(path, key=OTHER_KEY, keys=(KEY, OTHER_KEY))
    assert (found.sound, causes(path)) == (True, ["first", "new_key"])
    assert kinds(verified(path, key=OTHER_KEY, keys=(OTHER_KEY,))) == ["wrong_signature"]


def test_a_trail_without_its_head_and_with_an_endless_last_line_goes_on(trail: ChainedFile, path: Path) -> None:
    trail.append([event(1)])
    head_path(path).unlink()
    with path.open("ab") as file:
        file.write(b"x" * 3_000_000)
    trail.append([event(2)])
    assert "changed_line" in kinds(verified(path))


def test_a_lock_that_is_kept_too_long_is_said(path: Path) -> None:
    import fcntl  # noqa: PLC0415 - this test alone takes the lock

    trail = ChainedFile(path, KEY, patience=0.01)
    descriptor = os.open(head_path(path), os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(AuditUnavailable, match="locked"):
        trail.append([event(1)])
    os.close(descriptor)
    trail.append([event(1)])
    trail.close()


@pytest.mark.parametrize("name", ["audit.log", "audit.log.head"])
def test_a_link_is_not_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditUnavailable):
        ChainedFile(tmp_path / "audit.log", KEY)


def test_the_name_of_a_trail_tells_whose_file_it_is(path: Path) -> None:
    assert (new_trail(path).endswith("." + place(path)), place(path) == place(path.with_name("other")), is_trail(new_trail(path))) == (
        True,
        False,
        True,
    )


# Several processes.

WRITER = """
import sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gateway.observe.audit import AuditKey, Event
from gateway.observe.audit.file import ChainedFile
path, number, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
trail = ChainedFile(path, AuditKey(Ed25519PrivateKey.from_private_bytes(b"k" * 32)))
for line in range(count):
    trail.append([Event(event="request", at=0.0, status=line, user=f"writer-{number}").line()])
    if line % 100 == 50:
        trail.sign("interval")
trail.close()
"""


def _writer(path: Path, number: int, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(number), str(count)], cwd=ROOT)


def test_processes_that_write_at_once_while_files_are_moved_and_one_is_killed_leave_one_sound_chain(path: Path) -> None:
    victim = _writer(path, 9, 1_000_000)
    fakes.wait_for(lambda: path.exists() and path.stat().st_size > 20_000, 20)
    writers = [_writer(path, number, 500) for number in range(4)]
    moved = 0
    while any(writer.poll() is None for writer in writers):
        if path.exists() and path.stat().st_size > 60_000:
            moved += 1
            path.rename(path.with_name(f"audit.log.{moved}"))
        if moved == 3 and victim.poll() is None:
            victim.send_signal(signal.SIGKILL)
            victim.wait()
    victim.kill()
    victim.wait()
    assert [writer.returncode for writer in writers] == [0] * 4
    last = ChainedFile(path, KEY)
    last.append([event(1)])
    last.sign("end")
    last.close()
    found = verified(path)
    assert (found.sound, moved > 2, found.last_seq) == (True, True, found.lines), found.faults
    written = [line for file in siblings(path) for line in lines(file) if str(line.get("user")).startswith("writer-")]
    for number in range(4):
        assert sorted(line["status"] for line in written if line["user"] == f"writer-{number}") == list(range(500))
