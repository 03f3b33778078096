"""One question asked until it is answered: what is safe to send again is, for as long as somebody's patience lasts (pure)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.client.asking import Answer, Ask, Conversation, Pause, Prove
from gateway.client.errors import SIGN_IN_AGAIN, STALE, GatewayError, NotUnderstoodError, RefusedError, SlurmRefusedError, UnreachableError

_FIRST, _LONGEST = 0.5, 15.0
_OK, _REDIRECTS, _NOT_MODIFIED, _BAD, _FAILED = 200, 300, 304, 400, 500
_READ = Ask(method="GET", path="/", repeatable=True)
_PROBLEM = "application/problem+json"
# Statuses of whatever stands between us and a gateway that is away for a while (RFC 9110 section 15.6, RFC 6585 section 4).
_AWAY = frozenset({429, 502, 503, 504})
_LONGEST_WORDS = 300
# Reasons with which nothing was done, so that everything may be sent again. 'throttled' is nginx's for too many requests of one address;
# the gateway's own, for too many attempts to sign in, comes to a question with a code alone, and that is not sent again.
_NOTHING_DONE = frozenset(
    {
        "audit_unavailable",
        "directory_unavailable",
        "request_timeout",
        "sign_in_busy",
        "stopping",
        "store_unavailable",
        "throttled",
        "too_many_calls",
        "unavailable",
        "upstream_busy",
        "upstream_unreachable",
        "view_failed",
    }
)
# Those with which it is not known whether it was done, so that only what is repeatable may be sent again; an idempotency key makes a submission so.
_NOT_KNOWN = frozenset(
    {
        "gateway_timeout",
        "gateway_unavailable",
        "idempotency_under_way",
        "submission_unknown",
        "upstream_broken",
        "upstream_timeout",
    }
)
# The only one with which a one-time code has certainly not been looked at.
_CODE_UNUSED = frozenset({"sign_in_busy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """For how long, in seconds after it failed first, a question is asked again; ``inf`` is for ever, 0 is once."""

    seconds: float = 30.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False)


def ask(question: Ask, patience: Patience) -> Conversation[Answer]:
    """Return the answer of success to ``question``; raise RefusedError, SlurmRefusedError, UnreachableError or NotUnderstoodError."""
    trying, proved = Trying(patience), False
    while True:
        try:
            answer = yield question
            assert isinstance(answer, Answer)  # noqa: S101 - the other side of Conversation's contract
            refusal = refusal_of(answer)
            if refusal is None:
                return answer
            raise refusal
        except GatewayError as error:
            if not proved and _wants_proof(error, question):
                proof = Prove(error=error)
            else:
                yield trying.after(error, safe=is_safe_again(error, question))
                continue
        # Outside of the handler, or what goes wrong with signing in would be told as having come while another error was dealt with.
        yield proof
        trying, proved = Trying(patience), True


class Trying:
    """Counts how long something has been tried in vain, and with what pauses."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._since: float | None = None
        self._pause = _FIRST

    def after(self, error: GatewayError, *, safe: bool = True, least: float = 0.0) -> Pause:
        """Return the pause after which to try again; raise ``error`` where that is not safe, or patience is at its end."""
        now = self._patience.clock()
        self._since = now if self._since is None else self._since
        jittered = self._pause * random.uniform(0.75, 1.25)  # noqa: S311 - so that many clients do not come back at once
        seconds = max(jittered, error.retry_after or 0.0, least)
        if not safe or now + seconds - self._since > self._patience.seconds:
            raise error
        self._pause = min(2 * self._pause, _LONGEST)
        return Pause(seconds=seconds, because=error)


def is_safe_again(error: GatewayError, question: Ask) -> bool:
    """Tell whether ``question``, which ended with ``error``, may be sent again, and might then be answered."""
    if isinstance(error, UnreachableError):
        return not error.lasting and (not error.sent or question.repeatable)
    if isinstance(error, RefusedError):
        nothing_done = _CODE_UNUSED if question.once else _NOTHING_DONE
        return error.reason in nothing_done or (question.repeatable and error.reason in _NOT_KNOWN)
    # Slurm's own words, or those of something in between.
    return isinstance(error, (SlurmRefusedError, NotUnderstoodError)) and question.repeatable and error.status in _AWAY


def may_pass(error: GatewayError) -> bool:
    """Tell whether a question that changes nothing might be answered later, as it is: a gateway, a Slurm, or what leads there, is away."""
    if isinstance(error, SlurmRefusedError) and (error.status or 0) >= _FAILED:
        return True  # slurmctld may be restarted just now; of a status 500 nobody can tell whether that is all
    return is_safe_again(error, _READ)


