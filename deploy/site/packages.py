"""What Debian must have installed; putting it there starts and enables no service of the host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from .commands import downloading, run, run_logged

SLURM = ("slurmctld", "slurmd", "slurmdbd", "slurmrestd", "slurm-client", "slurm-wlm-jwt-plugin", "slurm-wlm-mysql-plugin")
SITE = (
    *SLURM,
    "munge",
    "mariadb-server-core",
    "mariadb-client-core",
    "slapd",
    "ldap-utils",
    "nginx",
    "curl",
    "openssl",
    "util-linux",
)
BUILD = ("python3-venv", "python3-dev", "gcc", "libldap-dev", "libsasl2-dev")
"""For the virtual environment: python-ldap is compiled against Debian's libldap."""

STARTERS = ("/usr/bin/deb-systemd-invoke", "/usr/bin/deb-systemd-helper", "/usr/sbin/invoke-rc.d", "/usr/sbin/update-rc.d", "/usr/bin/systemctl")
"""What package scripts call to start and enable services; /bin/true takes their place while apt runs."""

_APT = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=120")
_HINT = "mend what apt-get says (network, sources, disk), then run `deploy/demo up` again."


def missing(wanted: Iterable[str], status: str) -> list[str]:
    """Which of the packages are not installed, from dpkg-query's lines `name status`."""
    installed = {line.split()[0] for line in status.splitlines() if line.endswith(" installed")}
    return [name for name in wanted if name not in installed]


def look(*more: str) -> list[str]:
    """Return the packages that this machine lacks, of the site's and of ``more``."""
    return missing((*SITE, *BUILD, *more), run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n"]))


def refresh(log: Path) -> None:
    """Have apt learn what its sources hold."""
    run_logged([*_APT, "update"], log, env=_environment(), limit=300, hint=_HINT)


def install(names: Sequence[str], log: Path) -> None:
    """Have apt install them, out of reach of the host's services."""
    refresh(log)
    hide = "; ".join(f"test ! -e {path} || mount --bind /bin/true {path}" for path in STARTERS)
    script = f'set -e; {hide}; exec "$@"'
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "--"]
    run_logged([*private, *_APT, "install", "--no-install-recommends", *names], log, env=_environment(), limit=1800, hint=_HINT)


def _environment() -> dict[str, str]:
    return downloading(DEBIAN_FRONTEND="noninteractive", HOME="/root")
