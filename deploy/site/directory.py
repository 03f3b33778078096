"""OpenLDAP with TLS: people, groups, a service account for the gateway, and rules about who reads what."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from .commands import environment
from .files import owned_directory, owned_file
from .layout import Layout
from .namespace import Namespace
from .people import EVERYBODY, Person
from .record import Record
from .services import ANSWER_LIMIT, Service

BASE = "dc=demo,dc=example"
ADMIN = f"cn=admin,{BASE}"
GATEWAY = f"cn=gateway,ou=services,{BASE}"
PEOPLE_BASE = f"ou=people,{BASE}"
GROUPS_BASE = f"ou=groups,{BASE}"
POLICY = f"cn=default,ou=policies,{BASE}"
USERS_GROUP, ADMINS_GROUP = "hpc-users", "hpc-admins"
FOR_EVER = "000001010000Z"
"""The time of locking that means: until an administrator unlocks (draft-behera-ldap-password-policy, section 5.3.3)."""


def ssha(password: str, salt: bytes) -> str:
    """Return a salted SHA-1 as OpenLDAP stores it."""
    return "{SSHA}" + base64.b64encode(hashlib.sha1(password.encode() + salt, usedforsecurity=False).digest() + salt).decode()


def _stored(password: str) -> str:
    return ssha(password, os.urandom(8))


def config(layout: Layout, admin_password: str) -> str:
    """Return the LDIF of cn=config."""
    return f"{_server(layout)}\n{_database(layout, admin_password)}"


def _server(layout: Layout) -> str:
    tls = layout.tls / "slapd"
    return f"""\
dn: cn=config
objectClass: olcGlobal
cn: config
olcLogLevel: 0
olcPidFile: {layout.run}/slapd/slapd.pid
olcTLSCACertificateFile: {layout.ca}
olcTLSCertificateFile: {tls}.pem
olcTLSCertificateKeyFile: {tls}.key

dn: cn=module{{0}},cn=config
objectClass: olcModuleList
cn: module{{0}}
olcModulePath: /usr/lib/ldap
olcModuleLoad: back_mdb
olcModuleLoad: memberof
olcModuleLoad: ppolicy

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

include: file:///etc/ldap/schema/core.ldif
include: file:///etc/ldap/schema/cosine.ldif
include: file:///etc/ldap/schema/nis.ldif
include: file:///etc/ldap/schema/inetorgperson.ldif

dn: olcDatabase={{-1}}frontend,cn=config
objectClass: olcDatabaseConfig
objectClass: olcFrontendConfig
olcDatabase: {{-1}}frontend
olcAccess: to dn.base="" by * read
olcAccess: to dn.base="cn=Subschema" by * read
olcAccess: to * by * none

dn: olcDatabase={{0}}config,cn=config
objectClass: olcDatabaseConfig
olcDatabase: {{0}}config
olcAccess: to * by * none
"""


def _database(layout: Layout, admin_password: str) -> str:
    return f"""\
dn: olcDatabase={{1}}mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: {{1}}mdb
olcSuffix: {BASE}
olcRootDN: {ADMIN}
olcRootPW: {_stored(admin_password)}
olcDbDirectory: {layout.ldap}/data
olcDbMaxSize: 268435456
olcDbIndex: objectClass,uid,uidNumber,cn,member,memberOf eq
olcAccess: to attrs=userPassword by anonymous auth by * none
olcAccess: to * by dn.exact="{GATEWAY}" read by self read by anonymous auth by * none

dn: olcOverlay={{0}}memberof,olcDatabase={{1}}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcMemberOf
olcOverlay: {{0}}memberof

dn: olcOverlay={{1}}ppolicy,olcDatabase={{1}}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcPPolicyConfig
olcOverlay: {{1}}ppolicy
olcPPolicyDefault: {POLICY}
olcPPolicyUseLockout: TRUE
"""


def entries(record: Record) -> str:
    """Return the LDIF of the tree. pwdLockout must be on for a lock to count; no number of failures locks, the gateway sees to that."""
    head = f"""\
dn: {BASE}
objectClass: dcObject
objectClass: organization
dc: demo
o: slurm-gateway demo
"""
    units = "".join(f"\ndn: ou={name},{BASE}\nobjectClass: organizationalUnit\nou: {name}\n" for name in ("people", "groups", "services", "policies"))
    policy = f"""
dn: {POLICY}
objectClass: device
objectClass: pwdPolicy
cn: default
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 0
pwdMustChange: TRUE
"""
    gateway = f"""
