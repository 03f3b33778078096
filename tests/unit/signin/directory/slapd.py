"""A real OpenLDAP server for the tests of the directory: on loopback, in a folder of its own, with a certificate authority of its own."""

from __future__ import annotations

import base64
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.site import ports
from tests import certificates

BASE = "dc=demo,dc=example"
PEOPLE = f"ou=people,{BASE}"
GUESTS = f"ou=guests,{BASE}"
SERVICE = f"cn=gateway,{BASE}"
SERVICE_PASSWORD = "the service account's"
USERS = f"cn=hpc-users,{BASE}"
GROUPS = f"cn=groups,{BASE}"
AGEING, GRACE = f"cn=ageing,{BASE}", f"cn=grace,{BASE}"
POSIX_USERS = f"cn=posix-users,{BASE}"
PASSWORD = "pässwörd of everybody"

_CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
database mdb
maxsize 16777216
suffix "{base}"
directory {folder}/data
dbnosync
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{service}" read by anonymous auth by * none
overlay ppolicy
ppolicy_default "cn=policy,{base}"
ppolicy_use_lockout
"""

# No number of failures locks (pwdMaxFailure 0): that is for the gateway to see to, and tests lock by hand.
_TREE = f"""\
dn: {BASE}
objectClass: dcObject
objectClass: organization
dc: demo
o: demo

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: {GUESTS}
objectClass: organizationalUnit
ou: guests

dn: cn=policy,{BASE}
objectClass: device
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 0
pwdMustChange: TRUE

dn: {AGEING}
objectClass: device
objectClass: pwdPolicy
cn: ageing
pwdAttribute: userPassword
pwdMaxAge: 60

dn: {GRACE}
objectClass: device
objectClass: pwdPolicy
cn: grace
pwdAttribute: userPassword
pwdMaxAge: 60
pwdGraceAuthNLimit: 1000000

dn: {SERVICE}
objectClass: device
objectClass: simpleSecurityObject
cn: gateway
userPassword: {SERVICE_PASSWORD}

dn: {POSIX_USERS}
objectClass: posixGroup
cn: posix-users
gidNumber: 2000
memberUid: alice

dn: {USERS}
objectClass: groupOfNames
cn: hpc-users
member: uid=alice,{PEOPLE}

