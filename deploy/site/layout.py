"""Every path of a site, said once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SOCKET_PATH_LIMIT = 107
"""Bytes that a unix socket's address holds on Linux, its final zero left out (unix(7))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The places under one state directory."""

    root: Path
    marker: Path
    """Says that this directory is a demo's, so that no command ever writes into another one."""
    lock: Path
    record: Path
    """What the site remembers: see `record`."""
    description: Path
    """What it tells programs: demo.json."""
    etc: Path
    """The private /etc; the host's is reached through `host_etc`."""
    run: Path
    host_etc: Path
    logs: Path
    homes: Path
    venv: Path
    ca: Path
    tls: Path
    munge: Path
    munge_socket: Path
    mariadb_data: Path
    mariadb_socket: Path
    ldap: Path
    slurm: Path
    slurm_conf: Path
    jwt_key: Path
    jwks: Path
    slurmrestd_socket: Path
    gateway: Path
    gateway_config: Path
    gateway_store: Path
    gateway_socket: Path
    nginx: Path

    @classmethod
    def at(cls, root: Path) -> Layout:
        """Return the layout of the site whose state directory is `root`."""
        run, slurm, gateway = root / "run", root / "slurm", root / "gateway"
        return cls(
            root=root,
            marker=root / ".slurm-gateway-demo",
            lock=root / ".lock",
            record=root / "site.json",
            description=root / "demo.json",
            etc=root / "etc",
            run=run,
            host_etc=run / "host-etc",
            logs=root / "log",
            homes=root / "home",
            venv=root / "venv",
            ca=root / "ca.pem",
            tls=root / "tls",
            munge=root / "munge",
            munge_socket=run / "munge" / "munge.sock",
            mariadb_data=root / "mariadb",
            mariadb_socket=run / "mariadb" / "mariadb.sock",
            ldap=root / "ldap",
            slurm=slurm,
            slurm_conf=slurm / "slurm.conf",
            jwt_key=slurm / "jwt_hs256.key",
            jwks=slurm / "jwks.json",
            slurmrestd_socket=run / "slurmrestd" / "slurmrestd.sock",
            gateway=gateway,
            gateway_config=gateway / "gateway.toml",
            gateway_store=gateway / "gateway.db",
            gateway_socket=run / "gateway" / "gateway.sock",
            nginx=root / "nginx",
        )

    def log(self, name: str) -> Path:
        """Return where the service or step of this name writes."""
        return self.logs / f"{name}.log"

    def home(self, person: str) -> Path:
        """Return a person's home directory."""
        return self.homes / person

    def sockets(self) -> tuple[Path, ...]:
        """Return every unix socket of the site."""
        return (self.mariadb_socket, self.munge_socket, self.slurmrestd_socket, self.gateway_socket)

    def longest_root(self) -> int:
        """Return how many bytes the state directory's own path may have, so that every socket's address fits."""
        longest = max(len(bytes(socket.relative_to(self.root))) for socket in self.sockets())
        return SOCKET_PATH_LIMIT - longest - 1