dn: {GATEWAY}
objectClass: device
objectClass: simpleSecurityObject
cn: gateway
userPassword: {_stored(record.secrets["ldap_gateway"])}
"""
    people = "".join(_person(person, record.ids, record.passwords[person.name]) for person in EVERYBODY)
    return head + units + policy + gateway + people + _group(USERS_GROUP) + _group(ADMINS_GROUP)


def _members(group: str) -> list[str]:
    chosen = (person for person in EVERYBODY if (person.user if group == USERS_GROUP else person.admin))
    return [f"uid={person.name},{PEOPLE_BASE}" for person in chosen]


def _group(name: str) -> str:
    members = "".join(f"member: {member}\n" for member in _members(name))
    return f"\ndn: cn={name},{GROUPS_BASE}\nobjectClass: groupOfNames\ncn: {name}\n{members}"


def _person(person: Person, ids: Mapping[str, int], password: str) -> str:
    """One entry. memberOf is written out, because the overlay that keeps it does not see what is loaded offline."""
    number = ids[person.name] if person.number is None else person.number
    dn = f"uid={person.name},{PEOPLE_BASE}"
    groups = [name for name in (USERS_GROUP, ADMINS_GROUP) if dn in _members(name)]
    lines = [
        f"\ndn: {dn}",
        *(f"objectClass: {name}" for name in ("inetOrgPerson", "posixAccount")),
        f"uid: {person.name}",
        f"cn: {person.name.capitalize()}",
        f"sn: {person.name.capitalize()}",
        f"uidNumber: {number}",
        f"gidNumber: {number}",
        f"homeDirectory: /home/{person.name}",
        "loginShell: /bin/sh",
        f"mail: {person.name}@demo.example",
        f"userPassword: {_stored(password)}",
        *(f"memberOf: cn={name},{GROUPS_BASE}" for name in groups),
        *([f"pwdAccountLockedTime: {FOR_EVER}"] if person.locked else []),
    ]
    return "\n".join(lines) + "\n"


def draw_secrets(record: Record) -> None:
    """Draw a random password for everybody who has none yet."""
    for name in ("ldap_admin", "ldap_gateway"):
        record.secrets.setdefault(name, secrets.token_urlsafe(18))
    for person in EVERYBODY:
        record.passwords.setdefault(person.name, secrets.token_urlsafe(12))


def prepare(layout: Layout, record: Record, space: Namespace) -> None:
    """Load configuration and tree. A load that was cut short has no marker, and is done again."""
    owner = record.ids["sgw-ldap"]
    owned_directory(layout.run / "slapd", owner)
    marker = layout.ldap / ".made-by-demo"
    if marker.exists():
        return
    shutil.rmtree(layout.ldap, ignore_errors=True)
    for place in (layout.ldap, layout.ldap / "config", layout.ldap / "data"):
        owned_directory(place, owner)
    _load(layout, space, owner, 0, config(layout, record.secrets["ldap_admin"]))
    _load(layout, space, owner, 1, entries(record))
    marker.touch()


def _load(layout: Layout, space: Namespace, owner: int, database: int, ldif: str) -> None:
    file = owned_file(layout.ldap / f"load-{database}.ldif", ldif.encode(), owner)
    words: list[Path | str] = ["slapadd", "-q", "-F", layout.ldap / "config", "-n", str(database), "-l", file]
    space.run_logged(words, "sgw-ldap", layout.log("slapd"))
    file.unlink()


def service(layout: Layout, ports: Mapping[str, int], space: Namespace) -> Service:
    """Return the server, with TLS from the first byte on one port and StartTLS on the other."""
    tls, plain = f"ldaps://127.0.0.1:{ports['ldaps']}", f"ldap://127.0.0.1:{ports['ldap']}"
    asked = (["ldapwhoami", "-x", "-H", tls], ["ldapwhoami", "-x", "-ZZ", "-H", plain])
    trust = environment(LDAPTLS_CACERT=str(layout.ca))
    return Service(
        name="slapd",
        user="sgw-ldap",
        argv=("/usr/sbin/slapd", "-d", "none", "-F", str(layout.ldap / "config"), "-h", f"{tls} {plain}"),
        reads=(layout.tls / "slapd.pem",),
        ready=lambda: all("anonymous" in space.run(words, "sgw-ldap", env=trust, limit=ANSWER_LIMIT) for words in asked),
    )