dn: cn=groups,{BASE}
objectClass: device
cn: groups
"""
# A chain of groups, each in the next, with alice in the first; two that are in each other, with Dave in one of them.
CHAIN = 14
_CHAINS = [(f"chain-{number}", f"cn=chain-{number - 1},{GROUPS}" if number else f"uid=alice,{PEOPLE}") for number in range(CHAIN)]
_CHAINS += [("day", f"cn=night,{GROUPS}"), ("night", f"cn=day,{GROUPS}\nmember: uid=Dave,{PEOPLE}")]
_GROUPS = "".join(f"\ndn: cn={name},{GROUPS}\nobjectClass: groupOfNames\ncn: {name}\nmember: {member}\n" for name, member in _CHAINS)


def _base64(text: str) -> str:
    """Write a value as LDIF wants it when it is not ASCII (RFC 2849)."""
    return base64.b64encode(text.encode()).decode()


def _person(dn: str, uid: str, *more: str, number: int | None = 1001) -> str:
    # slapadd takes the values of an attribute only where they stand together.
    classes = ["objectClass: inetOrgPerson", *(["objectClass: posixAccount"] if number is not None else [])]
    posix = [f"uidNumber: {number}", "gidNumber: 100", "homeDirectory: /"] if number is not None else []
    names = [line for line in more if line.startswith("uid:")]
    classes += [line for line in more if line.startswith("objectClass:")]
    others = [line for line in more if line not in names + classes]
    lines = [f"dn: {dn}", *classes, f"uid: {uid}", *names, "cn: x", "sn: x", f"userPassword:: {_base64(PASSWORD)}", *posix, *others]
    return "\n" + "\n".join(lines) + "\n"


_ENTRIES = (
    _person(
        f"uid=alice,{PEOPLE}", "alice", f"employeeType:: {_base64('Ålice')}", "title: one", "title: two", "description: 12x", "initials: 4294967295"
    ),
    _person(f"uid=Dave,{PEOPLE}", "Dave", number=1004),
    _person(f"uid=erin,{PEOPLE}", "erin", "pwdAccountLockedTime: 000001010000Z", number=1005),
    _person(f"uid=robot,{PEOPLE}", "robot", number=None),
    _person(f"uid=reset,{PEOPLE}", "reset", "pwdReset: TRUE", number=1010),
    _person(f"uid=old,{PEOPLE}", "old", f"pwdPolicySubentry: {AGEING}", "pwdChangedTime: 20010101000000Z", number=1011),
    _person(f"uid=graced,{PEOPLE}", "graced", f"pwdPolicySubentry: {GRACE}", "pwdChangedTime: 20010101000000Z", number=1012),
    _person(f"uid=guessed,{PEOPLE}", "guessed", "pwdAccountLockedTime: 20260101000000Z", number=1013),
    _person(f"uid=gone,{PEOPLE}", "gone", "objectClass: shadowAccount", "shadowExpire: 11323", number=1014),
    _person(f"uid=staying,{PEOPLE}", "staying", "objectClass: shadowAccount", "shadowExpire: 99999", number=1015),
    _person(f"uid=manny,{PEOPLE}", "manny", "uid: emmanuel", number=1006),
    _person(f"uid=twin,{PEOPLE}", "twin", number=1007),
    _person(f"uid=twin,{GUESTS}", "twin", number=1008),
    _person(f"cn=x+uid=odd\\2Cname,{GUESTS}", "odd,name", "uid: odd", number=1009),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slapd:
    """A server that runs: its URLs, the files that a client needs, and its log of operations."""

    url: str
    secure_url: str
    ca_file: Path
    other_ca_file: Path
    password_file: Path
    log: Path

    def operations(self, start: int = 0) -> list[str]:
        """Return the operations since the log had ``start`` bytes, as slapd writes them: BIND with the name, SRCH with the base and filter."""
        lines = self.log.read_bytes()[start:].decode().splitlines()
        kept = (line.partition(" op=")[2].partition(" ")[2] for line in lines if " method=128" in line or "SRCH base" in line)
        return [line.partition(" method=")[0].partition(" scope=")[0] for line in kept]


def start(folder: Path) -> tuple[subprocess.Popen[bytes], Slapd]:
    """Load the tree, start the server and wait until it answers; the caller ends the process."""
    ca_file, other_ca_file = certificates.write(folder)
    (folder / "data").mkdir()
    (folder / "slapd.conf").write_text(_CONF.format(folder=folder, base=BASE, service=SERVICE))
    (folder / "tree.ldif").write_text(_TREE + _GROUPS + "".join(_ENTRIES))
    subprocess.run(["/usr/sbin/slapadd", "-q", "-f", folder / "slapd.conf", "-l", folder / "tree.ldif"], check=True, capture_output=True)
    password_file = folder / "service.password"
    password_file.write_text(SERVICE_PASSWORD + "\n")
    password_file.chmod(0o600)
    # From a range that no connection of another test takes its port from meanwhile.
    port, secure_port = ports.choose({}, {"plain": False, "secure": False}).values()
    server = Slapd(
        url=f"ldap://127.0.0.1:{port}",
        secure_url=f"ldaps://127.0.0.1:{secure_port}",
        ca_file=ca_file,
        other_ca_file=other_ca_file,
        password_file=password_file,
        log=folder / "log",
    )
    with server.log.open("wb") as log:
        # Level 256 is the log of operations; any level keeps slapd in the foreground.
        process = subprocess.Popen(
            ["/usr/sbin/slapd", "-f", folder / "slapd.conf", "-h", f"{server.url} {server.secure_url}", "-d", "256"], stdout=log, stderr=log
        )
    _wait_until_it_answers(process, port)
    return process, server


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
