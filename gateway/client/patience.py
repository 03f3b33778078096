"""One question asked until it is answered: what is safe to send again is, for as long as somebody's patience lasts (pure)."""

from __future__ import annotations

import random
from dataclasses import dataclass

from gateway.client.asking import Answer, Ask, Conversation, Pause, Prove
from gateway.client.errors import SIGN_IN_AGAIN, STALE, GatewayError, RefusedError, SlurmRefusedError, UnreachableError

_FIRST, _LONGEST = 0.5, 15.0
_OK, _REDIRECTS, _BAD = 200, 300, 400
_PROBLEM = "application/problem+json"
# Nothing was done, so that everything may be sent again.
_NOTHING_DONE = frozenset(
    {"too_many_calls", "upstream_busy", "upstream_unreachable", "store_unavailable", "audit_unavailable", "unavailable", "directory_unavailable"}
)
# Whether it was done is not known, so that only what is repeatable may be sent again; an idempotency key makes a submission so.
_NOT_KNOWN = frozenset(
    {
        "upstream_broken",
        "upstream_timeout",
        "gateway_unavailable",
        "gateway_timeout",
        "idempotency_under_way",
        "submission_unknown",
        "request_timeout",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long, in seconds, a question is asked again; ``inf`` is for ever, 0 is once."""

    seconds: float = 30.0


def ask(question: Ask, patience: Patience) -> Conversation[Answer]:
    """Return the answer of success to ``question``; raise RefusedError, SlurmRefusedError, UnreachableError or NotUnderstoodError."""
    waited, pause, proved = 0.0, _FIRST, False
    while True:
        try:
            answer = yield question
            assert answer is not None  # noqa: S101 - the other side of Conversation's contract
            refusal = refusal_of(answer)
            if refusal is None:
                return answer
            raise refusal
        except GatewayError as error:
            if not question.anonymous and not proved and (error.reason in SIGN_IN_AGAIN or error.reason == STALE):
                proved = True
                yield Prove(error=error)
                continue
            seconds = _again_after(error, question, pause)
            if seconds is None or waited + seconds > patience.seconds:
                raise
            yield Pause(seconds=seconds, because=error)
            waited += seconds
            pause = min(2 * pause, _LONGEST)


def _again_after(error: GatewayError, question: Ask, pause: float) -> float | None:
    """Return after how many seconds the question may be asked again, None for never."""
    jittered = pause * random.uniform(0.75, 1.25)  # noqa: S311 - so that many clients do not come back at once
    if isinstance(error, UnreachableError):
        return None if error.lasting or (error.sent and not question.repeatable) else jittered
    if not isinstance(error, RefusedError):
        return None
    if error.reason in _NOTHING_DONE or (error.reason in _NOT_KNOWN and question.repeatable):
        return max(jittered, error.retry_after or 0.0)
    return None


def refusal_of(answer: Answer) -> GatewayError | None:
    """Return the error that ``answer`` tells of, None for one of success."""
    if _OK <= answer.status < _REDIRECTS:
        return None
    tree = _tree(answer)
    if answer.media_type == _PROBLEM and isinstance(tree.get("reason"), str):
        if tree["reason"] == "slurm_refused":
            return _of_slurm(answer, tree)
        return RefusedError(tree, status=answer.status, request_id=answer.request_id, retry_after=_seconds(answer.headers.get("retry-after")))
    return _of_slurm(answer, tree)


def _of_slurm(answer: Answer, tree: dict[str, object]) -> SlurmRefusedError:
    """Return the error for an answer in slurmrestd's own words, with the hint that the gateway added, if it did."""
    told = tree.get("errors")
    errors = tuple(error for error in told if isinstance(error, dict)) if isinstance(told, list) else ()
    words = [str(error.get("description") or error.get("error") or "") for error in errors]
    message = next((word for word in words if word), None) or str(tree.get("detail") or f"Slurm answered with status {answer.status}")
    hint = tree.get("hint") if isinstance(tree.get("hint"), str) else None
    return SlurmRefusedError(
        message,
        hint=str(hint or "Slurm gives no reason; its administrators find one in slurmctld's log."),
        status=answer.status,
        request_id=answer.request_id,
        errors=errors,
    )


def _tree(answer: Answer) -> dict[str, object]:
    try:
        tree = answer.json()
    except GatewayError:
        return {}
    return tree if isinstance(tree, dict) else {}


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 7 else None  # noqa: PLR2004 - days at most
