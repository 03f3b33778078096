"""``slurm-gateway enroll-me [URL]``: give yourself a first second factor.

On a login node munge tells the gateway who you are, if your site has it so; anywhere else a ticket that your administrators gave you does
(``--ticket``), with your password. The secret is shown as a QR code to scan, and the first code that your device makes of it is asked for.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.cli import terminal
from gateway.errors import CommandError

_LIMIT = 30.0
_MAX_ANSWER = 1024 * 1024
_MUNGE_LIMIT = 10
_TRIES = 3
_LONGEST_URI = 1024  # a QR code has no room for much more
_LIFETIME = "120"  # seconds that the credential is good for
_OK, _UNAUTHORIZED = 200, 401
_QUESTION = "The code that it shows now: "
_AGAIN = "run this again"
_ANOTHER_TICKET = "ask your administrators for another ticket: this one is used up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Where the gateway is, and which certificate it must show."""

    host: str
    port: int
    path: str
    ca: Path | None

    @property
    def name(self) -> str:
        """The host as it stands in a Host header (RFC 3986 section 3.2.2)."""
        return f"[{self.host}]" if ":" in self.host else self.host


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("enroll-me", help="give yourself a first second factor", description=__doc__)
    parser.add_argument(
        "url",
        nargs="?",
        metavar="URL",
        default=os.environ.get("SLURM_GATEWAY_URL"),
        help="the gateway, https://…; without it, SLURM_GATEWAY_URL names it",
    )
    parser.add_argument("--ca", type=Path, metavar="FILE", help="the CA that its certificate chains to (PEM); the system's without it")
    parser.add_argument("--ticket", action="store_true", help="ask for your password and a ticket of your administrators', instead of munge")
    parser.add_argument("--user", metavar="USER", help="with --ticket, the user name; asked for without it")
    parser.add_argument("--name", metavar="NAME", help="what to call the authenticator")
    parser.add_argument("--munge-socket", type=Path, metavar="FILE", help="munged's socket, if it is not where munge looks for it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Enrol: proof of who it is, secret, first code, recovery codes."""
    gateway = _gateway(arguments)
    if arguments.user is not None and not arguments.ticket:
        raise CommandError("--user goes with --ticket", "munge says itself who you are: leave --user out, or add --ticket.", exit_code=2)
    name = {} if arguments.name is None else {"name": arguments.name}
    proof = _ticket(arguments.user) if arguments.ticket else {"munge": _credential(payload(gateway.name), arguments.munge_socket)}
    status, begun = _post(gateway, "/auth/totp", {**proof, **name})
    if status != _OK:
        raise _refused(begun)
    if not all(isinstance(begun.get(key), str) for key in ("token", "otpauth_uri", "secret")) or len(begun["otpauth_uri"]) > _LONGEST_URI:
        raise _no_gateway(gateway)
    _say(_shown(begun, qr=sys.stdout.isatty()))
    codes = _confirmed(gateway, str(begun["token"]), *((_code_at_the_terminal, _ANOTHER_TICKET) if arguments.ticket else (_first_code, _AGAIN)))
    _say(f"\n{_recovery(codes)}\nDone: sign in with your password and the next code.\n")
    return 0


def payload(host: str) -> str:
    """Return what the credential is made for: this purpose at this gateway, so that it is good for nothing else (gateway.signin.munge)."""
    return f"slurm-gateway enrol 1 {host}"


def _ticket(user: str | None) -> dict[str, str]:
    """Ask for what a ticket is redeemed with, at the terminal; raise CommandError where there is none."""
    username = user or terminal.line("User: ")
    password, ticket = terminal.hidden("Password: "), terminal.hidden("Ticket: ")
    return {"username": username, "password": password.reveal().decode(), "ticket": ticket.reveal().decode().strip()}


def _gateway(arguments: argparse.Namespace) -> Gateway:
    hint = "Give the address that your administrators told you: slurm-gateway enroll-me https://gateway.example.org"
    if not arguments.url:
        raise CommandError("no gateway is named", f"{hint} (or set SLURM_GATEWAY_URL).", exit_code=2)
    try:
        url = urlsplit(arguments.url)
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if host is None or url.scheme != "https" or url.username is not None or url.query or url.fragment:
        raise CommandError(f"{arguments.url} is no https:// address", hint, exit_code=2)
    return Gateway(host=host, port=port or 443, path=url.path.rstrip("/"), ca=arguments.ca)


def _credential(text: str, socket: Path | None) -> str:
    command = ["munge", f"--ttl={_LIFETIME}", *([] if socket is None else [f"--socket={socket}"])]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=_MUNGE_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(
            "munge cannot be run",
            "Run this on a login node of the cluster, where munge is; or ask your administrators for a ticket, and give --ticket.",
        ) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise CommandError(f"munge made no credential: {said[-1] if said else done.returncode}", "Is munged running here? Ask your administrators.")
    return done.stdout.decode().strip()


def _post(gateway: Gateway, path: str, tree: dict[str, str], token: str | None = None) -> tuple[int, dict[str, Any]]:
    """Send JSON; return the status and the JSON that comes back. Follows no redirect, and asks no proxy."""
    body = json.dumps(tree).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "slurm-gateway enroll-me"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection = http.client.HTTPSConnection(gateway.host, gateway.port, timeout=_LIMIT, context=_trust(gateway.ca))
        try:
            connection.request("POST", gateway.path + path, body, headers)
            answer = connection.getresponse()
            said = json.loads(answer.read(_MAX_ANSWER))
        finally:
            connection.close()
    except ssl.SSLCertVerificationError as error:
        raise CommandError(f"the certificate of {gateway.name} is not trusted: {error.verify_message}", "Name its CA with --ca FILE.") from error
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or error
        raise CommandError(f"{gateway.name} cannot be reached: {why}", "Check the address.") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{gateway.name} did not answer in JSON", "Is this the gateway's address?") from error
    if not isinstance(said, dict):
        raise _no_gateway(gateway)
    return answer.status, said


def _no_gateway(gateway: Gateway) -> CommandError:
    return CommandError(f"{gateway.name} did not answer as a gateway does", "Is this the gateway's address?")


def _trust(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # ssl.SSLError is one
        raise CommandError(f"--ca {ca}: {error.strerror or 'is no certificate'}", "Name a file with the CA's certificate (PEM).") from error


def _confirmed(gateway: Gateway, token: str, ask: Callable[[], str], otherwise: str) -> list[str]:
    """Ask for the first code until it is right, three times at most; return the recovery codes. Raise CommandError, which hints at ``otherwise``."""
    for _ in range(_TRIES):
        code = ask()
        if not code:
            continue
        status, said = _post(gateway, "/auth/totp/confirm", {"otp": code}, token)
        if status == _OK:
            codes = said.get("recovery_codes")
            if not isinstance(codes, list) or not codes:
                raise _no_gateway(gateway)
            return [str(code) for code in codes]
        if status != _UNAUTHORIZED or said.get("reason") != "credentials_refused":
            raise _refused(said)
        sys.stderr.write(f"That code is not right. {_printable(str(said.get('detail', '')))}\n")
    raise CommandError("no right code was given", f"Nothing was enrolled. Check the clock of your device, then {otherwise}.")


def _code_at_the_terminal() -> str:
    """Ask where the ticket was asked for; nothing is a slip as any other, for the ticket is used up already."""
    try:
        return terminal.line(_QUESTION).replace(" ", "")
    except CommandError:
        return ""


def _first_code() -> str:
    sys.stderr.write(_QUESTION)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise CommandError("no code was given", "Nothing was enrolled. Run this again, and type the code that the app shows.")
    return line.strip().replace(" ", "")


def _refused(said: dict[str, Any]) -> CommandError:
    """Return what the gateway said, as every command says it; an answer is never a terminal's to obey."""
    detail, hint = (_printable(str(said.get(key, ""))) for key in ("detail", "hint"))
    return CommandError(detail or "the gateway refused", hint or "Ask your administrators.")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _shown(begun: dict[str, Any], *, qr: bool) -> str:
    uri, secret = _printable(str(begun["otpauth_uri"])), _printable(str(begun["secret"]))
    picture = _qr_code(uri) if qr else ""
    return (
        "Your second factor. Scan it with an authenticator app, or type the secret; it is shown this once.\n\n"
        f"{picture}secret:  {secret}\naddress: {uri}\n\n"
    )


def _qr_code(uri: str) -> str:
    import segno  # noqa: PLC0415 - only on a terminal

    text = io.StringIO()
    segno.make(uri, error="l").terminal(out=text, compact=True)
    return f"{text.getvalue()}\n"


def _recovery(codes: list[str]) -> str:
    lines = "\n".join(f"  {_printable(code)}" for code in codes)
    return f"Recovery codes, each good once instead of a code, for the day the device is lost. Keep them elsewhere:\n{lines}\n"


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
