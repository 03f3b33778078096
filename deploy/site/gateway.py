"""The gateway itself: its configuration, its keys, its server, and everybody's second factor."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import directory, slurm
from .accounts import owned_directory, owned_file
from .commands import environment
from .layout import Layout
from .namespace import Namespace
from .people import EVERYBODY
from .ports import LOOPBACK
from .record import Memory, Record
from .services import Service
from .trouble import Trouble
from .unix_http import status_of

USER = "sgw-gateway"


def config(layout: Layout, record: Record) -> str:
    """gateway.toml: no secret in it, only where they are."""
    home = layout.gateway
    return f"""\
[server]
listen = "unix:{layout.gateway_socket}"
admin_listen = "127.0.0.1:{record.ports["admin"]}"
workers = 1

[store]
url = "sqlite:///{layout.gateway_store}"
key_ring_file = "{home}/keyring"

[directory]
urls = ["ldaps://127.0.0.1:{record.ports["ldaps"]}"]
ca_file = "{layout.ca}"
bind_dn = "{directory.GATEWAY}"
bind_password_file = "{home}/ldap-password"
user_base = "{directory.PEOPLE_BASE}"
login_attribute = "uid"
name_attribute = "uid"
uid_attribute = "uidNumber"
required_group = "cn={directory.USERS_GROUP},{directory.GROUPS_BASE}"
group_member_attribute = "member"

[totp]
issuer = "slurm-gateway demo"

[slurm]
default_cluster = "{slurm.CLUSTER}"
minimum_uid = 1000
slurm_user = "slurm"

[clusters.{slurm.CLUSTER}]
url = "unix:{layout.slurmrestd_socket}"
jwt_key_file = "{home}/jwt_hs256.key"

[audit]
file = "{home}/audit.jsonl"
"""


def prepare(layout: Layout, record: Record) -> None:
    """Its files, each readable by its user alone; the socket's directory lets nginx in through its group."""
    owner = record.ids[USER]
    owned_directory(layout.gateway, owner)
    owned_directory(layout.gateway_socket.parent, owner, group=record.ids["sgw-nginx"], mode=0o2750)
    owned_file(layout.gateway_config, config(layout, record).encode(), owner, 0o444)
    owned_file(layout.gateway / "ldap-password", record.secrets["ldap_gateway"].encode(), owner)
    owned_file(layout.gateway / "jwt_hs256.key", layout.jwt_key.read_bytes(), owner)


def command(layout: Layout, record: Record, *words: str) -> list[str]:
    return [*record.command, "--config", str(layout.gateway_config), *words]


def variables(layout: Layout) -> dict[str, str]:
    return environment(HOME=str(layout.gateway))


def _run(memory: Memory, space: Namespace, *words: str) -> str:
    argv = command(memory.layout, memory.record, *words)
    return space.run(argv, USER, env=variables(memory.layout), limit=60)


def check(memory: Memory, space: Namespace) -> None:
    """Make its keys where there are none, and have it check its own configuration."""
    _run(memory, space, "keys", "init")
    _run(memory, space, "check")


def enrol(memory: Memory, space: Namespace) -> int:
    """A second factor for everybody who should have one; returns how many are new. Each secret is kept as soon as it is known."""
    record = memory.record
    wanted = [person.name for person in EVERYBODY if person.enrolled and person.name not in record.totp]

    def enrol_one(name: str) -> None:
        try:
            answer = _run(memory, space, "enroll", name, "--json")
        except Trouble:  # enrolled by a run that was killed before it could note the secret
            _run(memory, space, "disenroll", name)
            answer = _run(memory, space, "enroll", name, "--json")
        secret = json.loads(answer)["secret"]
        with memory.change():
            record.totp[name] = secret

    with ThreadPoolExecutor(2) as side_by_side:
        list(side_by_side.map(enrol_one, wanted))
    return len(wanted)


def service(layout: Layout, record: Record, built: Sequence[Path]) -> Service:
    """Ready when its own health check says so: store, directory and slurmrestd answer."""
    return Service(
        name="gateway",
        user=USER,
        argv=tuple(command(layout, record, "serve")),
        env=variables(layout),
        reads=(layout.gateway_config, layout.gateway / "ldap-password", layout.gateway / "jwt_hs256.key", *built),
        socket=layout.gateway_socket,
        ready=lambda: _healthy(layout, record.ports["admin"]),
        stop_limit=40,
    )


def _healthy(layout: Layout, port: int) -> bool:
    return status_of(layout.gateway_socket, "/health/live") == 200 and ready_status(port) == 200


def ready_status(port: int) -> int:
    """What /health/ready answers; raises OSError when nobody does."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status
    except http.client.HTTPException as cause:
        raise OSError(str(cause)) from cause
    finally:
        connection.close()


def forget_half_made(memory: Memory) -> None:
    """Without its store the known second factors are worth nothing: enrol anew."""
    if not memory.layout.gateway_store.exists() and memory.record.totp:
        with memory.change() as record:
            record.totp.clear()


