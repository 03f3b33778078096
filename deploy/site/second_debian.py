"""Another release of Debian in a folder, for its Slurm: built once by debootstrap, then only read, by as many sites as like."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import packages
from .commands import downloading, run
from .trouble import Trouble

CACHE = Path("/var/cache/slurm-gateway-demo")
TOOLS = ("debootstrap", "gpgv")
KEYRING_PACKAGE = "debian-archive-keyring"
KEYRINGS = Path("/usr/share/keyrings")
_HINT = "mend what debootstrap says (network, mirror, disk), then run the command again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Where a release with some packages lies. What is in it is in its name, so a folder that is used is never changed."""

    release: str
    packages: tuple[str, ...]
    place: Path

    @classmethod
    def of(cls, release: str, wanted: Sequence[str], cache: Path = CACHE) -> Folder:
        """Return the folder of a release with these packages."""
        word = hashlib.sha256(" ".join(sorted(wanted)).encode()).hexdigest()[:8]
        return cls(release=release, packages=tuple(wanted), place=cache / f"{release}-{word}")

    @property
    def usr(self) -> Path:
        """All its programs and libraries."""
        return self.place / "usr"

    def beside(self, ending: str) -> Path:
        """Return the path that differs by this ending."""
        return self.place.with_name(self.place.name + ending)


def ensure(folder: Folder) -> bool:
    """See that the folder is there, whole; True when it had to be built."""
    if folder.place.exists():
        return False
    folder.place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _alone(folder):
        if folder.place.exists():
            return False
        _build(folder)
    return True


@contextmanager
def _alone(folder: Folder) -> Iterator[None]:
    """Hold the folder's lock, waiting for whoever has it; the kernel gives it back however that one ends."""
    with folder.beside(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"  another deploy/demo is building {folder.place}: waiting for it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(folder: Folder) -> None:
    """Build beside the place and move there when all is done: what was cut short has another name, and is thrown away."""
    log, fresh = folder.beside(".log"), folder.beside(".new")
    log.write_text("")
    log.chmod(0o600)
    print(f"  putting Debian's {folder.release} into {folder.place}, once for all sites; this takes a minute", flush=True)
    needed = packages.look(*TOOLS)
    if not (KEYRINGS / f"debian-archive-{folder.release}-stable.gpg").exists():
        needed.append(KEYRING_PACKAGE)
    if needed:
        packages.install(needed, log)
    shutil.rmtree(fresh, ignore_errors=True)
    words = ["--variant=minbase", "--force-check-gpg", f"--keyring={KEYRINGS}/debian-archive-keyring.gpg", f"--include={','.join(folder.packages)}"]
    _debootstrap([*words, folder.release, str(fresh), _mirror(log)], log)
    shutil.rmtree(fresh / "var" / "cache" / "apt", ignore_errors=True)
    fresh.rename(folder.place)


_PHASES = re.compile(r"I: (Retrieving|Extracting|Unpacking|Configuring) \S+")


def _debootstrap(words: Sequence[str], log: Path) -> None:
    """Run it in namespaces that take its mounts and all that it started with them, and die with us; say each phase."""
    apart = ["setpriv", "--pdeathsig=KILL", "--", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    phase = ""
    with (
        log.open("a") as file,
        subprocess.Popen(
            [*apart, "--", "debootstrap", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=downloading(HOME="/root"),
            cwd="/",
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            file.flush()
            found = _PHASES.match(line)
            if found and found[1] != phase:
                phase = found[1]
                print(f"    {phase.lower()} …", flush=True)
    if process.returncode:
        raise Trouble(f"debootstrap failed with status {process.returncode}.", hint=_HINT, log=log)


def _mirror(log: Path) -> str:
    """Return where this machine's own apt takes Debian from; apt has read its sources, whatever form they have."""
    codename = run(["sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME"]).strip()
    found = mirrors(_targets(), codename)
    if not found:
        packages.refresh(log)  # apt says nothing of sources whose lists it has not got
        found = mirrors(_targets(), codename)
    if not found:
        raise Trouble(f"apt has no source of Debian's {codename} main.", hint="see /etc/apt/sources.list and /etc/apt/sources.list.d.")
    return found[0]


def _targets() -> str:
    return run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages"])


def mirrors(targets: str, codename: str) -> list[str]:
    """Return the addresses of the release's own archive from apt's lines `address codename component`."""
    rows = [line.split() for line in targets.splitlines()]
    return [row[0].rstrip("/") for row in rows if row[1:] == [codename, "main"]]
