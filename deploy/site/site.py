"""The site as a whole: which services it has, in the order they depend on each other, and what it tells programs."""

from __future__ import annotations

import json
from typing import Any

from . import database, directory, environment, gateway, munge, slurm, web
from .files import owned_file
from .namespace import Namespace
from .people import EVERYBODY
from .record import Memory
from .release import RELEASES
from .services import Service, running

ORDER = ("munge", "mariadb", "slapd", "slurmdbd", "slurmctld", "slurmd", "slurmrestd", "gateway", "nginx")
PORTS = {"slurmctld": "slurmctld", "slurmd": "slurmd", "slurmdbd": "slurmdbd", "ldaps": "slapd", "ldap": "slapd", "admin": "gateway"}
"""Every port chosen at `up`, and the service that listens there."""


def definitions(memory: Memory, space: Namespace) -> list[Service]:
    """All services, in ORDER."""
    layout, record = memory.layout, memory.record
    theirs = space.seeing(RELEASES[record.release].usr)
    return [
        munge.service(layout, space),
        database.service(layout, space),
        directory.service(layout, record.ports, space),
        slurm.slurmdbd(layout, theirs, record.ports["slurmdbd"]),
        slurm.slurmctld(layout, theirs),
        slurm.slurmd(layout, theirs),
        slurm.slurmrestd(layout, theirs),
        gateway.service(layout, record, [environment.marker(layout)]),
        web.service(layout, record.port),
    ]


def describe(memory: Memory) -> None:
    """Write DIR/demo.json, which programs read."""
    owned_file(memory.layout.description, (json.dumps(description(memory), indent=1) + "\n").encode(), 0, 0o600)


def description(memory: Memory) -> dict[str, Any]:
    """Return the site for programs: see section 2.7 of the design."""
    layout, record = memory.layout, memory.record
    found = {name: running(memory, name) for name in ORDER}
    return {
        "url": f"https://127.0.0.1:{record.port}",
        "ca_file": str(layout.ca),
        "admin_url": f"http://127.0.0.1:{record.ports['admin']}",
        "config": str(layout.gateway_config),
        "command": record.command,
        "cluster": slurm.CLUSTER,
        "release": record.release,
        "slurm_version": record.slurm_version,
        "api_versions": slurm.api_versions(record.slurm_version),
        "slurmrestd": f"unix:{layout.slurmrestd_socket}",
        "slurm_conf": str(layout.slurm_conf),
        "jwt_key": str(layout.jwt_key),
        "jwks_key": {"kid": slurm.KEY_ID, "private_key_file": str(slurm.private_key(layout))},
        "ldap": _ldap(memory),
        "users": {person.name: {"password": record.passwords[person.name], "totp_secret": record.totp.get(person.name)} for person in EVERYBODY},
        "pids": {name: process.pid for name, process in found.items() if process},
        "log_dir": str(layout.logs),
        "homes": str(layout.homes),
    }


def _ldap(memory: Memory) -> dict[str, str]:
    record = memory.record
    return {
        "url": f"ldaps://127.0.0.1:{record.ports['ldaps']}",
        "starttls_url": f"ldap://127.0.0.1:{record.ports['ldap']}",
        "base_dn": directory.BASE,
        "admin_dn": directory.ADMIN,
        "admin_password": record.secrets["ldap_admin"],
    }
