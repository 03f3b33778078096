"""After a day of signing in, failing to, and submitting: no secret is in a log, an answer, a process' words, or a file that others may read.

The gateway of this day logs all that it and its libraries have to say.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.chain import Chain, at_once, chain, family, new_address
from tests.system.support import Answer, Site, one_time_code
from tests.system.test_attacks_on_signing_in import PING, basic

TOKEN = "bob's token"
WRONG = f"Wr0ng-{secrets.token_hex(8)}"
WRONG_CODE = f"no-code-{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What was used on that day, by what it is; what was answered; and where."""

    way: Chain
    secrets: dict[str, bytes]
    answers: list[Answer]
    folders: tuple[Path, Path]

    def found_in(self, content: bytes) -> set[str]:
        """Return the names of the secrets that stand in ``content``."""
        return {name for name, secret in self.secrets.items() if secret in content}


def known(site: Site, used: dict[str, str]) -> dict[str, bytes]:
    """Return the secrets of the site and of that day, also in the spellings that a dump of bytes would give them."""
    gateway = site.state / "gateway"
    raw = {
        "Slurm's key": Path(site.told["jwt_key"]).read_bytes(),
        "bob's TOTP secret, decoded": base64.b32decode(used["bob's TOTP secret"]),
        "the key ring's key": base64.b64decode((gateway / "keyring").read_bytes().split(b"\n")[0].partition(b":")[2]),
    }
    spelled = {
        f"{name}, in {how}": spell(value) for name, value in raw.items() for how, spell in (("hex", hexadecimal), ("base64", base64.b64encode))
    }
    people = {f"{name}'s password": told["password"] for name, told in site.told["users"].items()}
    # Names are compared in small letters.
    folded = {f"{name} in small letters": password.lower() for name, password in people.items()}
    texts = {**used, **people, **folded, "the service account's password": (gateway / "ldap-password").read_text().strip()}
    texts["the directory administrator's password"] = site.told["ldap"]["admin_password"]
    return {**raw, **spelled, **{name: text.encode() for name, text in texts.items()}}


def hexadecimal(raw: bytes) -> bytes:
    return raw.hex().encode()


@pytest.fixture(scope="module")
def _forgiven(site: Site) -> Iterator[None]:
    """Nothing is held against bob when the day begins, nor when other tests go on."""
    site.gateway("users", "unlock", "bob")
    yield
    for user in ("bob", "carol"):
        site.gateway("users", "unlock", user)


