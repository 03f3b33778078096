"""A real Active Directory domain controller, Samba's, on an address of loopback of its own, with its people in it."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ldap
import ldap.dn
import ldap.modlist

from tests import certificates

BASE = "DC=demo,DC=example"
USERS = f"CN=Users,{BASE}"
PASSWORD = "Korrekt-Pferd-7"
ADMIN = f"CN=Administrator,{USERS}"
ADMIN_PASSWORD = "Adm1nistrator-7"
SERVICE = f"CN=gateway,{USERS}"
# So many wrong passwords lock an account, for half an hour, which Active Directory counts in 100 ns backwards.
LOCKOUT = 3
LONG_AGO = "126227808000000000"
"""1 January 2001, in 100 ns since 1601."""
_HALF_AN_HOUR = b"-18000000000"

_CONF = """\
[global]
netbios name = DC1
realm = DEMO.EXAMPLE
workgroup = DEMO
server role = active directory domain controller
server services = ldap, cldap, kdc, rpc
interfaces = {address}/8
bind interfaces only = yes
disable netbios = yes
load printers = no
usershare max shares = 0
idmap_ldb:use rfc2307 = yes
tls keyfile = {folder}/server.key
tls certfile = {folder}/server.pem
tls cafile = {folder}/ca.pem
private dir = {folder}/dc/private
state directory = {folder}/dc/state
cache directory = {folder}/dc/cache
lock directory = {folder}/dc
pid directory = {folder}/dc/run
ncalrpc dir = {folder}/dc/ncalrpc
winbindd socket directory = {folder}/dc/winbind
ntp signd socket directory = {folder}/dc/ntp
binddns dir = {folder}/dc/bind-dns
log file = {folder}/log
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samba:
    """A domain controller that runs: where it is, whom to trust, and the file with the service account's password."""

    address: str
    ca_file: Path
    password_file: Path

    @property
    def url(self) -> str:
        return f"ldaps://{self.address}"

    @contextlib.contextmanager
    def administrator(self) -> Iterator[Any]:
        """Give a connection on which the administrator is bound."""
        connection = ldap.initialize(self.url)
        connection.set_option(ldap.OPT_X_TLS_CACERTFILE, str(self.ca_file))
        connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, 10)
        connection.simple_bind_s(ADMIN, ADMIN_PASSWORD)
        try:
            yield connection
        finally:
            connection.unbind_s()

    def change(self, name: str, **attributes: bytes | None) -> None:
        """Replace attributes of an entry below CN=Users; None takes one away."""
        with self.administrator() as connection:
            connection.modify_s(f"CN={name},{USERS}", [(ldap.MOD_REPLACE, key, value) for key, value in attributes.items()])

    def settings(self, **changes: object) -> dict[str, object]:
        """Return the gateway's settings for this directory."""
        return {
            "kind": "active_directory",
            "urls": [self.url],
            "ca_file": str(self.ca_file),
            "bind_dn": SERVICE,
            "bind_password_file": str(self.password_file),
            "user_base": BASE,
            "domains": ["demo.example", "DEMO"],
            "required_group": f"CN=hpc-users,{USERS}",
            **changes,
        }


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Samba]:
    """Provision a domain, run its controller and put its people in; about four seconds."""
    address = _free_address()
    ca_file, _ = certificates.write(folder, address)
    (folder / "smb.conf").write_text(_CONF.format(folder=folder, address=address))
    _provision(folder, address)
    password_file = folder / "service.password"
    password_file.write_text(PASSWORD + "\n")
    password_file.chmod(0o600)
    samba = Samba(address=address, ca_file=ca_file, password_file=password_file)
    with (folder / "out").open("wb") as out:
        # One process, in the foreground, that ends with its standard input.
        words = ["samba", "-s", str(folder / "smb.conf"), "--interactive", "--no-process-group", "--model=single"]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=out, stderr=out)
    try:
        _wait(process, address)
        _populate(samba)
        _age(folder)
        yield samba
    finally:
        process.terminate()
        process.wait(10)
        if process.stdin is not None:
            process.stdin.close()
        shutil.rmtree(folder / "dc", ignore_errors=True)


