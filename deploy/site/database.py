"""MariaDB, which slurmdbd keeps its accounts in: a unix socket only, and nobody but slurm and root gets in."""

from __future__ import annotations

import shutil

from .files import owned_directory
from .layout import Layout
from .namespace import Namespace
from .services import Service

_INSTALL = (
    "mariadb-install-db",
    "--no-defaults",
    "--skip-name-resolve",
    "--skip-test-db",
    "--auth-root-authentication-method=socket",
    "--auth-root-socket-user=root",
)
_GRANTS = """\
CREATE DATABASE IF NOT EXISTS slurm_acct_db;
CREATE USER IF NOT EXISTS slurm@localhost IDENTIFIED VIA unix_socket;
GRANT ALL ON slurm_acct_db.* TO slurm@localhost;
"""


def prepare(layout: Layout, ids: dict[str, int], space: Namespace) -> None:
    """Make the data directory. One whose making was cut short has no marker, and is made again."""
    owned_directory(layout.mariadb_socket.parent, ids["mysql"], mode=0o755)
    marker = layout.mariadb_data / ".made-by-demo"
    if marker.exists():
        return
    shutil.rmtree(layout.mariadb_data, ignore_errors=True)
    owned_directory(layout.mariadb_data, ids["mysql"])
    # Temporary tables are called by the server's pid, and that of another site may be the same, in a namespace of its own.
    folders = [f"--{name}={layout.mariadb_data}" for name in ("datadir", "tmpdir")]
    space.run_logged([*_INSTALL, *folders], "mysql", layout.log("mariadb"))
    marker.touch()


def service(layout: Layout, space: Namespace) -> Service:
    """Return the server; ready when it answers root's client."""
    options = {
        "datadir": layout.mariadb_data,
        "socket": layout.mariadb_socket,
        "tmpdir": layout.mariadb_data,
        "pid-file": layout.mariadb_socket.with_suffix(".pid"),
        "innodb-buffer-pool-size": "128M",
        "innodb-log-file-size": "32M",
        "innodb-lock-wait-timeout": "900",
        "innodb-flush-log-at-trx-commit": "2",
    }
    return Service(
        name="mariadb",
        user="mysql",
        argv=("/usr/sbin/mariadbd", "--no-defaults", "--skip-networking", *(f"--{name}={value}" for name, value in options.items())),
        socket=layout.mariadb_socket,
        ready=lambda: "1" in _ask(layout, space, "SELECT 1"),
        start_limit=60,
        stop_limit=30,
    )


def grant(layout: Layout, space: Namespace) -> None:
    """Let slurmdbd in: MariaDB asks the kernel who is at the other end of the socket, so there is no password."""
    _ask(layout, space, _GRANTS)


def _ask(layout: Layout, space: Namespace, statements: str) -> str:
    client = ["mariadb", "--no-defaults", f"--socket={layout.mariadb_socket}", "--batch"]
    return space.run(client, "root", stdin=statements, limit=10)
