"""A gateway of a few lines, which answers what a test says, and remembers what it was asked; ``recorded`` has answers of real ones."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote

RECORDED = Path(__file__).parent / "unit" / "cli" / "recorded"
TOKEN = "sgw_" + "a" * 49
PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """An answer: ``body`` is bytes, or what becomes JSON; ``pieces`` are sent one after the other, and then the connection ends."""

    status: int = 200
    body: object = b""
    media_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    pieces: tuple[bytes | Callable[[], None], ...] | None = None

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Answering = Says | Callable[[Asked], Says]


def refuses(status: int, reason: str, detail: str = "It was refused.", hint: str = "Do something else.") -> Says:
    """Return a refusal of the gateway's own."""
    return Says(status=status, media_type=PROBLEM, body={"title": "Refused", "detail": detail, "hint": hint, "reason": reason, "status": status})


def recorded(release: str, name: str) -> Says:
    """Return what a real site of that release answered."""
    return Says(body=(RECORDED / release / f"{name}.json").read_bytes())


@dataclass(slots=True, kw_only=True)
class FakeGateway:
    """What it answers, by method and path; several answers for one are given in turn, the last one again and again."""

    url: str = ""
    answers: dict[str, list[Answering]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def on(self, line: str, *answers: Answering) -> None:
        """Answer ``GET /slurm/latest/ping`` so."""
        self.answers[line] = list(answers)

    def paths(self, method: str) -> list[str]:
        """Return the paths that were asked for with a method."""
        return [asked.path for asked in self.asked if asked.method == method]

    def answer(self, asked: Asked) -> Says:
        self.asked.append(asked)
        there = self.answers.get(f"{asked.method} {unquote(asked.path)}")
        if not there:
            return refuses(404, "not_found", f"The fake serves nothing at {asked.method} {asked.path}.")
        answer = there.pop(0) if len(there) > 1 else there[0]
        return answer if isinstance(answer, Says) else answer(asked)


@contextmanager
def fake_gateway() -> Iterator[FakeGateway]:
    """Run a gateway until the block ends; alice is signed in at it."""
    fake = FakeGateway()
    fake.on("GET /auth/session", Says(body={"username": "alice", "kind": "session", "expires_at": "2030-01-01T00:00:00Z"}))
    with served(fake.answer) as fake.url:
        yield fake


@contextmanager
def served(answer: Callable[[Asked], Says]) -> Iterator[str]:
    """Serve what ``answer`` says until the block ends, at the address that this gives."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            path, _, query = self.path.partition("?")
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(length)
            says = answer(Asked(method=self.command, path=path, query=dict(parse_qsl(query)), headers=headers, body=body))
            self.send_response_only(says.status)
            if not any(name == "Date" for name, _ in says.headers):
                self.send_header("Date", self.date_time_string())
            for name, value in says.headers:
                self.send_header(name, value)
            self.send_header("Content-Type", says.media_type)
            if says.pieces is None:
                self.send_header("Content-Length", str(len(says.content)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else says.content)
                return
            self.send_header("Connection", "close")
            self.end_headers()
            for piece in says.pieces:
                if isinstance(piece, bytes):
                    self.wfile.write(piece)
                    self.wfile.flush()
                else:
                    piece()
            self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _handle  # noqa: N815 - the standard library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - likewise
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def event(kind: str, number: int = 1, **data: object) -> bytes:
    """Return an event as the gateway writes it."""
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()
