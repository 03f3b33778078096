"""A folder with another Debian is whole or not there, and is built once however many ask for it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.site import second_debian
from deploy.site.processes import wait_until
from deploy.site.second_debian import Folder, debootstrap, ensure, lacks, mirrors
from deploy.site.trouble import Trouble


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.of("trixie", ["slurmctld", "slurmd"], tmp_path / "cache")


class Builder:
    """Stands in for debootstrap: makes the directory, and fails for as long as it is told to."""

    def __init__(self) -> None:
        self.built: list[str] = []
        self.fails = False
        self.may_end = threading.Event()
        self.may_end.set()

    def __call__(self, argv: list[str], log: Path, **_more: object) -> None:
        fresh = Path(argv[-2])
        self.built.append(argv[-1])
        fresh.mkdir()  # fails if there is anything of an earlier one
        (fresh / "usr").mkdir()
        self.may_end.wait(10)
        log.write_text("I: Configuring all\n")
        if self.fails:
            raise Trouble("debootstrap failed.", hint="try again.")


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    builder = Builder()
    monkeypatch.setattr(second_debian, "run_logged", builder)
    monkeypatch.setattr("deploy.site.packages.look", lambda *_: [])
    monkeypatch.setattr("deploy.site.packages.install", lambda *_: None)
    monkeypatch.setattr(second_debian, "_mirror", lambda _: "http://mirror.example/debian")
    return builder


def test_it_is_built_once_and_kept(folder: Folder, builder: Builder) -> None:
    assert (ensure(folder), ensure(folder), builder.built) == (True, False, ["http://mirror.example/debian"])
    assert folder.usr.is_dir()


def test_two_that_ask_at_once_share_one(folder: Folder, builder: Builder, capsys: pytest.CaptureFixture[str]) -> None:
    builder.may_end.clear()
    with ThreadPoolExecutor(2) as both:
        first = both.submit(ensure, folder)
        assert wait_until(lambda: builder.built, 10)
        second = both.submit(ensure, folder)
        assert wait_until(lambda: "waiting for it" in capsys.readouterr().out, 10)
        builder.may_end.set()
        assert sorted([first.result(), second.result()]) == [False, True]
    assert len(builder.built) == 1


def test_what_was_cut_short_is_never_used_and_made_anew(folder: Folder, builder: Builder) -> None:
    builder.fails = True
    with pytest.raises(Trouble):
        ensure(folder)
    assert not folder.place.exists()
    builder.fails = False
    assert ensure(folder)
    assert folder.usr.is_dir()


def test_other_packages_are_another_folder_whatever_their_order() -> None:
    one, same, other = (Folder.of("trixie", wanted) for wanted in (["a", "b"], ["b", "a"], ["a", "b", "c"]))
    assert (one.place == same.place, one.place == other.place) == (True, False)


def test_signatures_are_checked_and_what_it_starts_ends_with_it(folder: Folder) -> None:
    words = debootstrap(folder, "http://mirror.example/debian")
    own = words[words.index("debootstrap") :]
    assert {"--force-check-gpg", "--variant=minbase", "--include=slurmctld,slurmd"} <= set(own)
    assert own[-3:] == ["trixie", str(folder.beside(".new")), "http://mirror.example/debian"]
    assert "--kill-child" in words[: words.index("debootstrap")]


def test_keys_older_than_the_release_are_renewed(tmp_path: Path) -> None:
    assert lacks("trixie", ["debootstrap"], tmp_path) == ["debootstrap", "debian-archive-keyring"]
    (tmp_path / "debian-archive-trixie-stable.gpg").touch()
    assert lacks("trixie", [], tmp_path) == []


def test_the_mirror_is_that_of_the_release_itself() -> None:
    targets = """\
http://extra.example/nodejs nodistro main
http://security.example/debian-security/ bookworm-security main
http://mirror.example/debian/ bookworm contrib
http://mirror.example/debian/ bookworm main
http://mirror.example/debian/ bookworm-updates main
"""
    assert mirrors(targets, "bookworm") == ["http://mirror.example/debian/"]


def test_a_file_of_mirrors_is_followed(tmp_path: Path) -> None:
    listed = tmp_path / "debian.list"
    listed.write_text("# ours\n\nhttps://near.example/debian\tpriority:1\nftp://old.example/debian\n")
    assert mirrors(f"mirror+file:{listed} bookworm main\n", "bookworm") == ["https://near.example/debian"]


@pytest.mark.parametrize("targets", ["", "cdrom:[Debian]/ bookworm main\n", "http://mirror.example/debian trixie main\n"])
def test_what_debootstrap_could_not_read_is_no_mirror(targets: str) -> None:
    assert mirrors(targets, "bookworm") == []
