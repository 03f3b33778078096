from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import enroll_me
from gateway.signin.munge import payload
from tests.terminal import Terminal
from tests.unit.cli.conftest import Run, failure

BEGUN = {"id": "1" * 32, "name": "telephone", "secret": "SECRET234", "otpauth_uri": "otpauth://totp/x", "token": "sgw_enrolling"}
CODES = ["aaaa-bbbb-cccc-dddd", "eeee-ffff-gggg-hhhh"]
ADDRESS = "Give the address that your administrators told you: slurm-gateway enroll-me https://gateway.example.org"
WRONG = {"reason": "credentials_refused", "detail": "Not that one.", "hint": "Wait."}


@dataclass
class Door:
    """A gateway that answers what it is told to, and keeps what it was asked."""

    url: str
    ca: Path
    answers: list[tuple[int, object]] = field(default_factory=lambda: [(200, BEGUN), (200, {"recovery_codes": CODES})])
    asked: list[tuple[str, dict[str, str], str | None]] = field(default_factory=list)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run(["openssl", "req", "-x509", *ec, "-nodes", "-days", "2", *files, *subject], check=True, capture_output=True)
    return folder / "cert.pem"


@pytest.fixture
def door(certificate: Path) -> Iterator[Door]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.asked.append((self.path, json.loads(body), self.headers["Authorization"]))
            status, tree = made.answers.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(tree if isinstance(tree, bytes) else json.dumps(tree).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    made = Door(f"https://localhost:{server.server_port}", certificate)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def munge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A munge that keeps what it was called with, and what it was given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "munge"
    program.write_text('#!/bin/sh\necho "$@" >"$0.words"\ncat >"$0.payload"\necho MUNGE:abc:\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return program


@pytest.fixture(autouse=True)
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the person types, a line each."""
    lines = ["123456\n"]
    monkeypatch.setattr("sys.stdin.readline", lambda: lines.pop(0) if lines else "")
    monkeypatch.delenv("SLURM_GATEWAY_URL", raising=False)
    return lines


def test_a_person_sees_the_secret_types_a_code_and_gets_recovery_codes(run: Run, door: Door, munge: Path) -> None:
    ran = run("enroll-me", door.url, "--ca", door.ca)
    assert (ran.code, [text for text in ("secret:  SECRET234", "otpauth://totp/x", *CODES) if text not in ran.out]) == (0, [])
    assert door.asked == [
        ("/auth/totp", {"munge": "MUNGE:abc:"}, None),
        ("/auth/totp/confirm", {"otp": "123456"}, "Bearer sgw_enrolling"),
    ]
    assert munge.with_suffix(".payload").read_text() == "slurm-gateway enrol 1 localhost"
    assert "slurm-gateway" not in munge.with_suffix(".words").read_text()


def test_the_environment_names_the_gateway(run: Run, door: Door, munge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_GATEWAY_URL", f"{door.url}/")
    assert (run("enroll-me", "--ca", door.ca).code, munge.exists()) == (0, True)


@pytest.mark.usefixtures("munge")
def test_a_name_is_handed_on(run: Run, door: Door) -> None:
    run("enroll-me", door.url, "--ca", door.ca, "--name", "telephone")
    assert door.asked[0][1]["name"] == "telephone"


def test_munges_socket_can_be_named(run: Run, door: Door, munge: Path) -> None:
    run("enroll-me", door.url, "--ca", door.ca, "--munge-socket", "/run/other")
    assert "--socket=/run/other" in munge.with_suffix(".words").read_text()


@pytest.mark.usefixtures("munge")
def test_a_wrong_code_is_asked_for_again(run: Run, door: Door, typed: list[str]) -> None:
    typed[:] = ["000000\n", "123 456\n"]
    door.answers.insert(1, (401, WRONG))
    ran = run("enroll-me", door.url, "--ca", door.ca)
    assert (ran.code, "Not that one." in ran.err, door.asked[-1][1]) == (0, True, {"otp": "123456"})


@pytest.mark.usefixtures("munge")
def test_three_wrong_codes_are_enough(run: Run, door: Door, typed: list[str]) -> None:
    typed[:] = ["1\n", "2\n", "3\n", "4\n"]
    door.answers[1:] = [(401, WRONG)] * 3
    ran = run("enroll-me", door.url, "--ca", door.ca)
    hint = "Nothing was enrolled. Check the clock of your device, then run this again."
    assert (ran.code, ran.err.endswith(failure("no right code was given", hint)), typed) == (1, True, ["4\n"])


@pytest.mark.usefixtures("munge")
def test_no_code_at_all_enrols_nobody(run: Run, door: Door, typed: list[str]) -> None:
    typed.clear()
    ran = run("enroll-me", door.url, "--ca", door.ca)
    hint = "Nothing was enrolled. Run this again, and type the code that the app shows."
    assert (ran.code, ran.err) == (1, "The code that it shows now: " + failure("no code was given", hint))


@pytest.mark.usefixtures("munge")
@pytest.mark.parametrize(("place", "status"), [(0, 409), (0, 401), (1, 429), (1, 503)])
def test_what_the_gateway_refuses_is_told_in_its_words(run: Run, door: Door, place: int, status: int) -> None:
    door.answers[place] = (status, {"reason": "x", "detail": "It said \x1b[31mno.", "hint": "Ask it nicely."})
    ran = run("enroll-me", door.url, "--ca", door.ca)
    assert (ran.code, ran.err.splitlines()[-2].endswith("It said ?[31mno."), ran.err.splitlines()[-1]) == (1, True, "hint: Ask it nicely.")


@pytest.mark.usefixtures("munge")
def test_what_the_gateway_refuses_without_a_word_is_told_all_the_same(run: Run, door: Door) -> None:
    door.answers[0] = (503, {})
    ran = run("enroll-me", door.url, "--ca", door.ca)
    assert (ran.code, ran.err) == (1, failure("the gateway refused", "Ask your administrators."))


@pytest.mark.usefixtures("munge")
@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'"x"', b"", b"\xff"])
def test_what_is_no_gateway_is_told_apart(run: Run, door: Door, answer: bytes) -> None:
    door.answers[0] = (200, answer)
    ran = run("enroll-me", door.url, "--ca", door.ca)
    assert (ran.code, "Is this the gateway's address?" in ran.err) == (1, True)


@pytest.mark.usefixtures("munge")
def test_a_certificate_that_nobody_vouches_for_is_not_believed(run: Run, door: Door) -> None:
    ran = run("enroll-me", door.url)
    what = "the certificate of localhost is not trusted: self-signed certificate"
    assert (ran.code, ran.err, door.asked) == (1, failure(what, "Name its CA with --ca FILE."), [])


@pytest.mark.usefixtures("munge")
def test_nobody_there_is_told(run: Run) -> None:
    ran = run("enroll-me", "https://localhost:1")
    assert (ran.code, ran.err) == (1, failure("localhost cannot be reached: Connection refused", "Check the address."))


@pytest.mark.usefixtures("munge")
@pytest.mark.parametrize("content", [None, "", "nonsense"])
def test_a_ca_that_is_none_is_told_by_its_name(run: Run, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    ran = run("enroll-me", "https://localhost:1", "--ca", path)
    assert (ran.code, f"--ca {path}: " in ran.err, "Errno" in ran.err) == (1, True, False)


@pytest.mark.parametrize(
    "url", ["gateway", "http://gateway", "https://", "https://u:p@gateway", "https://gateway:x", "https://gateway/?a=b", "ftp://x"]
)
def test_what_is_no_address_of_a_gateway_is_usage(run: Run, url: str) -> None:
    ran = run("enroll-me", url)
    assert (ran.code, ran.out, ran.err) == (2, "", failure(f"{url} is no https:// address", ADDRESS))


@pytest.mark.parametrize("words", [(), ("",)])
def test_no_address_of_a_gateway_is_usage(run: Run, words: tuple[str, ...]) -> None:
    ran = run("enroll-me", *words)
    assert (ran.code, ran.out, ran.err) == (2, "", failure("no gateway is named", f"{ADDRESS} (or set SLURM_GATEWAY_URL)."))


def test_without_munge_it_is_said_where_there_is_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    ran = run("enroll-me", "https://localhost:1")
    assert (ran.code, ran.err) == (
        1,
        failure(
            "munge cannot be run",
            "Run this on a login node of the cluster, where munge is; or ask your administrators for a ticket, and give --ticket.",
        ),
    )


def test_munges_own_trouble_is_told(run: Run, munge: Path) -> None:
    munge.write_text("#!/bin/sh\necho 'munge: Error: Failed to access socket' >&2\nexit 6\n")
    ran = run("enroll-me", "https://localhost:1")
    what = "munge made no credential: munge: Error: Failed to access socket"
    assert (ran.code, ran.err) == (1, failure(what, "Is munged running here? Ask your administrators."))


@given(st.from_regex(r"[a-z0-9.-]{1,40}", fullmatch=True))
def test_both_ends_mean_the_same_by_a_credential(host: str) -> None:
    assert enroll_me.payload(host).encode() == payload(host)


def test_it_needs_nothing_of_the_server() -> None:
    program = "import sys; import gateway.cli.enroll_me; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {"aiohttp", "ldap", "sqlalchemy", "pydantic", "cryptography", "segno", "pyotp", "pyrad"} & set(loaded) == set()


@pytest.mark.usefixtures("munge")
@pytest.mark.parametrize(
    "answers",
    [
        [{}],
        [BEGUN | {"token": 5}],
        [BEGUN | {"otpauth_uri": None}],
        [BEGUN | {"otpauth_uri": "x" * 100_000}],
        [b"[" * 100_000],
        [BEGUN, {}],
        [BEGUN, {"recovery_codes": 5}],
        [BEGUN, {"recovery_codes": []}],
    ],
)
def test_what_no_gateway_answers_is_said(run: Run, door: Door, answers: list[object]) -> None:
    door.answers = [(200, answer) for answer in answers]
    ran = run("enroll-me", door.url, "--ca", door.ca)
    assert (ran.code, "localhost did not answer " in ran.err, "hint: Is this the gateway's address?" in ran.err) == (1, True, True)


@pytest.mark.usefixtures("munge")
def test_no_answer_moves_the_cursor(run: Run, door: Door, typed: list[str]) -> None:
    typed.append("123456\n")
    door.answers = [(200, BEGUN), (401, WRONG | {"detail": "No.\x1b[2J\x9b"}), (200, {"recovery_codes": CODES})]
    assert "That code is not right. No.?[2J?\n" in run("enroll-me", door.url, "--ca", door.ca).err


def test_a_ticket_does_what_munge_does_and_neither_it_nor_the_password_is_shown(door: Door, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "gateway", "enroll-me", door.url, "--ca", str(door.ca), "--ticket", "--name", "telephone"]
    with Terminal(words, {"HOME": str(tmp_path), "PATH": "/nowhere", "LANG": "C.UTF-8"}) as terminal:
        terminal.answer("User: ", "carol")
        terminal.answer("Password: ", "correct horse")
        terminal.answer("Ticket: ", " sgt_a-ticket ")
        terminal.answer("The code that it shows now: ", "123456")
        assert terminal.ended() == 0
    assert door.asked == [
        ("/auth/totp", {"username": "carol", "password": "correct horse", "ticket": "sgt_a-ticket", "name": "telephone"}, None),
        ("/auth/totp/confirm", {"otp": "123456"}, "Bearer sgw_enrolling"),
    ]
    assert [text for text in ("█", "secret:  SECRET234", *CODES, "Done: sign in") if text not in terminal.shown] == []
    assert [text for text in ("correct horse", "sgt_a-ticket") if text in terminal.shown] == []


def test_a_ticket_needs_a_terminal_to_be_asked_for(door: Door, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "gateway", "enroll-me", door.url, "--ticket", "--user", "carol"]
    done = subprocess.run(
        words, env={"HOME": str(tmp_path)}, stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True, check=False
    )
    assert (done.returncode, done.stderr.splitlines()[0], "\nhint: " in done.stderr) == (1, "slurm-gateway: there is no terminal to ask at", True)
    assert door.asked == []


def test_whose_ticket_it_is_is_not_said_where_munge_says_who_it_is(run: Run, door: Door) -> None:
    ran = run("enroll-me", door.url, "--user", "carol")
    hint = "munge says itself who you are: leave --user out, or add --ticket."
    assert (ran.code, ran.err, door.asked) == (2, failure("--user goes with --ticket", hint), [])


def test_a_slip_at_the_code_is_no_reason_to_lose_the_ticket(door: Door, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "gateway", "enroll-me", door.url, "--ca", str(door.ca), "--ticket", "--user", "carol"]
    with Terminal(words, {"HOME": str(tmp_path)}, stdin=subprocess.DEVNULL) as terminal:
        terminal.answer("Password: ", "correct horse")
        terminal.answer("Ticket: ", "sgt_a-ticket")
        terminal.answer("The code that it shows now: ", "")
        terminal.answer("The code that it shows now: ", "123 456")
        assert terminal.ended() == 0
    assert [asked for _, asked, _ in door.asked][1:] == [{"otp": "123456"}]


def test_whose_ticket_is_used_up_in_vain_asks_for_another(door: Door, tmp_path: Path) -> None:
    door.answers[1:] = [(401, WRONG)] * 3
    words = [sys.executable, "-m", "gateway", "enroll-me", door.url, "--ca", str(door.ca), "--ticket", "--user", "carol"]
    with Terminal(words, {"HOME": str(tmp_path)}) as terminal:
        terminal.answer("Password: ", "correct horse")
        terminal.answer("Ticket: ", "sgt_a-ticket")
        for _ in range(3):
            terminal.answer("The code that it shows now: ", "000000")
        assert terminal.ended() == 1
    hint = "Nothing was enrolled. Check the clock of your device, then ask your administrators for another ticket: this one is used up."
    assert terminal.shown.endswith(failure("no right code was given", hint))


def test_a_ticket_on_the_command_line_is_not_said_again(run: Run, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = f"sgt_{'a' * 49}"
    monkeypatch.setenv("SLURM_GATEWAY_URL", door.url)
    for words in ([door.url, "--ticket", ticket], ["--ticket", ticket], [f"--ticket={ticket}"]):
        ran = run("enroll-me", *words)
        assert (ran.code, "aaaa" in ran.out + ran.err, "\nhint: " in ran.err) == (2, False, True), ran.err
