"""What is asked of a gateway, without the asking (pure): steps that a connection takes, blocking or not.

A conversation is a generator: it yields what to do next, is sent the answer, and returns what it was for. ``gateway.client.blocking`` and
``gateway.client.awaiting`` carry the same conversations, so that each is written once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from gateway.client.errors import GatewayError, NotUnderstoodError
from gateway.client.news import Event
from gateway.secret import Secret

T = TypeVar("T")
SILENCE = 60.0
"""Seconds without a byte after which an answer is taken for lost."""
LARGEST = 256 * 1024 * 1024
"""Bytes that an answer has at most, unpacked: fifty thousand jobs with all that Slurm tells of them."""
# RFC 9110 section 5.6.2 and 5.5; RFC 6750 section 2.1.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Send one request: ``path`` is below the gateway's address, ``timeout`` is in seconds of silence.

    ``repeatable``: to send it twice does what sending it once does (RFC 9110 section 9.2.2, or an Idempotency-Key).
    ``anonymous``: it goes without our token. ``once``: a one-time code is in it, which is used up as soon as somebody may have read it.
    ``provable``: where the session has ended, or the second factor is too old, to sign in again and to send it once more is what is wanted.
    ``stream``: where the answer is one of success, ``More`` gives its body piece by piece.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = field(default=None, repr=False)
    timeout: float = SILENCE
    repeatable: bool = False
    anonymous: bool = False
    once: bool = False
    provable: bool = True
    stream: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; the names of ``headers`` are in lower case, the last of several with one name counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def request_id(self) -> str | None:
        """Under which administrators find the request in the gateway's log."""
        return self.headers.get("x-request-id")

    @property
    def media_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:  # noqa: ANN401 - JSON is what it is
        """Return the JSON in the body; raise NotUnderstoodError if there is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            what = f", but {self.media_type}" if self.media_type not in {"", "application/json"} else ""
            raise NotUnderstoodError(
                f"the answer is no JSON{what} (status {self.status})",
                hint="Is this the gateway's address? Some networks and proxies answer in the place of others until one has signed in to them.",
                status=self.status,
                request_id=self.request_id,
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Wait for so many seconds; ``because`` is told to whoever watches."""

    seconds: float
    because: GatewayError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prove:
    """Have the person sign in again, or show a new code, because of ``error``; raised on where nobody can."""

    error: GatewayError


@dataclass(frozen=True, slots=True, kw_only=True)
class More:
    """Give the next piece of the stream that was asked for last, empty at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Hand an event to whoever listens."""

    event: Event


Step = Ask | Pause | Prove | More | Tell
Conversation = Generator[Step, Answer | bytes | None, T]
"""Yields steps; is sent the Answer to an Ask, the bytes of More (a GatewayError may be thrown instead), and None after all others."""


def fields(question: Ask, token: Secret | None, agent: str) -> dict[str, str]:
    """Return the headers that ``question`` goes with; raise GatewayError for what cannot stand in one."""
    headers = {"User-Agent": agent, "Accept": "application/json"}
    if not question.stream and not any(name.lower() == "accept-encoding" for name, _ in question.headers):
        headers["Accept-Encoding"] = "gzip"
    elif question.stream:
        headers["Accept-Encoding"] = "identity"
    for name, value in question.headers:
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise GatewayError(f"no header may be {name!r}: {value!r}", hint="A header is one line: NAME: VALUE.", reason="bad_request")
        headers = {known: said for known, said in headers.items() if known.lower() != name.lower()} | {name: value}
    if question.body is None and question.method in {"POST", "PUT", "PATCH"}:
        headers["Content-Length"] = "0"
    if token is not None and not question.anonymous:
        headers["Authorization"] = f"Bearer {checked(token).reveal().decode()}"
    if _NAME.fullmatch(question.method) is None:
        raise GatewayError(f"{question.method!r} is no method", hint="Use GET, POST or DELETE.", reason="bad_request")
    return headers


def checked(token: Secret) -> Secret:
    """Return ``token`` if it can stand in a header; raise GatewayError, which does not show it."""
    if _TOKEN.fullmatch(token.reveal()) is None:
        hint = "Give the token alone, without quotation marks, spaces or line ends: sgw_…"
        raise GatewayError("the token is none: there is something in it that no token has", hint=hint, reason="bad_token")
    return token


def unpacked(question: Ask, answer: Answer, most: int) -> Answer:
    """Return ``answer`` with its compression undone, which we asked for; raise NotUnderstoodError for more than ``most`` bytes."""
    coding = answer.headers.get("content-encoding", "identity").strip().lower()
    if coding in {"", "identity"} or any(name.lower() == "accept-encoding" for name, _ in question.headers):
        return answer
    headers = {name: value for name, value in answer.headers.items() if name not in {"content-encoding", "content-length"}}
    if not answer.body:
        return replace(answer, headers=headers)
    if coding != "gzip":
        raise NotUnderstoodError(f"the answer is packed in a way that nobody asked for: {coding}", hint="Is this the gateway's address?")
    return replace(answer, headers=headers, body=_gunzipped(answer, most))


def _gunzipped(answer: Answer, most: int) -> bytes:
    import zlib  # noqa: PLC0415 - after the request went out, and only for an answer that is packed

    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        body = unpacking.decompress(answer.body, most + 1)
    except zlib.error as error:
        raise NotUnderstoodError("the answer is not what it says: it cannot be unpacked", hint="Is this the gateway's address?") from error
    if len(body) > most:
        raise too_large(most)
    if not unpacking.eof:
        raise NotUnderstoodError("the answer was cut off", hint="Try again.", status=answer.status, request_id=answer.request_id)
    return body


def too_large(most: int) -> NotUnderstoodError:
    """Return the error for an answer that has more than ``most`` bytes."""
    hint = "Ask for less (fields, user, state), or allow for more with largest=."
    return NotUnderstoodError(f"the answer has more than {most:,} bytes", hint=hint, reason="answer_too_large")
