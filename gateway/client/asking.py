"""What is asked of a gateway, without the asking (pure): steps that a connection takes, blocking or not.

A conversation is a generator: it yields what to do next, is sent the answer, and returns what it was for. ``gateway.client.blocking`` and
``gateway.client.awaiting`` carry the same conversations, so that each is written once.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.client.errors import GatewayError, NotUnderstoodError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Send one request: ``path`` is below the gateway's address, ``timeout`` is in seconds of silence.

    ``repeatable``: to send it twice does what sending it once does (RFC 9110 section 9.2.2, or an Idempotency-Key).
    ``anonymous``: it goes without our token.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = field(default=None, repr=False)
    timeout: float = 60.0
    repeatable: bool = False
    anonymous: bool = False


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
            raise NotUnderstoodError(
                f"the answer is no JSON (status {self.status})",
                hint="Is this the gateway's address?",
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


Step = Ask | Pause | Prove
Conversation = Generator[Step, Answer | None, T]
"""Yields steps; is sent the Answer to an Ask (an UnreachableError may be thrown instead), and None after a Pause or a Prove."""
