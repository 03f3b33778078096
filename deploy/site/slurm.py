"""Slurm: its configuration, its keys, its four daemons and its accounts, all on loopback."""

from __future__ import annotations

import base64
import json
import secrets
import signal
from pathlib import Path

from .accounts import PEOPLE
from .commands import environment, run
from .files import owned_directory, owned_file
from .layout import Layout
from .namespace import HOST_NAME, Namespace, seeing
from .ports import answers
from .release import Release
from .services import ANSWER_LIMIT, Service
from .trouble import Trouble
from .unix_http import UNAUTHORIZED, status_of

CLUSTER = "demo"
ACCOUNT = "demo"
KEY_ID = "demo-1"
JOBS_AT_ONCE = 32
"""The node says it has so many processors, whatever the machine has: a demo's jobs sleep more than they compute."""
API_VERSIONS = {"22.05": ["v0.0.36", "v0.0.37", "v0.0.38"], "24.11": ["v0.0.40", "v0.0.41", "v0.0.42"]}


def conf(layout: Layout, ports: dict[str, int]) -> str:
    """slurm.conf: one node that is this machine. The two No…InAddrAny keep the daemons on the address of their own host name."""
    state = layout.slurm
    return f"""\
ClusterName={CLUSTER}
SlurmctldHost={HOST_NAME}(127.0.0.1)
SlurmctldPort={ports["slurmctld"]}
SlurmdPort={ports["slurmd"]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=slurm
StateSaveLocation={state}/state
SlurmdSpoolDir={state}/spool
SlurmctldPidFile={layout.run}/slurmctld/slurmctld.pid
SlurmdPidFile={layout.run}/slurmd.pid
AuthType=auth/munge
AuthInfo=socket={layout.munge_socket}
AuthAltTypes=auth/jwt
AuthAltParameters=jwks={layout.jwks},jwt_key={layout.jwt_key}
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={HOST_NAME}
AccountingStoragePort={ports["slurmdbd"]}
AccountingStoragePass={layout.munge_socket}
AccountingStorageEnforce=associations
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=1
ReturnToService=2
MpiDefault=none
SlurmdParameters=config_overrides
NodeName={HOST_NAME} NodeAddr=127.0.0.1 CPUs={JOBS_AT_ONCE} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def dbd_conf(layout: Layout, ports: dict[str, int]) -> str:
    """slurmdbd.conf; MariaDB's socket is named by the environment, since Slurm has no setting for it."""
    return f"""\
DbdHost={HOST_NAME}
DbdAddr=127.0.0.1
DbdPort={ports["slurmdbd"]}
CommunicationParameters=NoInAddrAny
SlurmUser=slurm
PidFile={layout.run}/slurmdbd/slurmdbd.pid
AuthType=auth/munge
AuthInfo=socket={layout.munge_socket}
AuthAltTypes=auth/jwt
AuthAltParameters=jwks={layout.jwks},jwt_key={layout.jwt_key}
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StorageLoc=slurm_acct_db
"""


def prepare(layout: Layout, ids: dict[str, int], ports: dict[str, int], release: Release) -> None:
    """Directories, configuration and, once, the keys."""
    slurm = ids["slurm"]
    owned_directory(layout.slurm, 0, mode=0o755)
    owned_directory(layout.slurm / "state", slurm)
    owned_directory(layout.slurm / "spool", 0, mode=0o755)
    for daemon in ("slurmctld", "slurmdbd"):
        owned_directory(layout.run / daemon, slurm, mode=0o755)
    owned_directory(layout.slurmrestd_socket.parent, ids["slurmrestd"], group=ids["sgw-gateway"], mode=0o2710)
    owned_file(layout.slurm_conf, conf(layout, ports).encode(), 0, 0o644)
    owned_file(layout.slurm / "cgroup.conf", release.cgroup_conf.encode(), 0, 0o644)
    owned_file(layout.slurm / "slurmdbd.conf", dbd_conf(layout, ports).encode(), slurm, 0o600)
    if not layout.jwt_key.exists():
        owned_file(layout.jwt_key, secrets.token_bytes(64), slurm, 0o600)
    if not layout.jwks.exists():
        _make_rsa_key(layout, ids["sgw-gateway"])


def private_key(layout: Layout) -> Path:
    """Return the RS256 key that jwks.json holds the public half of."""
    return layout.gateway / "jwt_rs256.pem"


def _make_rsa_key(layout: Layout, owner: int) -> None:
    owned_directory(layout.gateway, owner)
    pem = run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
    modulus = run(["openssl", "rsa", "-noout", "-modulus"], stdin=pem).strip().removeprefix("Modulus=")
    owned_file(private_key(layout), pem.encode(), owner)
    owned_file(layout.jwks, json.dumps(jwks(modulus)).encode(), 0, 0o644)


