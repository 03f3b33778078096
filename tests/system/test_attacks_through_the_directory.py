"""A directory that is gone or hangs, and people in it whom Slurm would take for more than they are: through real nginx and real slapd."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.system.chain import chain, new_address
from tests.system.support import Site, one_time_code, wait_for
from tests.system.test_attacks_on_signing_in import PING, basic


def ldapmodify(site: Site, *changes: str) -> None:
    """Change the directory as its administrator; the password is read from standard input, for it must not stand on a command line."""
    told = site.told["ldap"]
    path = site.state / "change.ldif"
    path.write_text("\n\n".join(changes) + "\n")
    command = ["ldapmodify", "-H", told["url"], "-x", "-D", told["admin_dn"], "-y", "/dev/stdin", "-f", str(path)]
    environment = {**os.environ, "LDAPTLS_CACERT": site.told["ca_file"]}
    subprocess.run(command, input=told["admin_password"], text=True, check=True, capture_output=True, env=environment, timeout=20)
    path.unlink()


@contextlib.contextmanager
def somebody(site: Site, name: str, uid: int) -> Iterator[None]:
    """Have one person more in the directory, in the group that may come in."""
    base = site.told["ldap"]["base_dn"]
    dn, group = f"uid={name},ou=people,{base}", f"cn=hpc-users,ou=groups,{base}"
    password = secrets.token_urlsafe(12)
    entry = {"objectClass": "account", "uid": name, "cn": name, "uidNumber": uid, "gidNumber": 100, "homeDirectory": "/", "userPassword": password}
    lines = "".join(f"{key}: {value}\n" for key, value in entry.items())
    ldapmodify(
        site,
        f"dn: {dn}\nchangetype: add\nobjectClass: posixAccount\n{lines}",
        f"dn: {group}\nchangetype: modify\nadd: member\nmember: {dn}",
    )
    site.told["users"][name] = {"password": password}
    try:
        yield
    finally:
        del site.told["users"][name]
        site.gateway("disenroll", name, check=False)
        ldapmodify(site, f"dn: {group}\nchangetype: modify\ndelete: member\nmember: {dn}", f"dn: {dn}\nchangetype: delete")


@pytest.mark.parametrize(("name", "uid", "cause"), [("toor", 0, "uid_below_minimum"), ("daemon2", 999, "uid_below_minimum"), ("12x", 70_001, None)])
def test_a_name_of_anybodys_gives_nobody_the_uid_of_the_system(site: Site, name: str, uid: int, cause: str | None) -> None:
    with somebody(site, name, uid):
        answer = site.login(name, site.fresh_code(name), source=new_address())
        later = one_time_code(site.secret(name), int(time.time() // 30) + 1)
        shot = site.ask("GET", PING, headers=basic(f"{name}:{site.password(name)}", later), source=new_address())
    if cause is None:
        assert answer.json["username"] == name  # so that the others are refused for what is different about them
        return
    assert [(one.status, one.reason) for one in (answer, shot)] == [(403, "not_permitted")] * 2
    [line] = site.audit_lines(request_id=answer.headers["X-Request-ID"])
    assert line["cause"] == cause


def test_a_directory_that_is_gone_lets_nobody_in_and_uses_up_no_code(site: Site) -> None:
    code = site.fresh_code("bob")
    site.demo("stop", "slapd")
    try:
        answers = [site.login("bob", code, source=new_address()), site.login("bob", code, password="wrong", source=new_address())]
        answers.append(site.ask("GET", PING, headers=basic(f"bob:{site.password('bob')}", code), source=new_address()))
    finally:
        site.demo("start", "slapd")
    assert [(answer.status, answer.reason) for answer in answers] == [(503, "directory_unavailable")] * 3
    wait_for(lambda: site.login("bob", code, source=new_address()).status == 200, 40, "a sign-in after the directory's return")


def test_a_directory_that_hangs_lets_nobody_in_and_holds_up_nobody_who_is_in(site: Site) -> None:
    token, code = site.token("alice"), site.fresh_code("bob")
    pid = Site.at(site.state).told["pids"]["slapd"]
    with chain(site, settings={"directory": 'timeout = "1s"\n'}) as here:
        os.kill(pid, signal.SIGSTOP)
        try:
            answer = here.site.login("bob", code, source=new_address())
            carried = here.site.ask("GET", PING, headers=[("Authorization", f"Bearer {token}")])
        finally:
            os.kill(pid, signal.SIGCONT)
        assert (answer.status, answer.reason, carried.status) == (503, "directory_unavailable", 200)
        wait_for(lambda: here.site.login("bob", code, source=new_address()).status == 200, 40, "a sign-in after the directory's return")
