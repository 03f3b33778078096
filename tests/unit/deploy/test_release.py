"""Each release knows how its Slurm is reached, and a site keeps the one that it was made with."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.site import slurm
from deploy.site.layout import Layout
from deploy.site.namespace import Namespace
from deploy.site.processes import Process
from deploy.site.record import Memory, Record
from deploy.site.release import DEFAULT, RELEASES
from deploy.site.trouble import Trouble
from deploy.site.up import settle_release


def test_only_another_debians_slurm_is_seen_in_place_of_the_hosts() -> None:
    assert RELEASES[DEFAULT].usr is None
    assert RELEASES["trixie"].usr is not None


@pytest.mark.parametrize(("release", "served"), [("22.05.8", "v0.0.36 v0.0.37 v0.0.38"), ("24.11.5", "v0.0.40 v0.0.41 v0.0.42")])
def test_the_versions_of_the_api_are_the_releases_own(release: str, served: str) -> None:
    assert slurm.api_versions(release) == served.split()


def test_a_program_that_sees_another_usr_is_still_run_as_its_user_and_nothing_else_is() -> None:
    space = Namespace(Layout.at(Path("/var/lib/site")), Process(7, 70))
    plain, other = (one.command(["sacctmgr", "show"], "slurm") for one in (space, space.seeing(Path("/other/usr"))))
    assert "unshare" not in plain
    assert other[: other.index("unshare")] == plain[: plain.index("--") + 1]
    assert other[other.index("/other/usr") + 2 :] == plain[plain.index("--") + 1 :]


@pytest.mark.skipif("os.geteuid() != 0", reason="a site's files are root's")
@pytest.mark.parametrize(
    ("made_with", "wanted", "settled"),
    [
        (None, None, "bookworm"),
        (None, "trixie", "trixie"),
        ("trixie", None, "trixie"),
        ("trixie", "trixie", "trixie"),
        ("bookworm", None, "bookworm"),
    ],
)
def test_a_site_keeps_the_slurm_that_it_was_made_with(tmp_path: Path, made_with: str | None, wanted: str | None, settled: str) -> None:
    memory = Memory(Layout.at(tmp_path), Record(release=made_with, slurm_version="1") if made_with else Record())
    settle_release(memory, wanted)
    assert memory.record.release == settled


@pytest.mark.parametrize(("made_with", "wanted"), [("bookworm", "trixie"), ("trixie", "bookworm")])
def test_another_slurm_on_the_same_data_is_refused(tmp_path: Path, made_with: str, wanted: str) -> None:
    with pytest.raises(Trouble, match=f"has the Slurm of {made_with}, not of {wanted}"):
        settle_release(Memory(Layout.at(tmp_path), Record(release=made_with, slurm_version="1")), wanted)
