"""Signing in at a terminal, as people do it: the commands, a real terminal, the real site; and plain curl with what they leave behind."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import certificates
from tests.system.people import COMMAND, Person
from tests.system.support import Site, wait_for
from tests.system.test_policy import age
from tests.terminal import Terminal

USER = "bob"


@pytest.fixture(scope="module")
def enrolled(site: Site) -> str:
    site.gateway("users", "unlock", USER)  # what was guessed before this would count here, most of all where two sign in at once
    site.fresh_code(USER)
    return USER


@pytest.fixture
def codes(site: Site, enrolled: str) -> Iterator[str]:
    """Codes that are good once each: recovery codes, for the authenticator shows a new one only every half minute."""
    assert enrolled == USER
    return iter(json.loads(site.gateway("recovery", USER, "--json").stdout)["recovery_codes"])


@pytest.fixture
def bob(site: Site, tmp_path: Path) -> Person:
    """Somebody who has not signed in yet."""
    return Person(site=site, user=USER, folder=tmp_path)


@pytest.fixture
def bob_signed_in(site: Site, codes: Iterator[str], bob: Person) -> Person:
    sign_in(site, codes, bob)
    return bob


def types(person: Person, *words: object, **streams: object) -> Terminal:
    return Terminal([*COMMAND, *map(str, words)], person.environment, cwd=person.folder, **streams)  # type: ignore[arg-type]  # streams as they are


def sign_in(site: Site, codes: Iterator[str], person: Person, *words: object) -> str:
    """Sign in at a terminal, and return all that it showed."""
    with types(person, "login", site.told["url"], "--ca", site.told["ca_file"], *words) as terminal:
        terminal.answer("User: ", USER)
        terminal.answer(f"Password of {USER}: ", site.password(USER))
        terminal.answer("Code: ", next(codes))
        assert terminal.ended() == 0, terminal.shown
    return terminal.shown


def header(person: Person) -> str:
    return (person.folder / "slurm-gateway" / "default.header").read_text()


def status(site: Site, header: str) -> int:
    name, _, value = header.strip().partition(": ")
    return site.ask("GET", "/auth/session", headers=[(name, value)]).status


def test_one_command_signs_in_and_the_line_that_it_shows_works_in_a_shell(site: Site, codes: Iterator[str], bob: Person) -> None:
    line = sign_in(site, codes, bob).splitlines()[-1]
    assert line == (f"curl --cacert {site.told['ca_file']} -H @$HOME/slurm-gateway/default.header {site.told['url']}/slurm/latest/jobs")
    done = subprocess.run(["/bin/sh", "-c", f"{line} -sS"], env=bob.environment, capture_output=True, text=True, check=True)
    assert isinstance(json.loads(done.stdout)["jobs"], list)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (bob.folder / "slurm-gateway").iterdir()] == [0o600] * 3


def test_a_one_time_code_signs_in_too(site: Site, bob: Person) -> None:
    code = site.fresh_code(USER)
    assert f"as {USER}, for 12 h 0 min." in sign_in(site, iter([f"{code[:3]} {code[3:]}"]), bob)


def test_people_and_programs_are_told_who_they_are(site: Site, bob_signed_in: Person) -> None:
    told = json.loads(bob_signed_in.run("whoami", "--json").stdout)
    assert (told["username"], told["kind"], told["url"]) == (USER, "session", site.told["url"])
    lines = bob_signed_in.run("whoami").stdout.splitlines()
    assert (lines[0], lines[3].startswith("Ends           in 1")) == (f"User           {USER}", True)


def test_signing_out_ends_the_session_at_the_gateway(site: Site, bob_signed_in: Person) -> None:
    before = header(bob_signed_in)
    assert status(site, before) == 200
    assert bob_signed_in.run("logout").returncode == 0
    wait_for(lambda: status(site, before) == 401, 2, "the end of the session")
    ran = bob_signed_in.run("whoami")
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (1, "hint: Sign in first: slurm-gateway login")


def test_signing_in_again_ends_the_session_before(site: Site, codes: Iterator[str], bob_signed_in: Person) -> None:
    before = header(bob_signed_in)
    with types(bob_signed_in, "login") as terminal:
        terminal.answer(f"User [{USER}]: ", "")
        terminal.answer(f"Password of {USER}: ", site.password(USER))
        terminal.answer("Code: ", next(codes))
        assert terminal.ended() == 0
    wait_for(lambda: status(site, before) == 401, 2, "the end of the session before")
    assert status(site, header(bob_signed_in)) == 200


def test_a_wrong_password_is_told_in_the_gateways_words_and_may_be_typed_again(site: Site, codes: Iterator[str], bob: Person) -> None:
    with types(bob, "login", site.told["url"], "--ca", site.told["ca_file"], "--user", USER) as terminal:
        terminal.answer(f"Password of {USER}: ", "wrong")
        terminal.answer("Code: ", next(codes))
        terminal.wait_for("User name, password and one-time code do not fit together.")
        terminal.answer(f"Password of {USER}: ", site.password(USER))
        terminal.answer("Code: ", next(codes))
        assert terminal.ended() == 0


def test_whoever_has_no_second_factor_is_told_the_ways_to_one(site: Site, bob: Person) -> None:
    with types(bob, "login", site.told["url"], "--ca", site.told["ca_file"], "--user", "carol") as terminal:
        terminal.answer("Password of carol: ", site.password("carol"))
        terminal.answer("Code: ", "123456")
        assert terminal.ended() == 1
    assert "slurm-gateway: This account has no second factor yet." in terminal.shown
    assert "sk your administrators to enrol you" in terminal.shown.splitlines()[-1]


@pytest.mark.parametrize("ca", [None, "another's"])
def test_no_password_is_asked_for_where_the_certificate_is_not_trusted(site: Site, bob: Person, tmp_path: Path, ca: str | None) -> None:
    words = ["login", site.told["url"]]
    if ca is not None:
        _, other = certificates.write(tmp_path)
        words += ["--ca", str(other)]
    with types(bob, *words) as terminal:
        assert terminal.ended() == 1
    what, hint = terminal.shown.splitlines()
    assert (what.startswith("slurm-gateway: the certificate of 127.0.0.1 is not trusted: "), "--ca" in hint) == (True, True)


def test_a_session_that_was_ended_is_begun_anew_in_the_middle_of_a_command(site: Site, codes: Iterator[str], bob_signed_in: Person) -> None:
    before = header(bob_signed_in)
    site.gateway("users", "end", USER)
    wait_for(lambda: status(site, before) == 401, 2, "the end of the session")
    out = bob_signed_in.folder / "out"
    with out.open("w") as stream, types(bob_signed_in, "api", "GET", "/slurm/latest/ping", stdout=stream) as terminal:
        terminal.answer(f"Password of {USER}: ", site.password(USER))
        terminal.answer("Code: ", next(codes))
        assert terminal.ended() == 0
    assert json.loads(out.read_text())["pings"]
    assert (header(bob_signed_in) == before, status(site, header(bob_signed_in))) == (False, 200)


def test_without_a_terminal_a_session_that_was_ended_is_exit_code_1_and_the_command_to_run(site: Site, bob_signed_in: Person) -> None:
    site.gateway("users", "end", USER)
    wait_for(lambda: status(site, header(bob_signed_in)) == 401, 2, "the end of the session")
    ran = bob_signed_in.run("jobs")
    assert (ran.returncode, ran.stdout, ran.stderr.splitlines()[-1]) == (1, "", "hint: Sign in again: slurm-gateway login")


def test_an_old_second_factor_is_asked_for_and_the_call_goes_on(site: Site, codes: Iterator[str], bob_signed_in: Person) -> None:
    age(site, USER, 3600)
    path = f"/slurmdb/{site.api}/account/not-there"
    wait_for(lambda: "second_factor" in bob_signed_in.run("api", "DELETE", path).stdout, 5, "the refusal")
    with types(bob_signed_in, "api", "DELETE", path) as terminal:
        terminal.answer("Code: ", next(codes))
        terminal.ended()
    # What Slurm makes of it is Slurm's own: bob is no administrator of its accounting.
    assert "second_factor" not in terminal.shown.split("Code: ")[1]
    assert "errors" in terminal.shown.split("Code: ")[1]


def test_a_personal_token_is_made_used_listed_and_revoked(site: Site, codes: Iterator[str], bob_signed_in: Person) -> None:
    age(site, USER, 3600)
    file = bob_signed_in.folder / "token"
    wait_for(lambda: "second factor" in bob_signed_in.run("tokens", "create", "--name", "nightly").stderr, 5, "the refusal")
    with types(bob_signed_in, "tokens", "create", "--name", "nightly", "--expires", "7d", "--output", file) as terminal:
        terminal.answer("Code: ", next(codes))
        assert terminal.ended() == 0
    token = file.read_text().strip()
    (listed,) = json.loads(bob_signed_in.run("tokens", "list", "--json").stdout)["tokens"]
    assert (listed["name"], listed["scopes"]) == ("nightly", ["read"])

    ci = Person(site=site, user=USER, folder=bob_signed_in.folder / "ci")
    ci.folder.mkdir()
    variables = {"SLURM_GATEWAY_TOKEN": token, "SLURM_GATEWAY_URL": site.told["url"], "SLURM_GATEWAY_CA": site.told["ca_file"]}
    assert json.loads(ci.run("whoami", "--json", **variables).stdout)["kind"] == "token"
    assert bob_signed_in.run("jobs", "--token-file", file).returncode == 0
    assert ci.run("tokens", "list", **variables).returncode == 1

    assert bob_signed_in.run("tokens", "revoke", listed["id"]).stdout == f"{listed['id']}: ended\n"
    wait_for(lambda: ci.run("whoami", **variables).returncode == 1, 5, "the end of the token")


def test_the_administrators_tokens_are_everybodys_still(site: Site, bob_signed_in: Person) -> None:
    made = bob_signed_in.run("tokens", "create", "--name", "nightly", "--json")
    assert json.loads(made.stdout)["id"] in site.gateway("tokens", "list", "--user", USER).stdout
    assert site.gateway("tokens", "revoke", "--user", USER).stdout == f"{USER}: 1 token(s) ended\n"


def test_no_secret_is_in_what_others_can_see_of_the_command_or_in_its_files(site: Site, codes: Iterator[str], bob: Person) -> None:
    seen = b""
    code = next(codes)
    with types(bob, "login", site.told["url"], "--ca", site.told["ca_file"], "--user", USER) as terminal:
        terminal.answer(f"Password of {USER}: ", site.password(USER))
        terminal.wait_for("Code: ")
        for process in family(terminal.process.pid):
            seen += Path(f"/proc/{process}/cmdline").read_bytes() + Path(f"/proc/{process}/environ").read_bytes()
        terminal.type(f"{code}\n")
        assert terminal.ended() == 0
    token = header(bob).split()[-1]
    assert (site.password(USER).encode() in seen, site.password(USER) in terminal.shown, token in terminal.shown) == (False, False, False)
    logs = [path for path in [*Path(site.told["log_dir"]).rglob("*"), *(site.state / "gateway").glob("audit.jsonl*")] if path.is_file()]
    assert logs
    secrets = (token.encode(), site.password(USER).encode(), code.encode())
    assert [path for path in logs if any(secret in path.read_bytes() for secret in secrets)] == []
    others = [path for path in bob.folder.rglob("*") if path.is_file() and path.suffix != ".header"]
    assert [path for path in others if any(secret in path.read_bytes() for secret in (token.encode(), site.password(USER).encode()))] == []


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(grandchild for child in children for grandchild in family(int(child)))]


def test_two_sign_ins_at_once_leave_two_sites(site: Site, codes: Iterator[str], bob: Person) -> None:
    words = ("login", site.told["url"], "--ca", site.told["ca_file"], "--user", USER)
    with types(bob, *words, "--site", "one") as one, types(bob, *words, "--site", "two") as two:
        for terminal in (one, two):
            terminal.answer(f"Password of {USER}: ", site.password(USER))
        for terminal in (one, two):
            terminal.answer("Code: ", next(codes))
        assert (one.ended(), two.ended()) == (0, 0), (one.shown, two.shown)
    names = [row["name"] for row in json.loads(bob.run("sites", "list", "--json").stdout)["sites"]]
    assert (names, [bob.run("whoami", "--site", name).returncode for name in names]) == (["one", "two"], [0, 0])
    assert bob.run("logout", "--all").returncode == 0