def _free_address() -> str:
    """Return an address of loopback where nobody has LDAP's ports, which Samba does not change."""
    while True:
        address = f"127.77.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"
        with contextlib.suppress(OSError), socket.create_server((address, 389)):
            return address


def _provision(folder: Path, address: str) -> None:
    words = ["samba-tool", "domain", "provision", "--use-rfc2307", "--realm=DEMO.EXAMPLE", "--domain=DEMO", "--server-role=dc"]
    words += ["--dns-backend=NONE", f"--adminpass={ADMIN_PASSWORD}", "--host-name=dc1", f"--host-ip={address}", f"--targetdir={folder}/dc"]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    for name in ("run", "cache"):
        (folder / "dc" / name).mkdir(exist_ok=True)


def _wait(process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection((address, 636), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _unicode(password: str) -> bytes:
    """Write a password as unicodePwd takes it ([MS-ADTS] section 3.1.1.3.1.5.1)."""
    return f'"{password}"'.encode("utf-16-le")


def _populate(samba: Samba) -> None:
    with samba.administrator() as connection:
        lockout = {"lockoutThreshold": b"%d" % LOCKOUT, "lockoutDuration": _HALF_AN_HOUR, "lockOutObservationWindow": _HALF_AN_HOUR}
        connection.modify_s(BASE, [(ldap.MOD_REPLACE, name, [value]) for name, value in lockout.items()])
        people = ["gateway", "alice", "Bob", "mallory", "disabled", "expired", "renewing", "locked", "aged", "leaver"]
        for number, name in enumerate(people):
            _add_person(connection, name, 10_000 + number)
        connection.modify_s(f"CN=alice,{USERS}", [(ldap.MOD_REPLACE, "userPrincipalName", b"a.liddell@demo.example")])
        connection.modify_s(f"CN=disabled,{USERS}", [(ldap.MOD_REPLACE, "userAccountControl", b"514")])
        connection.modify_s(f"CN=expired,{USERS}", [(ldap.MOD_REPLACE, "accountExpires", LONG_AGO.encode())])
        connection.modify_s(f"CN=renewing,{USERS}", [(ldap.MOD_REPLACE, "pwdLastSet", b"0")])
        _add_group(connection, "innermost", ["alice"])
        _add_group(connection, "inner", ["innermost"])
        _add_group(connection, "hpc-users", ["inner", *(name for name in people[2:] if name != "mallory")])


def _add_person(connection: Any, name: str, number: int) -> None:
    attributes = {
        "objectClass": [b"user"],
        "sAMAccountName": [name.encode()],
        "userPrincipalName": [f"{name}@demo.example".encode()],
        "unicodePwd": [_unicode(PASSWORD)],
        "userAccountControl": [b"512"],
        "uidNumber": [b"%d" % number],
    }
    connection.add_s(f"CN={name},{USERS}", ldap.modlist.addModlist(attributes))


def _add_group(connection: Any, name: str, members: list[str]) -> None:
    attributes = {"objectClass": [b"group"], "sAMAccountName": [name.encode()], "member": [f"CN={member},{USERS}".encode() for member in members]}
    connection.add_s(f"CN={name},{USERS}", ldap.modlist.addModlist(attributes))


# Over LDAP nobody can say that a password was set another day than today; Samba's own library can, on the file.
_AGE = f"""\
import sys
import ldb
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB
lp = LoadParm()
lp.load(sys.argv[1])
message = ldb.Message()
samdb = SamDB(url=sys.argv[2], session_info=system_session(), lp=lp)
message.dn = ldb.Dn(samdb, "CN=aged,{USERS}")
message["pwdLastSet"] = ldb.MessageElement("{LONG_AGO}", ldb.FLAG_MOD_REPLACE, "pwdLastSet")
samdb.modify(message, controls=["local_oid:1.3.6.1.4.1.7165.4.3.12:0"])
"""


def _age(folder: Path) -> None:
    """Let the password of ``aged`` be from long ago, so that it has expired."""
    words = ["/usr/bin/python3", "-c", _AGE, f"{folder}/smb.conf", f"{folder}/dc/private/sam.ldb"]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
