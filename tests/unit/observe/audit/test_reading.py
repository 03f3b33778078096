from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.audit.file import ChainedFile
from gateway.observe.audit.reading import LONGEST, Opened, open_trail, siblings
from tests.unit.observe.audit.conftest import KEY, event, verified


def opened(*paths: Path) -> Opened:
    return open_trail(paths, KEY, headed=None)


NAMES = {
    "audit.log": True,
    "audit.log.1": True,
    "audit.log.2.gz": True,
    "audit.log-20260131": True,
    "audit.log-20260131.gz": True,
    "audit.log-20260131T080000Z": True,
    "audit.log-20260131T080000Z.1": True,
    "audit.log.head": False,
    "audit.log.bak": False,
    "audit.log2": False,
    "other.log.1": False,
}


def test_what_a_trail_was_rotated_to_is_found_by_its_name(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).touch()
    assert {path.name for path in siblings(tmp_path / "audit.log")} == {name for name, wanted in NAMES.items() if wanted}


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert siblings(tmp_path / "nowhere" / "audit.log") == []


def test_files_come_in_the_order_of_their_chain_whatever_they_are_called(trail: ChainedFile, path: Path) -> None:
    for name in ("audit.log.7", "audit.log.1", "audit.log.3"):
        trail.append([event(1)])
        path.rename(path.with_name(name))
    trail.append([event(1)])
    found = opened(*siblings(path))
    found.close()
    assert [Path(file.name).name for file in found.files] == ["audit.log.7", "audit.log.1", "audit.log.3", "audit.log"]


def test_packed_files_are_read_too(trail: ChainedFile, path: Path) -> None:
    trail.append([event(1)])
    path.with_name("audit.log.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    trail.append([event(2)])
    found = verified(path)
    assert (found.sound, found.lines) == (True, 4)


def test_a_packed_file_that_is_damaged_is_said(tmp_path: Path) -> None:
    packed = gzip.compress(event(1) * 1000)
    (tmp_path / "a.gz").write_bytes(packed[: len(packed) // 2])
    found = opened(tmp_path / "a.gz")
    list(found.lines())
    found.close()
    assert (found.files[0].broken or "").startswith("cannot be read to its end")


@given(content=st.lists(st.sampled_from([b"a", b"\n", b"{}\n", b"\0\r\xff"]), max_size=30).map(b"".join))
def test_lines_are_all_that_is_in_the_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("lines") / "file"
    path.write_bytes(content)
    found = opened(path)
    lines = list(found.lines())
    found.close()
    assert b"".join(line.data or b"" for line in lines) == content
    assert all(line.digest == hashlib.sha256(line.data or b"").hexdigest() for line in lines)
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))


def test_an_endless_line_is_hashed_and_not_kept(tmp_path: Path) -> None:
    long = b"x" * (3 * LONGEST + 7) + b"\n"
    (tmp_path / "file").write_bytes(b"a\n" + long + b"b\n")
    found = opened(tmp_path / "file")
    lines = list(found.lines())
    found.close()
    assert [line.data for line in lines] == [b"a\n", None, b"b\n"]
    assert lines[1].digest == hashlib.sha256(long).hexdigest()


def test_what_is_written_while_it_is_read_is_not_looked_at(trail: ChainedFile, path: Path) -> None:
    trail.append([event(1)])
    found = open_trail([path], KEY, headed=path)
    trail.append([event(2)])
    lines = list(found.lines())
    found.close()
    assert (len(lines), found.head is not None and found.head.seq) == (2, 2)


def test_events_are_what_is_json(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(event(1) + b"garbage\n[]\n" + b"x" * (LONGEST + 1) + b"\n" + event(2))
    found = opened(tmp_path / "file")
    assert [fields["status"] for fields in found.events()] == [1, 2]
    found.close()


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    with pytest.raises(OSError, match=r"."):
        opened(path)
