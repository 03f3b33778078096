"""What the site writes for its servers: parsed, not compared."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from deploy.site import certificates, directory, environment, gateway, packages, slurm
from deploy.site.accounts import choose_ids
from deploy.site.farewell import farewell
from deploy.site.files import owned_file
from deploy.site.job import description
from deploy.site.layout import Layout
from deploy.site.record import Record
from deploy.site.release import RELEASES
from deploy.site.trouble import LOG_LINES, Trouble

LAYOUT = Layout.at(Path("/var/lib/site"))
PORTS = {"slurmctld": 20001, "slurmd": 20002, "slurmdbd": 20003, "ldaps": 20004, "ldap": 20005, "admin": 20006}


@pytest.fixture
def record() -> Record:
    record = Record(ports=PORTS, ids=choose_ids(lambda _: False))
    directory.draw_secrets(record)
    return record


def entry(ldif: str, dn: str) -> dict[str, list[str]]:
    block = next(block for block in ldif.split("\n\n") if block.strip().startswith(f"dn: {dn}"))
    fields: dict[str, list[str]] = {}
    for line in block.strip().splitlines():
        name, value = line.split(": ", 1)
        fields.setdefault(name, []).append(value)
    return fields


def test_the_gateways_configuration_names_files_and_holds_no_secret(record: Record) -> None:
    text = gateway.config(LAYOUT, record)
    tree = tomllib.loads(text)
    assert tree["directory"]["urls"] == ["ldaps://127.0.0.1:20004"]
    assert tree["store"]["url"] == "sqlite:////var/lib/site/gateway/gateway.db"
    assert tree["clusters"]["demo"]["url"] == "unix:/var/lib/site/run/slurmrestd/slurmrestd.sock"
    assert tree["enrolment"]["munge_socket"] == "/var/lib/site/run/munge/munge.sock"
    assert not any(secret in text for secret in (*record.secrets.values(), *record.passwords.values()))


def test_no_page_may_call_the_gateway_but_those_that_are_named(record: Record) -> None:
    assert "cors" not in tomllib.loads(gateway.config(LAYOUT, record))
    record.origins = ["http://127.0.0.1:8000", "https://portal.example.org"]
    assert tomllib.loads(gateway.config(LAYOUT, record))["cors"] == {"origins": ["http://127.0.0.1:8000", "https://portal.example.org"]}


def test_slurms_daemons_keep_to_loopback_and_take_both_kinds_of_key() -> None:
    conf = dict(line.split("=", 1) for line in slurm.conf(LAYOUT, PORTS).splitlines())
    assert conf["CommunicationParameters"] == "NoCtldInAddrAny,NoInAddrAny"
    assert conf["SlurmctldHost"] == "demo(127.0.0.1)"
    assert conf["AuthAltParameters"] == f"jwks={LAYOUT.jwks},jwt_key={LAYOUT.jwt_key}"
    dbd = dict(line.split("=", 1) for line in slurm.dbd_conf(LAYOUT, PORTS).splitlines())
    assert (dbd["CommunicationParameters"], dbd["AuthAltParameters"]) == ("NoInAddrAny", conf["AuthAltParameters"])


def test_a_key_set_holds_the_modulus_without_padding() -> None:
    (key,) = slurm.jwks("00FF" + "AB" * 254)["keys"]
    assert base64.urlsafe_b64decode(key["n"] + "==") == b"\xff" + b"\xab" * 254
    assert (key["e"], key["kid"], key["alg"]) == ("AQAB", "demo-1", "RS256")


def test_a_password_is_stored_salted() -> None:
    raw = base64.b64decode(directory.ssha("secret", b"saltsalt").removeprefix("{SSHA}"))
    assert (raw[:20], raw[20:]) == (hashlib.sha1(b"secretsaltsalt", usedforsecurity=False).digest(), b"saltsalt")


@pytest.mark.parametrize(("name", "number"), [("root", 0), ("33", 33)])
def test_the_traps_have_the_numbers_that_make_them_traps(record: Record, name: str, number: int) -> None:
    assert entry(directory.entries(record), f"uid={name},")["uidNumber"] == [str(number)]


def test_the_trap_slurm_is_slurms_own_user(record: Record) -> None:
    assert entry(directory.entries(record), "uid=slurm,")["uidNumber"] == [str(record.ids["slurm"])]


def test_only_erin_is_locked(record: Record) -> None:
    ldif = directory.entries(record)
    assert ldif.count("pwdAccountLockedTime") == 1
    assert entry(ldif, "uid=erin,")["pwdAccountLockedTime"] == [directory.FOR_EVER]


def test_membership_is_said_on_both_sides(record: Record) -> None:
    ldif = directory.entries(record)
    members = entry(ldif, "cn=hpc-users,")["member"]
    assert f"uid=dave,{directory.PEOPLE_BASE}" not in members
    assert len(members) == 8
    assert "memberOf" not in entry(ldif, "uid=dave,")
    assert len(entry(ldif, "uid=adele,")["memberOf"]) == 2


def test_no_password_stands_in_the_directorys_files(record: Record) -> None:
    text = directory.entries(record) + directory.config(LAYOUT, record.secrets["ldap_admin"])
    assert not any(secret in text for secret in (*record.secrets.values(), *record.passwords.values()))


def test_secrets_are_drawn_once(record: Record) -> None:
    before = dict(record.passwords)
    directory.draw_secrets(record)
    assert record.passwords == before


@pytest.mark.parametrize("release", RELEASES)
def test_the_last_lines_can_be_pasted(record: Record, release: str) -> None:
    record.release = release
    text = farewell(LAYOUT, record)
    lines = text[text.index("# sign in") : text.index("What runs")]
    assert subprocess.run(["sh", "-n"], input=lines, text=True, check=False).returncode == 0
    assert "--state /var/lib/site" in lines
    assert f"/slurm/{RELEASES[release].first_job_api}/ping" in lines


@pytest.mark.parametrize(
    ("api", "environment", "script"),
    [("v0.0.36", {"PATH": "/usr/bin:/bin"}, "outside"), ("v0.0.42", ["PATH=/usr/bin:/bin"], "inside")],
)
def test_the_first_job_has_the_shape_that_its_version_wants(api: str, environment: object, script: str) -> None:
    body = description(Path("/home/alice"), api)
    assert body["job"]["environment"] == environment
    assert ("script" in body["job"], "script" in body) == ((True, False) if script == "inside" else (False, True))


def test_both_servers_certificates_are_the_authoritys(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    if os.geteuid() != 0:
        pytest.skip("a site's files are root's")
    certificates.make(layout, {"slapd": 0, "nginx": 0})
    for name in ("slapd", "nginx"):
        verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "127.0.0.1", "-CAfile", str(layout.ca)]
        subprocess.run([*verify, str(layout.tls / f"{name}.pem")], check=True, capture_output=True)
    before = layout.ca.read_bytes()
    certificates.make(layout, {"slapd": 0, "nginx": 0})
    assert layout.ca.read_bytes() == before


def test_only_packages_that_are_wholly_installed_count() -> None:
    status = "nginx installed\nslapd config-files\nmunge half-configured\n"
    assert packages.missing(["nginx", "slapd", "munge", "curl"], status) == ["slapd", "munge", "curl"]


def test_the_environment_is_rebuilt_when_a_source_changes(tmp_path: Path) -> None:
    source = tmp_path / "gateway" / "app.py"
    source.parent.mkdir()
    source.write_text("1")
    before = environment.digest([tmp_path / "gateway"])
    (source.parent / "app.pyc").write_text("compiled")
    assert environment.digest([tmp_path / "gateway"]) == before
    source.write_text("2")
    assert environment.digest([tmp_path / "gateway"]) != before


def test_an_environment_without_the_gateway_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="no slurm-gateway"):
        environment.command_beside(tmp_path / "python")


def test_a_secret_file_is_never_open_to_others(tmp_path: Path) -> None:
    path = owned_file(tmp_path / "key", b"secret", os.getuid())
    assert path.stat().st_mode & 0o777 == 0o400
    owned_file(path, b"other", os.getuid())
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_a_refusal_shows_the_end_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "slapd.log"
    log.write_text("".join(f"line {number}\n" for number in range(1000)))
    report = Trouble("slapd ended.", hint="look.", log=log).report().splitlines()
    assert (report[0], report[-1]) == ("error: slapd ended.", "hint: look.")
    assert (len(report), report[-2]) == (LOG_LINES + 3, "  | line 999")


def test_a_refusal_without_a_log_is_two_lines() -> None:
    assert Trouble("no.", hint="yes.").report() == "error: no.\nhint: yes."


def test_jwks_is_json() -> None:
    assert json.loads(json.dumps(slurm.jwks("FF")))["keys"][0]["n"] == "_w"