def _wants_proof(error: GatewayError, question: Ask) -> bool:
    """Tell whether signing in again, or a new code, would answer a refusal, and is wanted."""
    return isinstance(error, RefusedError) and question.provable and error.reason in SIGN_IN_AGAIN | {STALE}


def refusal_of(answer: Answer) -> GatewayError | None:
    """Return the error that ``answer`` tells of, None for one of success; where nothing has changed since (304) is one."""
    if _OK <= answer.status < _REDIRECTS or answer.status == _NOT_MODIFIED:
        return None
    if answer.status < _BAD:
        return _elsewhere(answer)
    tree = _tree(answer)
    if answer.media_type == _PROBLEM and tree is not None and isinstance(tree.get("reason"), str) and tree["reason"] != "slurm_refused":
        error: GatewayError = RefusedError(tree, status=answer.status, request_id=answer.request_id)
    elif _is_slurms(answer, tree):
        error = _of_slurm(answer, tree or {})
    else:
        error = _foreign(answer)
    error.retry_after = _seconds(answer.headers.get("retry-after"))
    error.body, error.media_type = answer.body, answer.media_type
    return error


def _is_slurms(answer: Answer, tree: Mapping[str, object] | None) -> bool:
    """Tell whether an error is in slurmrestd's words: those of a proxy in between, which has never heard of a job, must not be taken for them.

    slurmrestd lists its errors, or says a plain text, of which the gateway makes a document; every answer of the gateway has a request id.
    """
    if tree is not None and (isinstance(tree.get("errors"), list) or tree.get("reason") == "slurm_refused"):
        return True
    return answer.request_id is not None and (tree is not None or answer.media_type == "text/plain")


def _elsewhere(answer: Answer) -> GatewayError:
    where = answer.headers.get("location", "")[:_LONGEST_WORDS]
    return NotUnderstoodError(
        f"the answer leads elsewhere (status {answer.status}), to {where or 'nowhere'}",
        hint="Nothing is sent there, for a token goes to the gateway alone. Check the address of the gateway.",
        reason="redirected",
        status=answer.status,
        request_id=answer.request_id,
    )


def _foreign(answer: Answer) -> GatewayError:
    """Return the error for an answer that neither the gateway gives nor Slurm."""
    hint = "Is this the gateway's address? Something else answers there, or in between."
    if answer.status in {401, 403, 407}:
        hint = "Something between here and the gateway asks who you are: a proxy, or a network that one signs in to."
    elif answer.status in _AWAY:
        hint = "Try again in a minute; if it stays so, tell your administrators: what stands before the gateway does not reach it."
    return NotUnderstoodError(
        f"an answer came that is not the gateway's (status {answer.status}, {answer.media_type or 'of no type'})",
        hint=hint,
        status=answer.status,
        request_id=answer.request_id,
    )


def _of_slurm(answer: Answer, tree: Mapping[str, object]) -> SlurmRefusedError:
    """Return the error for an answer in slurmrestd's own words, with the hint that the gateway added, if it did."""
    told = tree.get("errors")
    errors = tuple(error for error in told if isinstance(error, dict)) if isinstance(told, list) else ()
    words = [str(error.get("description") or error.get("error") or "") for error in errors]
    if answer.media_type == _PROBLEM:
        words.insert(0, str(tree.get("detail") or tree.get("title") or ""))
    elif answer.media_type == "text/plain":
        words.append(answer.body[:_LONGEST_WORDS].decode(errors="replace").strip())
    hint = tree.get("hint") if isinstance(tree.get("hint"), str) else None
    return SlurmRefusedError(
        next((word for word in words if word), f"Slurm answered with status {answer.status}"),
        hint=str(hint or "Slurm gives no reason; its administrators find one in slurmctld's log."),
        status=answer.status,
        request_id=answer.request_id,
        errors=errors,
    )


def _tree(answer: Answer) -> Mapping[str, object] | None:
    """Return the object that the body of an error is in JSON, None where it is none."""
    try:
        tree = answer.json()
    except GatewayError:
        return None
    return tree if isinstance(tree, dict) else None


def _seconds(value: str | None) -> float | None:
    """Return the seconds of Retry-After; a date is left aside, for clocks differ."""
    return float(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 7 else None  # noqa: PLR2004 - days at most
