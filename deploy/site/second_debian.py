"""Another release of Debian in a folder, for its Slurm: built once by debootstrap, then only read, by as many sites as like."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import packages
from .commands import DYING_WITH_US, downloading, run, run_logged
from .trouble import Trouble, last_lines

CACHE = Path("/var/cache/slurm-gateway-demo")
TOOLS = ("debootstrap", "gpgv")
KEYRING_PACKAGE = "debian-archive-keyring"
KEYRINGS = Path("/usr/share/keyrings")
MIRROR_LIST = "mirror+file:"
"""What apt's address of a file with mirrors begins with; the images that clouds offer have one."""
FETCHED = ("http:", "https:", "file:")
TELL_SECONDS = 10.0
_APART = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")
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
    folder.place.parent.mkdir(parents=True, exist_ok=True)
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
    print(f"  building {folder.place} from Debian's {folder.release}, once for all sites; this takes a minute", flush=True)
    lacking = lacks(folder.release, packages.look(*TOOLS))
    if lacking:
        packages.install(lacking, log)
    shutil.rmtree(fresh, ignore_errors=True)
    with _telling(log):
        run_logged(debootstrap(folder, _mirror(log)), log, env=downloading(HOME="/root"), limit=1800, hint=_HINT)
    fresh.rename(folder.place)


def lacks(release: str, lacking: Sequence[str], keyrings: Path = KEYRINGS) -> list[str]:
    """Return the packages to install: those that are lacking, and the keys of the release where the ones that are here are older than it."""
    known = (keyrings / f"debian-archive-{release}-stable.gpg").exists()
    return [*lacking, *([] if known else [KEYRING_PACKAGE])]


def debootstrap(folder: Folder, mirror: str) -> list[str]:
    """Return its words: signatures are checked, and namespaces take its mounts and all that it started with them when it ends."""
    options = [
        "--variant=minbase",
        "--force-check-gpg",
        f"--keyring={KEYRINGS / 'debian-archive-keyring.gpg'}",
        f"--include={','.join(folder.packages)}",
    ]
    return [*DYING_WITH_US, *_APART, "--", "debootstrap", *options, folder.release, str(folder.beside(".new")), mirror]


@contextmanager
def _telling(log: Path) -> Iterator[None]:
    """Say from time to time what the log says last."""
    over, began = threading.Event(), time.monotonic()

    def tell() -> None:
        while not over.wait(TELL_SECONDS):
            said = (last_lines(log) or ["nothing yet"])[-1].removeprefix("I: ")
            print(f"    {time.monotonic() - began:3.0f} s  {said}", flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _mirror(log: Path) -> str:
    """Return where this machine's own apt takes Debian from: apt has read its sources, whatever form they have."""
    codename = run(["sh", "-c", '. /etc/os-release && echo "$VERSION_CODENAME"']).strip()
    found = mirrors(_targets(), codename)
    if not found:
        packages.refresh(log)  # apt says nothing of a source whose lists it has not got
        found = mirrors(_targets(), codename)
    if not found:
        sentence = f"apt has no source of Debian's {codename} main that debootstrap could read."
        raise Trouble(sentence, hint="see /etc/apt/sources.list and /etc/apt/sources.list.d.")
    return found[0]


def _targets() -> str:
    return run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages"])


def mirrors(targets: str, codename: str) -> list[str]:
    """Return the addresses of the release's own archive, from apt's lines `address codename component`."""
    rows = [line.split() for line in targets.splitlines()]
    named = [row[0] for row in rows if row[1:] == [codename, "main"]]
    found = [address for name in named for address in (_listed(name) if name.startswith(MIRROR_LIST) else [name])]
    return [address for address in found if address.startswith(FETCHED)]


def _listed(name: str) -> list[str]:
    """Return the mirrors that the file at such an address lists: each line an address, and perhaps more words (apt-transport-mirror(1))."""
    lines = Path(name.removeprefix(MIRROR_LIST)).read_text().splitlines()
    return [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
