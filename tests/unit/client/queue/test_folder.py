"""Which files are job files, when they are whole, in which order they go, and how they are set aside."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.errors import GatewayError, JobFileError
from gateway.client.queue.folder import Found, Stillness, by_name, by_time, content, is_job_file, look, place_aside, put_aside


def found(name: str, *, size: int = 1, mtime_ns: int = 0, ctime: float = 0.0) -> Found:
    return Found(file=name, size=size, mtime_ns=mtime_ns, ctime=ctime)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.json", True),
        ("a.YAML", True),
        ("a.yml", True),
        ("a.sh", True),
        ("a.sbatch", True),
        ("a.slurm", True),
        ("a.job", True),
        (".a.json", False),
        ("a.json~", False),
        ("a.json.tmp", False),
        ("a.json.part", False),
        (".a.json.swp", False),
        ("slurm-90.out", False),
        ("README", False),
    ],
)
def test_a_job_file_is_called_like_one(name: str, *, expected: bool) -> None:
    assert is_job_file(name) is expected


def test_numbers_in_names_go_by_their_size() -> None:
    names = ["job10.json", "job2.json", "Job1.json", "job2a.json", "job02.json", "a.json"]
    assert [one.file for one in sorted(map(found, names), key=by_name)] == [
        "Job1.json",
        "a.json",
        "job02.json",
        "job2.json",
        "job2a.json",
        "job10.json",
    ]


@given(st.lists(st.text(st.sampled_from("a1٣0.²\udcff"), max_size=8), unique=True))
def test_every_name_has_its_place(names: list[str]) -> None:
    once = [one.file for one in sorted(map(found, names), key=by_name)]
    assert [one.file for one in sorted(map(found, reversed(once)), key=by_name)] == once


def test_by_time_the_oldest_goes_first() -> None:
    assert [one.file for one in sorted([found("b", mtime_ns=2), found("c", mtime_ns=1), found("a", mtime_ns=2)], key=by_time)] == ["c", "a", "b"]


def test_a_look_tells_job_files_from_others(tmp_path: Path) -> None:
    for name in ("b10.json", "b9.sh", "notes.txt", ".hidden"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "link.json").symlink_to("nowhere")
    (tmp_path / "good.json").symlink_to("b9.sh")
    seen = look(tmp_path)
    assert [(one.file, one.regular) for one in seen.files] == [
        ("b9.sh", True),
        ("b10.json", True),
        ("folder.json", False),
        ("good.json", True),
        ("link.json", False),
    ]
    assert seen.others == ("notes.txt",)


def test_a_folder_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="cannot be read: No such file") as caught:
        look(tmp_path / "none")
    assert caught.value.hint == "Name a folder with job files: slurm-gateway queue DIR"


def names(still: tuple[list[Found], float | None]) -> list[str]:
    return [one.file for one in still[0]]


def test_an_old_file_is_still_at_once() -> None:
    assert names(Stillness(1.0).still([found("a", ctime=5.0)], wall=10.0, now=0.0)) == ["a"]


def test_a_new_file_is_still_after_a_while() -> None:
    stillness = Stillness(1.0)
    assert stillness.still([found("a", ctime=10.0)], wall=10.0, now=0.0) == ([], 1.0)
    assert names(stillness.still([found("a", ctime=10.0)], wall=11.0, now=1.0)) == ["a"]


def test_one_that_grows_is_not_still() -> None:
    stillness = Stillness(1.0)
    for now in range(5):
        assert names(stillness.still([found("a", size=now, ctime=0.0 if now else 99.0)], wall=99.0, now=float(now))) == []
    assert names(stillness.still([found("a", size=4)], wall=99.0, now=5.0)) == ["a"]


def test_where_clocks_differ_what_is_seen_counts() -> None:
    stillness = Stillness(1.0)
    assert names(stillness.still([found("a", ctime=500.0)], wall=10.0, now=0.0)) == []
    assert names(stillness.still([found("a", ctime=500.0)], wall=11.0, now=1.0)) == ["a"]


def test_one_that_is_being_written_holds_up_those_behind_it_but_not_for_ever() -> None:
    stillness = Stillness(1.0)
    for now in range(4):
        still = names(stillness.still([found("a", size=now, ctime=100.0), found("b", ctime=0.0)], wall=100.0, now=float(now)))
        assert still == (["b"] if now >= 3 else [])


def test_without_a_time_to_settle_all_are_taken() -> None:
    assert names(Stillness(0.0).still([found("a", ctime=10.0)], wall=10.0, now=0.0)) == ["a"]


def test_what_is_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert content(tmp_path, "a.json", 2) == b"{}"
    assert content(tmp_path, "none.json", 2) is None


def make(folder: Path, kind: str) -> None:
    file = folder / "a.json"
    if kind == "large":
        with file.open("wb") as stream:
            stream.truncate(10**8)
    elif kind == "empty":
        file.write_text(" \n")
    elif kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "link":
        file.symlink_to("nowhere")
    else:
        file.symlink_to("a.json")


@pytest.mark.parametrize(
    ("kind", "why", "hint"),
    [
        ("large", "a.json has 100000000 bytes; 1000 are the most", "Put large data into files on the cluster and name them in the job."),
        ("empty", "a.json is empty", "Write a job into it: 'slurm-gateway submit --help' says in which forms."),
        ("folder", "a.json is no file", "Put job files here: JSON, YAML or batch scripts."),
        ("pipe", "a.json is no file", "Put job files here: JSON, YAML or batch scripts."),
        ("link", "a.json is a link to nothing", "Put the job file itself here."),
        ("loop", "a.json cannot be read: Too many levels of symbolic links", "Make it readable, and put it back."),
    ],
)
def test_what_is_no_job_file_is_refused_with_a_hint(tmp_path: Path, kind: str, why: str, hint: str) -> None:
    make(tmp_path, kind)
    with pytest.raises(JobFileError, match=why) as caught:
        content(tmp_path, "a.json", 1000)
    assert caught.value.hint == hint


def test_a_file_is_set_aside_with_the_reason_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    put_aside(tmp_path, "a.json", "a.json", "why\n")
    assert {path.name: path.read_text() for path in (tmp_path / "set-aside").iterdir()} == {"a.json": "{", "a.json.reason.txt": "why\n"}
    assert not (tmp_path / "a.json").exists()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "a.json").write_text(str(number))
        put_aside(tmp_path, "a.json", place_aside(tmp_path, "a.json"), "")
    assert {path.name: path.read_text() for path in (tmp_path / "set-aside").glob("*[!t]")} == {"a.json": "0", "a.json.1": "1", "a.json.2": "2"}


def test_a_reason_that_is_left_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / "set-aside").mkdir()
    (tmp_path / "set-aside" / "a.json.reason.txt").touch()
    assert place_aside(tmp_path, "a.json") == "a.json.1"


def test_to_set_aside_twice_is_to_set_aside_once(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    put_aside(tmp_path, "a.json", "a.json", "why\n")
    (tmp_path / "a.json").write_text("a new one")
    put_aside(tmp_path, "a.json", "a.json", "why\n")
    assert (tmp_path / "a.json").read_text() == "a new one"
    assert (tmp_path / "set-aside" / "a.json").read_text() == "{"


def test_a_name_as_long_as_can_be_has_room_for_its_reason(tmp_path: Path) -> None:
    name = "\u00e4" * 125 + ".json"
    (tmp_path / name).write_text("{")
    put_aside(tmp_path, name, place_aside(tmp_path, name), "why")
    assert len(list((tmp_path / "set-aside").iterdir())) == 2


def test_a_folder_that_nothing_can_be_moved_in_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "set-aside").write_text("in the way")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(GatewayError, match=r"a\.json cannot be moved") as caught:
        put_aside(tmp_path, "a.json", "a.json", "why")
    assert caught.value.hint.startswith("set-aside has to be a folder that the queue may write to")


@pytest.mark.parametrize("name", ["a.json", "notes.txt"])
@pytest.mark.parametrize("target", ["{name}", "b.json/x", "x" * 300], ids=["itself", "below-a-file", "too-long"])
def test_a_link_that_leads_nowhere_holds_up_nobody_else(tmp_path: Path, name: str, target: str) -> None:
    (tmp_path / "b.json").write_text("{}")
    (tmp_path / name).symlink_to(target.format(name=name))
    assert [found.file for found in look(tmp_path).files if found.regular] == ["b.json"]
    if name == "a.json":
        with pytest.raises(JobFileError, match=r"a\.json (cannot be read|is a link to nothing)"):
            content(tmp_path, name, 100)


def test_that_a_file_was_set_aside_outlives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text("{")
    synced: list[tuple[str, bool]] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((str(Path(f"/proc/self/fd/{handle}").readlink()), (tmp_path / "a.json").exists())))
    put_aside(tmp_path, "a.json", "a.json", "why")
    assert {place for place, still_here in synced if not still_here} == {str(tmp_path), str(tmp_path / "set-aside")}


@pytest.mark.parametrize("kind", ["file", "elsewhere"])
def test_what_it_takes_to_set_files_aside_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    (tmp_path / "a.json").write_text("{")
    if kind == "file":
        (tmp_path / "set-aside").touch()
    else:

        def rename(*_: Path) -> None:
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(GatewayError, match=r"a\.json cannot be moved to .*set-aside") as caught:
        put_aside(tmp_path, "a.json", "a.json", "why")
    assert caught.value.hint == "set-aside has to be a folder that the queue may write to, on the file system of the job files. Start it again then."
    assert (tmp_path / "a.json").exists()