@pytest.fixture(scope="module")
def day(site: Site, _forgiven: None) -> Iterator[Day]:
    site.gateway("disenroll", "bob", check=False)
    enrolled = json.loads(site.gateway("enroll", "bob", "--json").stdout)
    code = one_time_code(enrolled["secret"], int(time.time() // 30))
    used = {"bob's TOTP secret": enrolled["secret"], "the wrong password": WRONG, "the wrong code": WRONG_CODE}
    used |= {f"recovery code {number}": recovery for number, recovery in enumerate(enrolled["recovery_codes"])}
    with chain(site, settings={"log": 'level = "debug"\nreads = true\n'}) as way:
        first = way.site.login("bob", code)
        again = way.site.login("bob", enrolled["recovery_codes"][0])
        used |= {TOKEN: first.json["token"], "bob's second token": again.json["token"]}
        answers = [*attempts(way.site, used, code), *calls(way.site, used[TOKEN]), *enrolment(way.site, used)]
        used |= {f"a minted JWT, {number}": request.all("X-SLURM-USER-TOKEN")[0] for number, request in enumerate(way.witness.taken())}
        site.gateway("check")
        yield Day(way=way, secrets=known(site, used), answers=answers, folders=(site.state, way.folder))


def attempts(site: Site, used: dict[str, str], code: str) -> list[Answer]:
    """Sign in wrongly in every way; the code is bob's, and used."""
    right, recovery = site.password("bob"), used["recovery code 0"]
    bodies = {
        "the wrong password": {"username": "bob", "password": WRONG, "otp": code},
        "a used code": {"username": "bob", "password": right, "otp": code},
        "a used recovery code": {"username": "bob", "password": right, "otp": recovery},
        "a wrong code": {"username": "bob", "password": right, "otp": WRONG_CODE},
        "the password for a name": {"username": right, "password": right, "otp": code},
        "the password for a code": {"username": "bob", "password": right, "otp": right},
        "one key more": {"username": "bob", "password": right, "otp": code, WRONG: recovery},
        "a list": [right, recovery],
        "not the person's": {"username": "nobody", "password": right, "otp": recovery},
    }
    whole = at_once(lambda tree: site.ask("POST", "/auth/login", body=json.dumps(tree).encode(), source=new_address()), bodies)
    half = site.ask("POST", "/auth/login", body=json.dumps(bodies["a used code"]).encode()[:-3], source=new_address())
    shot = site.ask("GET", PING, headers=basic(f"bob:{right}", recovery), source=new_address())
    broken = site.ask("GET", PING, headers=[("Authorization", f"Basic {right}"), ("X-OTP", recovery)], source=new_address())
    return [*whole.values(), half, shot, broken]


def calls(site: Site, token: str) -> list[Answer]:
    """Use a token rightly and wrongly."""
    bearer = ("Authorization", f"Bearer {token}")
    job = json.dumps({"job": site.job("bob", hold=True), "script": "#!/bin/sh\ntrue\n"}).encode()
    return [
        site.ask("GET", PING, headers=[bearer]),
        site.ask("POST", "/slurm/v0.0.36/job/submit", headers=[bearer, ("Content-Type", "application/json")], body=job),
        site.ask("GET", "/auth/session", headers=[("X-SLURM-USER-TOKEN", token)]),
        site.ask("GET", PING, headers=[bearer, bearer]),
        site.ask("GET", PING, headers=[bearer, ("X-SLURM-USER-NAME", token)]),
        site.ask("GET", PING, headers=[("X-SLURM-USER-NAME", token)]),
        site.ask("GET", PING, headers=[("Authorization", f"Bearer {token}x")]),
        site.ask("GET", f"{PING}?token={token}", headers=[bearer]),
        site.ask("GET", f"/slurm/v0.0.36/{token}/x", headers=[bearer]),
        site.ask("GET", f"/{token}"),
        site.ask("POST", "/auth/login", headers=[bearer], body=job),
    ]


def enrolment(site: Site, used: dict[str, str]) -> list[Answer]:
    """Begin to enrol one authenticator more, redeem a ticket wrongly, and make a personal token; what is shown of them is a secret from then on."""
    bearer = ("Authorization", f"Bearer {used[TOKEN]}")
    begun = site.ask("POST", "/auth/totp", headers=[bearer], body=b"")
    made = site.ask("POST", "/auth/tokens", headers=[bearer], body=json.dumps({"name": "ci", "scopes": ["read"]}).encode())
    used |= {"another TOTP secret": begun.json["secret"], "a personal token": made.json["token"]}
    site.gateway("disenroll", "carol", check=False)  # a ticket is for whoever has no second factor
    used["carol's ticket"] = json.loads(site.gateway("enroll", "--ticket", "carol", "--json").stdout)["ticket"]
    ticket = {"username": "carol", "password": WRONG, "ticket": used["carol's ticket"]}
    personal = ("Authorization", f"Bearer {used['a personal token']}")
    bodies: dict[str, tuple[tuple[str, str], str, object]] = {
        "a wrong first code": (bearer, "/auth/totp/confirm", {"otp": WRONG_CODE}),
        "a wrong step-up": (bearer, "/auth/stepup", {"otp": used["recovery code 0"]}),
        "a malformed step-up": (bearer, "/auth/stepup", {"otp": [used["recovery code 1"]]}),
        "a ticket and a wrong password": (("X-Nothing", "x"), "/auth/totp", ticket),
        "a ticket for a code": (("X-Nothing", "x"), "/auth/login", {"username": "carol", "password": WRONG, "otp": used["carol's ticket"]}),
        "a personal token that makes more": (personal, "/auth/tokens", {"name": used["a personal token"]}),
    }
    calls = {name: (header, path, json.dumps(tree).encode()) for name, (header, path, tree) in bodies.items()}
    asked = at_once(lambda call: site.ask("POST", call[1], headers=[call[0]], body=call[2], source=new_address()), calls)
    return [*asked.values(), site.ask("GET", "/auth/tokens", headers=[bearer]), site.ask("GET", "/auth/sessions", headers=[bearer])]


def files(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the files of folders that are their own, links and other places left out."""
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and "host-etc" not in path.parts:
                yield path


def test_the_day_was_as_it_should_be(day: Day) -> None:
    """So that what is not found is not there, rather than not done."""
    assert {answer.status for answer in day.answers} >= {200, 400, 401, 403}
    assert len([name for name in day.secrets if name.startswith("a minted JWT")]) >= 2
    assert len((day.way.folder / "gateway.log").read_bytes().splitlines()) > 20


def test_no_log_and_no_trail_has_a_secret(day: Day) -> None:
    logs = [path for path in files(day.folders) if path.suffix == ".log" or path.name.startswith("audit.jsonl")]
    assert len(logs) > 12
    assert {path: found for path in logs if (found := day.found_in(path.read_bytes()))} == {}


def test_no_one_time_code_is_in_a_log_either(day: Day) -> None:
    codes = [one_time_code(day.secrets["bob's TOTP secret"].decode(), int(time.time() // 30) + step) for step in range(-4, 3)]
    ours = [day.way.folder / name for name in ("gateway.log", "access.log", "error.log", "gateway/audit.jsonl")]
    pattern = re.compile(rf"(?<![\w.])(?:{'|'.join(codes)})\b")  # not the digits of a time
    assert [line for path in ours for line in path.read_text().splitlines() if pattern.search(line)] == []


def test_no_answer_repeats_a_secret(day: Day) -> None:
    said = [(answer.status, day.found_in(answer.body + bytes(answer.headers))) for answer in day.answers]
    assert [found for _, found in said if found] == []


def test_no_process_has_a_secret_among_its_words_or_in_its_environment(day: Day) -> None:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            for name in ("cmdline", "environ"):
                try:
                    content = (entry / name).read_bytes()
                except OSError:
                    continue
                if secrets_found := day.found_in(content):
                    found[f"{entry.name} {name}"] = secrets_found
    assert found == {}


def test_others_may_read_no_file_with_a_secret(day: Day) -> None:
    readable = [path for path in files(day.folders) if path.stat().st_mode & stat.S_IROTH and "home" not in path.parts]
    assert readable
    assert {path: found for path in readable if (found := day.found_in(path.read_bytes()))} == {}


def test_what_the_gateway_keeps_is_for_its_own_user_alone(day: Day) -> None:
    kept = [*files([day.folders[0] / "gateway", day.folders[1] / "gateway"])]
    assert {"gateway.db", "keyring", "jwt_hs256.key", "ldap-password", "audit.jsonl"} <= {path.name for path in kept}
    # The configuration names files of secrets, and holds none.
    assert {path.name for path in kept if stat.S_IMODE(path.stat().st_mode) & 0o077} <= {"gateway.toml"}
    assert stat.S_IMODE((day.folders[0] / "gateway").stat().st_mode) == 0o700


def test_the_store_has_no_secret_but_sealed(day: Day) -> None:
    stored = b"".join(path.read_bytes() for path in (day.folders[0] / "gateway").glob("gateway.db*"))
    assert b"bob" in stored
    assert set(day.found_in(stored)) == set()
    assert not any(day.secrets[name].replace(b"-", b"") in stored for name in day.secrets if name.startswith("recovery"))


def test_a_gateway_that_dies_leaves_no_core_and_lets_nobody_of_its_user_look_inside(day: Day) -> None:
    for pid in family(day.way.gateway_pid):
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits)
        # proc(5): the files of a process that is not dumpable belong to root.
        assert Path(f"/proc/{pid}/mem").stat().st_uid == 0
        assert re.search(r"^Uid:\s+(?!0\b)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
