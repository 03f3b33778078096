"""Whose Slurm a site runs: this Debian's own, or another Debian's from a folder that all sites share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .packages import SLURM
from .second_debian import Folder

DEFAULT = "bookworm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release of Debian, and what the demo must know of its Slurm; without a folder it is the host's."""

    name: str
    first_job_api: str
    """The version of the API that the first job and the lines to copy speak."""
    cgroup_conf: str
    folder: Folder | None = None

    @property
    def usr(self) -> Path | None:
        """Return what its Slurm's programs see as /usr in place of the host's."""
        return self.folder.usr if self.folder else None


RELEASES = {
    release.name: release
    for release in (
        Release(name=DEFAULT, first_job_api="v0.0.36", cgroup_conf="CgroupAutomount=no\n"),
        Release(name="trixie", first_job_api="v0.0.42", cgroup_conf="CgroupPlugin=disabled\n", folder=Folder.of("trixie", SLURM)),
    )
}
