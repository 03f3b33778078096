"""``slurm-gateway api METHOD PATH``: send any request, and print the answer as it came.

The request is sent once. Whatever the answer's status is, its body goes to standard output, byte for byte where that is no terminal; the exit code
is 1 for one of failure. PATH is below the gateway's address: ``/slurm/latest/jobs``, ``/auth/session``, ``/clusters/NAME/slurm/latest/jobs``.
"""

from __future__ import annotations

import argparse
import codecs
import re
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.cli import options, person
from gateway.cli.person import PersonsGateway
from gateway.client.address import Address
from gateway.client.asking import Answer
from gateway.client.errors import SIGN_IN_AGAIN, STALE, GatewayError
from gateway.client.patience import refusal_of
from gateway.errors import CommandError

_USAGE = 2
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADER = re.compile(r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(?P<value>[\t\x20-\x7e\xa0-\xff]*?)[ \t]*")
_WHO = re.compile(r"authorization|proxy-authorization|cookie|x-otp|x-slurm-.*", re.IGNORECASE)
_FRAMING = frozenset({"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect"})
_CLUSTERS_OWN = ("/slurm/", "/slurmdb/", "/openapi", "/events")
_GOOD = 400
# No refusal is longer; an answer may be.
_KEPT = 1024 * 1024
_TIMEOUT = 300.0


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("api", help="send any request, and print the answer as it came", description=__doc__)
    parser.add_argument("method", metavar="METHOD", type=_method, help=f"one of {', '.join(_METHODS)}")
    parser.add_argument("path", metavar="PATH", help="such as /slurm/latest/jobs?state=R")
    parser.add_argument(
        "-d", "--data", metavar="FILE", help="send what is in FILE ('-': standard input), as application/json unless -H says otherwise"
    )
    parser.add_argument("-H", "--header", metavar="'NAME: VALUE'", action="append", default=[], help="send a header, too")
    parser.add_argument("-i", "--include", action="store_true", help="print the answer's status and headers before its body")
    parser.add_argument(
        "--timeout", metavar="TIME", type=options.some_span, default=_TIMEOUT, help="give up after so long a silence, such as 30s or 1h (5m)"
    )
    person.add_options(parser, json=False)
    parser.set_defaults(run=run)


def _method(text: str) -> str:
    if text.upper() not in _METHODS:
        raise argparse.ArgumentTypeError(f"'{text}' is none of {', '.join(_METHODS)}")
    return text.upper()


def run(arguments: argparse.Namespace) -> int:
    """Send a request, and print what comes back."""
    headers = _headers(arguments.header)
    body = _body(arguments)
    if body is not None and "Content-Type" not in headers:
        headers["Content-Type"] = "application/json"
    with person.gateway_of(arguments) as gateway:
        path = _path(arguments.path, gateway.url, arguments.cluster)
        refusal = _asked(gateway, arguments, path, headers, body)
    if refusal is not None:
        raise refusal
    return 0


def _asked(gateway: PersonsGateway, arguments: argparse.Namespace, path: str, headers: dict[str, str], body: bytes | None) -> GatewayError | None:
    """Send the request, once more after a new sign-in if it is refused for want of one; return what the answer refuses, None for one of success."""
    for first in (True, False):
        with gateway.stream(arguments.method, path, headers=headers.items(), body=body, timeout=arguments.timeout) as (head, pieces):
            if head.status < _GOOD:
                _print(arguments, head, pieces)
                return None
            kept = list(_up_to(pieces, _KEPT))
            refusal = refusal_of(Answer(status=head.status, headers=head.headers, body=b"".join(kept)))
            if first and refusal is not None and refusal.reason in {*SIGN_IN_AGAIN, STALE} and _proved(gateway, refusal):
                continue
            _print(arguments, head, _both(kept, pieces))
            return refusal
    raise AssertionError  # the second time round, it has returned


def _proved(gateway: PersonsGateway, refusal: GatewayError) -> bool:
    """Have the person answer the refusal; tell whether they could."""
    try:
        gateway.prove(refusal)
    except GatewayError as error:
        if error is refusal:
            return False
        raise
    return True


def _print(arguments: argparse.Namespace, head: Answer, pieces: Iterator[bytes]) -> None:
    """Write the answer as it comes; on a terminal, without what it might act upon."""
    terminal = sys.stdout.isatty()
    if arguments.include:
        told = "".join(f"{name}: {value}\n" for name, value in head.headers.items())
        _write(f"HTTP/1.1 {head.status} {_phrase(head.status)}\n{told}\n".encode("latin-1", "replace"), terminal=terminal)
    if not terminal:
        for piece in pieces:
            _write(piece, terminal=False)
        return
    decoder, last = codecs.getincrementaldecoder("utf-8")("replace"), "\n"
    for piece in pieces:
        if text := decoder.decode(piece):
            sys.stdout.write(_shown(text))
            sys.stdout.flush()
            last = text[-1]
    sys.stdout.write("" if last == "\n" else "\n")


def _write(piece: bytes, *, terminal: bool) -> None:
    if terminal:
        sys.stdout.write(_shown(piece.decode("latin-1")))
    else:
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def _shown(text: str) -> str:
    return "".join(character if character.isprintable() or character in "\n\t" else "" if character == "\r" else "?" for character in text)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _up_to(pieces: Iterator[bytes], most: int) -> Iterator[bytes]:
    """Yield the first pieces, until there are ``most`` bytes of them."""
    size = 0
    while size < most and (piece := next(pieces, b"")):
        size += len(piece)
        yield piece


def _both(kept: list[bytes], pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield from kept
    yield from pieces


def _path(said: str, url: str, cluster: str | None) -> str:
    """Return the path to ask for; raise CommandError for what is not the gateway's."""
    path = said
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", said):
        try:
            here, there = Address.of(url), Address.of(said.partition("?")[0])
        except GatewayError as error:
            raise CommandError(str(error), f"Give the path alone, below {url}.", exit_code=_USAGE) from error
        if (here.host, here.port, here.tls) != (there.host, there.port, there.tls) or not f"{there.base}/".startswith(f"{here.base}/"):
            raise CommandError(f"{said} is not below {url}", "Give the path alone; --site names another gateway.", exit_code=_USAGE)
        path = said.partition("://")[2].partition("/")[2].removeprefix(here.base.removeprefix("/"))
    path = path if path.startswith("/") else f"/{path}"
    if cluster is None:
        return path
    if not path.startswith(_CLUSTERS_OWN):
        hint = "It goes with /slurm/, /slurmdb/, /openapi and /events; a path below /clusters/ names its own."
        raise CommandError(f"--cluster does not go with {path}", hint, exit_code=_USAGE)
    return f"/clusters/{quote(cluster, safe='')}{path}"


def _headers(said: list[str]) -> dict[str, str]:
    """Return the headers that were asked for, by their names as HTTP/1.1 writes them; raise CommandError for those that are not ours to send."""
    headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
    for line in said:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise CommandError(f"{line!r} is no header", "Write -H 'Name: value'.", exit_code=_USAGE)
        name = "-".join(part.capitalize() for part in found["name"].split("-"))
        if _WHO.fullmatch(name):
            hint = "Name whose token to use by --site or --token-file; a user's name goes with the token."
            raise CommandError(f"{name} would say who asks, and the token says that already", hint, exit_code=_USAGE)
        if name.lower() in _FRAMING:
            raise CommandError(f"{name} belongs to the connection", "Leave it out: it is written as the request needs it.", exit_code=_USAGE)
        headers[name] = found["value"]
    return headers


def _body(arguments: argparse.Namespace) -> bytes | None:
    if arguments.data is None:
        return None
    if arguments.method in _WITHOUT_BODY:
        raise CommandError(f"{arguments.method} takes no -d", "Send it with POST, or leave it out.", exit_code=_USAGE)
    if arguments.data == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(arguments.data).read_bytes()
    except (OSError, ValueError) as error:
        hint = "Name the file without @." if arguments.data.startswith("@") else "Name a file that you may read, or '-' for standard input."
        raise CommandError(f"{arguments.data!r} cannot be read: {getattr(error, 'strerror', None) or error}", hint) from error
