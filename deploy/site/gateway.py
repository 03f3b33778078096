"""The gateway itself: its configuration, its keys, its server, and everybody's second factor."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import directory, slurm
from .commands import environment
from .files import owned_directory, owned_file
from .layout import Layout
from .namespace import Namespace
from .people import EVERYBODY
from .ports import LOOPBACK
from .record import Memory, Record
from .services import Service
from .trouble import Trouble
from .unix_http import OK, status_of

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

[directory.groups]
{directory.ADMINS_GROUP} = "cn={directory.ADMINS_GROUP},{directory.GROUPS_BASE}"

[totp]
issuer = "slurm-gateway demo"

[enrolment]
ways = ["administrator", "ticket", "munge", "session"]
munge_socket = "{layout.munge_socket}"

[slurm]
default_cluster = "{slurm.CLUSTER}"
minimum_uid = 1000
slurm_user = "slurm"

[clusters.{slurm.CLUSTER}]
url = "unix:{layout.slurmrestd_socket}"
jwt_key_file = "{home}/jwt_hs256.key"

[audit]
file = "{home}/audit.jsonl"
{_cors(record.origins)}"""


def _cors(origins: Sequence[str]) -> str:
    return f"\n[cors]\norigins = {json.dumps(list(origins))}\n" if origins else ""


def prepare(layout: Layout, record: Record) -> None:
    """Its files, each readable by its user alone; the socket's directory lets nginx in through its group."""
    owner = record.ids[USER]
    owned_directory(layout.gateway, owner)
    owned_directory(layout.gateway_socket.parent, owner, group=record.ids["sgw-nginx"], mode=0o2750)
    owned_file(layout.gateway_config, config(layout, record).encode(), owner, 0o444)
    owned_file(layout.gateway / "ldap-password", record.secrets["ldap_gateway"].encode(), owner)
    owned_file(layout.gateway / "jwt_hs256.key", layout.jwt_key.read_bytes(), owner)


def command(layout: Layout, record: Record, *words: str) -> list[str]:
    """Return the words that run the gateway's command with this site's configuration."""
    return [*record.command, "--config", str(layout.gateway_config), *words]


def variables(layout: Layout) -> dict[str, str]:
    """Return the gateway's environment."""
    return environment(HOME=str(layout.gateway))


def _run(memory: Memory, space: Namespace, *words: str) -> str:
    argv = command(memory.layout, memory.record, *words)
    return space.run(argv, USER, env=variables(memory.layout), limit=60)


def check(memory: Memory, space: Namespace) -> None:
    """Make its keys where there are none, and have it check its own configuration."""
    _run(memory, space, "keys", "init")
    _run(memory, space, "check")


def enrol(memory: Memory, space: Namespace) -> int:
    """Give a second factor to everybody who should have one; return how many are new. Each secret is kept as soon as it is known."""
    if not memory.layout.gateway_store.exists():  # without the store, what is known of it is worth nothing
        with memory.change() as record:
            record.totp.clear()
    wanted = [person.name for person in EVERYBODY if person.enrolled and person.name not in memory.record.totp]

    for name in wanted[:1]:
        _enrol_one(memory, space, name)  # the first one alone, since it makes the store
    with ThreadPoolExecutor(2) as side_by_side:
        list(side_by_side.map(lambda name: _enrol_one(memory, space, name), wanted[1:]))
    return len(wanted)


def _enrol_one(memory: Memory, space: Namespace, name: str) -> None:
    try:
        answer = _run(memory, space, "enroll", name, "--json")
    except Trouble as trouble:
        if "already" not in trouble.sentence:
            raise
        enrol_anew(memory, space, name)  # a run was killed before it could note the secret
    else:
        _note(memory, name, answer)


def enrol_anew(memory: Memory, space: Namespace, name: str) -> None:
    """Another second factor instead of the one that this person has."""
    _run(memory, space, "disenroll", name)
    _note(memory, name, _run(memory, space, "enroll", name, "--json"))


def _note(memory: Memory, name: str, answer: str) -> None:
    secret = str(json.loads(answer)["secret"])
    with memory.change() as record:
        record.totp[name] = secret


def service(layout: Layout, record: Record, built: Sequence[Path]) -> Service:
    """Ready when its own health check says so: store, directory and slurmrestd answer."""
    return Service(
        name="gateway",
        user=USER,
        argv=tuple(command(layout, record, "serve")),
        env=variables(layout),
        nice=-5,  # everybody waits for the door: the twenty threads of a busy slurmrestd are not to keep it waiting
        reads=(layout.gateway_config, layout.gateway / "ldap-password", layout.gateway / "jwt_hs256.key", *built),
        socket=layout.gateway_socket,
        ready=lambda: _healthy(layout, record.ports["admin"]),
        stop_limit=40,
    )


def _healthy(layout: Layout, port: int) -> bool:
    return status_of(layout.gateway_socket, "/health/live") == OK and ready_status(port) == OK


def ready_status(port: int) -> int:
    """Return what /health/ready answers; raises OSError when nobody does."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status
    except http.client.HTTPException as cause:
        raise OSError(str(cause)) from cause
    finally:
        connection.close()
