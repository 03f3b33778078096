"""What can go wrong for somebody who uses a gateway: each error says what, in one line, and what to do, in another."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_TOKEN = re.compile(r"(sg[wt])_[0-9A-Za-z]{8,}")
SIGN_IN_AGAIN = frozenset({"token_refused", "credentials_required"})
"""Reasons of refusals that a new sign-in answers."""
STALE = "second_factor_stale"
"""The reason of the refusal that a new code answers."""


class GatewayError(Exception):
    """Something went wrong: ``reason`` is a stable word for programs, ``hint`` says what to do; ``status`` is HTTP's, where there was an answer.

    The message is one line. What a server said is in it with everything that a terminal might act upon shown as ``?``. ``retry_after`` is in
    seconds, where the answer named a time to come back; ``body`` is the answer's, as it came, of the type ``media_type``.
    """

    reason = "failed"
    retry_after: float | None = None
    body: bytes | None = None
    media_type: str = ""

    def __init__(self, message: str, *, hint: str, reason: str | None = None, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(discreet(message))
        self.hint = discreet(hint)
        self.reason = reason or self.reason
        self.status = status
        self.request_id = None if request_id is None else printable(request_id)


class RefusedError(GatewayError):
    """The gateway said no, or nginx before it (RFC 9457)."""

    def __init__(self, document: Mapping[str, Any], *, status: int, request_id: str | None) -> None:
        said = {key: document[key] for key in ("title", "detail", "hint", "reason") if isinstance(document.get(key), str)}
        super().__init__(
            said.get("detail") or said.get("title") or f"the gateway refused with status {status}",
            hint=said.get("hint") or "Ask your administrators; the request id helps them to find it.",
            reason=said.get("reason") or "refused",
            status=status,
            request_id=request_id or (str(document["request_id"]) if isinstance(document.get("request_id"), str) else None),
        )


class SlurmRefusedError(GatewayError):
    """Slurm itself said no; ``errors`` are as it told them."""

    reason = "slurm_refused"

    def __init__(self, message: str, *, hint: str, status: int, request_id: str | None, errors: tuple[Mapping[str, Any], ...] = ()) -> None:
        super().__init__(message, hint=hint, status=status, request_id=request_id)
        self.errors = errors


class UnreachableError(GatewayError):
    """No answer came; ``sent`` tells whether the request had left, so that it may have been acted upon."""

    reason = "unreachable"

    def __init__(self, message: str, *, hint: str, sent: bool, lasting: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.sent = sent
        self.lasting = lasting
        """Trying again would not help: the certificate is not trusted, or the name does not exist."""


class NotUnderstoodError(GatewayError):
    """An answer came that no gateway gives."""

    reason = "not_understood"


class NoEventsError(GatewayError):
    """The gateway has no stream of events: ask for the jobs again and again in its place."""

    reason = "no_events"


class JobForgottenError(GatewayError):
    """Slurm does not know the job, or not any more, and accounting cannot tell what became of it."""

    reason = "job_forgotten"


class WaitTimeoutError(GatewayError):
    """What was waited for did not come in time; the job goes on. ``jobs`` is how it stands."""

    reason = "wait_timeout"

    def __init__(self, message: str, *, hint: str, jobs: Sequence[Any] = ()) -> None:
        super().__init__(message, hint=hint)
        self.jobs = tuple(jobs)


class JobFileError(GatewayError):
    """A job file cannot be submitted as it is; ``line`` and ``column`` say where, from 1, where that is known."""

    reason = "job_file_broken"

    def __init__(self, message: str, *, hint: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.column = column


class NotSignedInError(GatewayError):
    """There is no token to go with."""

    reason = "not_signed_in"


def discreet(text: str) -> str:
    """Return ``text``, printable, without the tokens and tickets that a server, or a command line, may have put into it: errors end up in logs."""
    return _TOKEN.sub(r"\1_…", printable(text))


def printable(text: str) -> str:
    """Return ``text`` on one line, with ``?`` for everything that a terminal might act upon."""
    return "".join(character if character.isprintable() else " " if character in "\t\n\u00a0" else "?" for character in text)
