"""One answer of slurmrestd's explained: the status that is true of it, and what to do next.

The status changes only where its class is certainly wrong: an error is never made a success, and a success, even one that did not do what
was asked, stays what it is; all that Slurm said stays in the body.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from gateway.slurm.meaning import causes
from gateway.slurm.meaning.answers import Error, job_id_of, read_errors, read_object, says_nothing
from gateway.slurm.meaning.causes import Cause

_OK = 200
_FAILED = 400  # RFC 9110 section 15.5: from here on a status tells of an error
_INTERNAL = 500
_LARGE = 256 * 1024  # an answer beyond is a list, not an error
_VERSION = re.compile(r"(?:/clusters/[^/]+)?/(slurm|slurmdb)/v0\.0\.([0-9]{1,5})/(.*)")
_NO_ERRORS = re.compile(rb'"errors"\s*:\s*\[\s*\]')
_DATABASE_DOWN = frozenset({7000, 7008})
_DENIED = causes.CAUSES[2002]
_NAMED = {  # a read of one thing by its name: what an error that says nothing else means
    "job": causes.NO_SUCH_JOB,
    "node": causes.NO_SUCH_NODE,
    "partition": causes.NO_SUCH_PARTITION,
    "reservation": causes.NO_SUCH_RESERVATION,
}
_ABSENT_NUMBERS = {"node": 2018, "partition": 2000, "reservation": 2053}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """The answer to give: ``body`` is Slurm's own with a ``hint`` put into it, or None where a problem document has to take its place."""

    status: int
    title: str
    detail: str
    hint: str
    body: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """A call: its method, the room (slurm or slurmdb), the number of the version (0 for none), and the rest of the path."""

    method: str
    room: str
    version: int
    rest: str

    @property
    def named(self) -> str:
        """The kind of thing that a GET names (``job/5``), empty for another call."""
        kind, _, name = self.rest.partition("/")
        return kind if self.method == "GET" and self.room == "slurm" and kind in _NAMED and name.strip("/") else ""

    def named_in(self, hint: str) -> str:
        """Return ``hint`` with the version of this call in the place of the word."""
        return hint.replace("VERSION", f"v0.0.{self.version}") if self.version else hint

    @property
    def is_submission(self) -> bool:
        return self.method == "POST" and self.room == "slurm" and self.rest == "job/submit"

    @property
    def is_cancelling(self) -> bool:
        return self.method == "DELETE" and self.room == "slurm" and self.rest.startswith("job")


# What slurmrestd says in plain text (src/slurmrestd/operations.c and http.c): the status, how it begins, a title and a hint.
_TEXTS = (
    (
        404,
        "Unable find requested URL",
        "Slurm's REST API has no such call",
        "GET /openapi/v3 lists all calls of the versions that this cluster serves; 'latest' in the place of the version is the newest.",
    ),
    (405, "Requested REST method", "Slurm's REST API has this path for other methods", "GET /openapi/v3 lists the methods of each path."),
    (
        415,
        "Accept content type",
        "slurmrestd cannot answer in the form that Accept asks for",
        "Send 'Accept: application/json', or no Accept at all.",
    ),
    (
        400,
        "Unable to parse query",
        "The body is not what its Content-Type says",
        "Send valid JSON (RFC 8259: UTF-8, double quotes, no comma at the end) with 'Content-Type: application/json'.",
    ),
)
_STATUSES = {
    400: ("slurmrestd refused the request", "Correct the request; GET /openapi/v3 has the form of each call."),
    404: ("Slurm's REST API has no such call", "GET /openapi/v3 lists all calls."),
    405: ("Slurm's REST API has this path for other methods", "GET /openapi/v3 lists the methods of each path."),
    411: ("The body has no length", "Send Content-Length, or a body in chunks, which the gateway collects."),
    413: ("The body is too large for slurmrestd", "Put large data into files on the cluster and name them in the job."),
    415: ("slurmrestd does not take this form", "Send 'Accept: application/json' and, with a body, 'Content-Type: application/json'."),
}


def explain(
    method: str, path: str, status: int, content_type: str | None, body: bytes, *, controller_answers: bool | None = None
) -> Explained | None:
    """Explain the answer to ``method path``, or return None for one that needs no words.

    ``controller_answers``: what the telltale call said, for an answer of 22.05 that is given of anything while slurmctld is not there;
    None where it was not asked. A refused token is not explained here: ``refused_the_token`` is asked first.
    """
    if len(body) > _LARGE or (status < _FAILED and status != _OK):
        return None
    call = _call(method, path)
    is_object = body.lstrip().startswith(b"{")
    if status == _OK:
        return _explain_success(call, body) if is_object and not _needs_no_words(call, body) else None
    return (
        _explain_failure(call, status, body, controller_answers=controller_answers) if is_object else _explain_text(call, status, content_type, body)
    )


def _call(method: str, path: str) -> _Call:
    found = _VERSION.fullmatch(path)
    if found is None:
        return _Call(method=method, room="", version=0, rest="")
    return _Call(method=method, room=found[1], version=int(found[2]), rest=found[3])


def _needs_no_words(call: _Call, body: bytes) -> bool:
    """Tell of a 200, without parsing it, that it is what it seems: nearly all are."""
    if call.is_submission or call.is_cancelling:
        return False
    return _NO_ERRORS.search(body) is not None and not (call.rest.startswith("ping") and b'"DOWN"' in body)


