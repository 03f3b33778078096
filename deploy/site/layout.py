"""Every path of a site, said once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SOCKET_PATH_LIMIT = 107
"""Bytes that a unix socket's address holds on Linux, its final zero left out (unix(7))."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The places under one state directory."""

    root: Path

    def __post_init__(self) -> None:
        if not self.root.is_absolute():
            raise ValueError("a site's directory is an absolute path")

    @property
    def marker(self) -> Path:
        """Says that this directory is a demo's, so that no command ever writes into another one."""
        return self.root / ".slurm-gateway-demo"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    @property
    def record(self) -> Path:
        return self.root / "site.json"

    @property
    def description(self) -> Path:
        return self.root / "demo.json"

    @property
    def etc(self) -> Path:
        """The private /etc; the host's is reached through `host_etc`."""
        return self.root / "etc"

    @property
    def host_etc(self) -> Path:
        return self.root / "run" / "host-etc"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def venv(self) -> Path:
        return self.root / "venv"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def home(self, person: str) -> Path:
        return self.root / "home" / person

    @property
    def ca(self) -> Path:
        return self.root / "ca.pem"

    @property
    def tls(self) -> Path:
        return self.root / "tls"

    @property
    def mariadb_data(self) -> Path:
        return self.root / "mariadb"

    @property
    def mariadb_socket(self) -> Path:
        return self.run / "mariadb" / "mariadb.sock"

    @property
    def munge(self) -> Path:
        return self.root / "munge"

    @property
    def munge_socket(self) -> Path:
        return self.run / "munge" / "munge.sock"

    @property
    def ldap(self) -> Path:
        return self.root / "ldap"

    @property
    def slurm(self) -> Path:
        return self.root / "slurm"

    @property
    def slurm_conf(self) -> Path:
        return self.slurm / "slurm.conf"

    @property
    def jwt_key(self) -> Path:
        return self.slurm / "jwt_hs256.key"

    @property
    def jwks(self) -> Path:
        return self.slurm / "jwks.json"

    @property
    def slurmrestd_socket(self) -> Path:
        return self.run / "slurmrestd" / "slurmrestd.sock"

    @property
    def gateway(self) -> Path:
        return self.root / "gateway"

    @property
    def gateway_config(self) -> Path:
        return self.gateway / "gateway.toml"

    @property
    def gateway_store(self) -> Path:
        return self.gateway / "gateway.db"

    @property
    def gateway_socket(self) -> Path:
        return self.run / "gateway" / "gateway.sock"

    @property
    def nginx(self) -> Path:
        return self.root / "nginx"

    def sockets(self) -> tuple[Path, ...]:
        return (self.mariadb_socket, self.munge_socket, self.slurmrestd_socket, self.gateway_socket)

    def longest_root(self) -> int:
        """How many bytes the state directory's own path may have, so that every socket's address fits."""
        longest = max(len(bytes(socket.relative_to(self.root))) for socket in self.sockets())
        return SOCKET_PATH_LIMIT - longest - 1