def jwks(modulus: str, exponent: int = 65537) -> dict[str, list[dict[str, str]]]:
    """Return a key set of one RSA key, from its modulus in hexadecimal (RFC 7517, RFC 7518 section 6.3.1)."""
    numbers = {"n": int(modulus, 16), "e": exponent}
    encoded = {
        name: base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).rstrip(b"=").decode() for name, value in numbers.items()
    }
    return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, **encoded}]}


def variables(layout: Layout) -> dict[str, str]:
    """Return the environment that leads Slurm's programs to this site."""
    return environment(SLURM_CONF=str(layout.slurm_conf))


def slurmdbd(layout: Layout, space: Namespace, port: int) -> Service:
    """Return the accounting daemon; ready when it answers Slurm's own command."""
    return Service(
        name="slurmdbd",
        user="slurm",
        argv=("/usr/sbin/slurmdbd", "-D"),
        usr=space.usr,
        env={**variables(layout), "MYSQL_UNIX_PORT": str(layout.mariadb_socket)},
        reads=(layout.slurm / "slurmdbd.conf", layout.jwt_key, layout.jwks),
        ready=lambda: answers(port) and bool(_sacctmgr(layout, space, "--noheader", "show", "configuration")),
        start_limit=60,
    )


def slurmctld(layout: Layout, space: Namespace) -> Service:
    """Return the controller; ready when it says so to Slurm's own command."""
    return Service(
        name="slurmctld",
        user="slurm",
        argv=("/usr/sbin/slurmctld", "-D"),
        usr=space.usr,
        env=variables(layout),
        umask=0o022,
        reads=(layout.slurm_conf, layout.jwt_key, layout.jwks),
        ready=lambda: "is UP" in space.run(["scontrol", "ping"], "root", env=variables(layout), limit=ANSWER_LIMIT),
    )


def slurmd(layout: Layout, space: Namespace) -> Service:
    """Return the node's daemon; ready when it answers, and slurmctld would give it a job."""

    def ready() -> bool:
        space.run(["scontrol", "show", "slurmd"], "root", env=variables(layout), limit=ANSWER_LIMIT)
        state = space.run(["sinfo", "--noheader", "--format=%T"], "root", env=variables(layout), limit=ANSWER_LIMIT)
        return state.strip() in {"idle", "mixed", "allocated"}

    return Service(
        name="slurmd",
        user="root",
        argv=("/usr/sbin/slurmd", "-D", "-N", HOST_NAME),
        usr=space.usr,
        env=variables(layout),
        umask=0o022,
        reads=(layout.slurm_conf,),
        ready=ready,
        answer_limit=20,  # a slurmctld that was started anew takes some seconds to find its node
    )


def slurmrestd(layout: Layout, space: Namespace) -> Service:
    """Its directory lets the gateway's user through and nobody else; without a token it refuses, which shows that it is there."""
    return Service(
        name="slurmrestd",
        user="slurmrestd",
        argv=("/usr/sbin/slurmrestd", "-a", "rest_auth/jwt", f"unix:{layout.slurmrestd_socket}"),
        usr=space.usr,
        env={**variables(layout), "SLURM_JWT": "daemon"},
        umask=0o007,
        reads=(layout.slurm_conf,),
        socket=layout.slurmrestd_socket,
        ready=lambda: status_of(layout.slurmrestd_socket, "/openapi") == UNAUTHORIZED,
        stop_signal=signal.SIGINT,
        stop_limit=5,
    )


def fill_accounts(layout: Layout, space: Namespace) -> None:
    """Add the cluster, one account with everybody in it, and adele as administrator; what is there already stays."""
    marker = layout.mariadb_data / ".accounts-made-by-demo"
    if marker.exists():
        return
    _add(layout, space, "cluster", CLUSTER)
    _add(layout, space, "account", ACCOUNT, f"cluster={CLUSTER}")
    _add(layout, space, "user", ",".join(PEOPLE), f"account={ACCOUNT}", f"cluster={CLUSTER}")
    _sacctmgr(layout, space, "modify", "user", "adele", "set", "AdminLevel=Admin")
    marker.touch()


def _add(layout: Layout, space: Namespace, *words: str) -> None:
    try:
        _sacctmgr(layout, space, "add", *words)
    except Trouble as trouble:
        if "exist" not in trouble.sentence and "Nothing new" not in trouble.sentence:
            raise


def _sacctmgr(layout: Layout, space: Namespace, *words: str) -> str:
    return space.run(["sacctmgr", "--immediate", *words], "root", env=variables(layout), limit=20)


def version(usr: Path | None) -> str:
    """Return Slurm's release, as slurmrestd says it: `slurm-wlm 22.05.8`."""
    return run([*seeing(usr), "/usr/sbin/slurmrestd", "-V"]).split()[-1]


def api_versions(release: str) -> list[str]:
    """Return the versions of the API that this release serves."""
    return API_VERSIONS[".".join(release.split(".")[:2])]