def _explain_success(call: _Call, body: bytes) -> Explained | None:
    """Explain a 200 that did not do what was asked; its status stays, save where accounting is down and its list is empty for that."""
    tree = read_object(body)
    errors = read_errors(tree) or ()
    hint = cause = None
    if call.room == "slurmdb" and any(not error.numbers.isdisjoint(_DATABASE_DOWN) for error in errors):
        cause = causes.CAUSES[min(_DATABASE_DOWN)]
        return _with_hint(call, cause.status, cause, cause.hint, body)
    if call.is_submission:
        cause = None if job_id_of(tree) is not None else _NOT_SUBMITTED
    elif call.is_cancelling:
        cause = _cause_of_status(tree)
        hint = cause and f"Slurm did not do this. {cause.hint}"
    elif call.rest.startswith("ping") and b'"DOWN"' in body:
        cause, hint = causes.CONTROLLER_DOWN, _PING_DOWN
    elif errors:
        cause = _NAMED[call.named] if call.named else _known(call, errors)
    return None if cause is None else _with_hint(call, _OK, cause, hint or cause.hint, body)


def _explain_failure(call: _Call, status: int, body: bytes, *, controller_answers: bool | None) -> Explained | None:
    """Explain an error in JSON; one that names a job all the same, as 24.11 does for a field that it did not understand, says so first."""
    tree = read_object(body)
    if not tree:
        return None
    cause = _cause(call, status, read_errors(tree) or (), controller_answers=controller_answers)
    job_id = job_id_of(tree) if call.is_submission else None
    if job_id is not None:
        return _with_hint(call, status, cause, _was_submitted(job_id, cause), body)
    return _with_hint(call, _true_status(status, cause), cause, cause.hint, body)


_NOT_SUBMITTED = Cause(
    status=_OK,
    title="No job was submitted",
    hint="Slurm names no error, but no job either: nothing was submitted. Correct the fields that 'warnings' names.",
)
_PING_DOWN = (
    "slurmctld is down, or refuses the gateway's token, which this call does not tell apart: GET /slurm/VERSION/diag does. "
    "Administrators: 'scontrol ping'."
)


def _was_submitted(job_id: int, cause: Cause) -> str:
    return f"The job was submitted all the same: it is job {job_id}. Do not send it again before you have looked at it. {cause.hint}"


def _cause_of_status(tree: dict[str, Any]) -> Cause | None:
    """Return why a job was not cancelled, from v0.0.42's ``status``."""
    entries = tree.get("status")
    for entry in entries if isinstance(entries, list) else ():
        error = entry.get("error") if isinstance(entry, dict) else None
        code = error.get("code") if isinstance(error, dict) else None
        if isinstance(code, int) and code:
            return causes.CAUSES.get(code, causes.NO_CAUSE)
    return None


def _known(call: _Call, errors: tuple[Error, ...]) -> Cause | None:
    """Return the cause that the errors name, rather one that says much than one that says little."""
    found = [causes.CAUSES[number] for error in errors for number in sorted(error.numbers) if number in causes.CAUSES]
    found += [cause for error in errors for text in error.words if (cause := causes.IN_WORDS.get(text.rpartition(": ")[2]))]
    cause = next((cause for cause in found if not cause.general), found[0] if found else None)
    return causes.ACCOUNTING_DENIED if call.room == "slurmdb" and cause is _DENIED else cause


def _cause(call: _Call, status: int, errors: tuple[Error, ...], *, controller_answers: bool | None) -> Cause:
    if status == _INTERNAL and all(map(says_nothing, errors)):
        if controller_answers is False and call.room == "slurm":
            return causes.CONTROLLER_DOWN
        if call.named and errors and not any(-1 in error.numbers for error in errors):
            return _NAMED[call.named] if controller_answers else causes.EITHER
        return causes.NO_CAUSE
    if call.named and any(_says_absent(call, error) for error in errors):
        return _NAMED[call.named]
    return _known(call, errors) or causes.NO_CAUSE


def _says_absent(call: _Call, error: Error) -> bool:
    """Tell whether an error says that what the call names is not there."""
    return _ABSENT_NUMBERS.get(call.named) in error.numbers or any(text.startswith("Unable to find ") for text in error.words)


def _true_status(status: int, cause: Cause) -> int:
    """Return the status that is true: Slurm's own where its class is (RFC 9110 section 15), else that of the cause."""
    return cause.status if status == _INTERNAL and cause.status < _INTERNAL else status


def _with_hint(call: _Call, status: int, cause: Cause, hint: str, body: bytes) -> Explained:
    """Put ``hint`` into ``body`` before all else, and leave every byte of the rest as it is; one that is there already stays."""
    hint = call.named_in(hint)
    if "hint" not in read_object(body):
        head, _, rest = body.partition(b"{")
        comma = b"" if rest.lstrip().startswith(b"}") else b","
        body = head + b'{"hint": ' + json.dumps(hint).encode() + comma + rest
    return Explained(status=status, title=cause.title, detail=f"{cause.title}.", hint=hint, body=body)


def _explain_text(call: _Call, status: int, content_type: str | None, body: bytes) -> Explained | None:
    """Explain a rejection in plain text, or with nothing at all; another form, like YAML, is passed on."""
    if status == 401 or (content_type is not None and not content_type.lower().startswith("text/")):  # noqa: PLR2004 - a refused token
        return None
    text = _printable(body)
    title, hint = next(
        ((title, hint) for of, begins, title, hint in _TEXTS if of == status and text.startswith(begins)),
        _STATUSES.get(status, (f"slurmrestd answered {status}", causes.NO_CAUSE.hint)),
    )
    detail = f"slurmrestd says: {text}" if text else f"slurmrestd answered {status} without a word."
    return Explained(status=status, title=title, detail=detail, hint=call.named_in(hint), body=None)


def _printable(body: bytes) -> str:
    """Return what can be shown of a text of slurmrestd's."""
    return "".join(character for character in body[:300].decode(errors="replace") if character.isprintable()).strip()
