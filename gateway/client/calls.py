"""What can be asked of a gateway: each call is a conversation that returns what people want of it (pure)."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from gateway.client.asking import Answer, Ask, Conversation, Prove, checked
from gateway.client.cluster import Job, Node, Partition, items, number
from gateway.client.errors import GatewayError, JobForgottenError, NotUnderstoodError, RefusedError, SlurmRefusedError
from gateway.client.patience import Patience, ask
from gateway.secret import Secret

_JSON = ("Content-Type", "application/json")
_SAFE_METHODS = frozenset({"GET", "HEAD"})
# What tables show of a job: a list of 15 MB is less than one of that.
JOB_FIELDS = (
    "job_id,name,user_name,user_id,job_state,partition,nodes,state_reason,exit_code,submit_time,start_time,end_time,time_limit,"
    "array_job_id,array_task_id,array_task_string,het_job_id,het_job_offset"
)
# A little less than what most gateways and those between let a request wait.
WAIT = 50
LATEST = "latest"
_WAITED = "x-gateway-waited"
_NO_CONTENT, _NOT_FOUND = 204, 404
# A job, tasks of an array, or a part of a heterogeneous job; nothing else, or it might be the path of another call.
_JOBS = re.compile(r"[0-9]{1,10}(?:_[0-9\[][0-9,\[\]%:-]*|\+[0-9]+)?")
_ALREADY_ENDED = 2021  # ESLURM_ALREADY_DONE in slurm/slurm_errno.h
_SERVED = re.compile(rb'"\\?/slurm\\?/v0\.0\.([0-9]{1,4})\\?/')


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """What signing in gives: the token, and how long it is good: until ``expires_at`` (RFC 3339), for ``expires_in`` seconds."""

    token: Secret
    username: str
    expires_at: str
    expires_in: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Who a token belongs to; times are RFC 3339 texts, ``kind`` is ``session`` or ``token``, which has a ``name``."""

    username: str
    kind: str
    expires_at: str
    idle_expires_at: str | None
    second_factor_at: str | None
    scopes: tuple[str, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeToken:
    """A personal access token, which is shown this once; times are RFC 3339 texts, ``expires_in`` is in seconds."""

    token: Secret
    id: str
    name: str
    expires_at: str
    expires_in: float
    scopes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalToken:
    """What is told of a personal access token that was made before; never the token itself."""

    id: str
    name: str
    created_at: str
    expires_at: str
    last_used_at: str | None = None
    scopes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    address: str | None = None
    client: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A job that Slurm has taken; ``repaired`` names what the gateway changed in the request, ``warnings`` are Slurm's."""

    job_id: int
    repaired: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which cluster is asked (None is the gateway's default one), in which version, and how patiently."""

    cluster: str | None = None
    version: str = LATEST
    patience: Patience = field(default_factory=Patience)

    def slurm(self, path: str) -> str:
        """Return the path of a call of slurmctld's."""
        return f"{self._prefix}/slurm/{self.version}/{path}"

    def slurmdb(self, path: str) -> str:
        """Return the path of a call of slurmdbd's."""
        return f"{self._prefix}/slurmdb/{self.version}/{path}"

    def below(self, path: str) -> str:
        """Return the path of something of the cluster's that has no version."""
        return f"{self._prefix}/{path}"

    @property
    def events(self) -> str:
        """The path of the stream of events."""
        return f"{self._prefix}/events"

    @property
    def _prefix(self) -> str:
        return "" if self.cluster is None else f"/clusters/{quote(self.cluster, safe='')}"


def login(username: str, password: Secret, otp: str, patience: Patience) -> Conversation[SignedIn]:
    """Sign in with both factors; a code is sent again only if it certainly was not looked at."""
    said = json.dumps({"username": username, "password": _spoken(password), "otp": otp}).encode()
    question = Ask(method="POST", path="/auth/login", headers=(_JSON,), body=said, anonymous=True, once=True, provable=False)
    answer = yield from ask(question, patience)
    tree = _object(answer)
    return SignedIn(
        token=_token(tree, answer),
        username=str(tree.get("username", username)),
        expires_at=str(tree.get("expires_at", "")),
        expires_in=number(tree.get("expires_in")) or 0.0,
    )


def session(where: Where) -> Conversation[Session]:
    """Return who our token belongs to, and until when."""
    tree = _object((yield from ask(Ask(method="GET", path="/auth/session", repeatable=True), where.patience)))
    return Session(
        username=str(tree.get("username", "")),
        kind=str(tree.get("kind", "")),
        expires_at=str(tree.get("expires_at", "")),
        idle_expires_at=_text(tree.get("idle_expires_at")),
        second_factor_at=_text(tree.get("second_factor_at")),
        scopes=_texts(tree.get("scopes")),
        name=_text(tree.get("name")),
    )


def logout(where: Where) -> Conversation[None]:
    """End our session: the token is dead within a second. One that has ended before is none that a new sign-in would have to end."""
    question = Ask(method="DELETE", path="/auth/session", repeatable=True, provable=False)
    try:
        _nothing((yield from ask(question, where.patience)))
    except RefusedError as error:
        if error.reason != "token_refused":
            raise


def stepup(otp: str, where: Where) -> Conversation[None]:
    """Show a new code, so that the second factor is fresh again; a code is sent again only if it certainly was not looked at."""
    body = json.dumps({"otp": otp}).encode()
    _object((yield from ask(Ask(method="POST", path="/auth/stepup", headers=(_JSON,), body=body, once=True, provable=False), where.patience)))


def tokens(where: Where) -> Conversation[list[PersonalToken]]:
    """Return our personal access tokens, newest first."""
    answer = yield from _get("/auth/tokens", where)
    return [_personal(item) for item in items(answer.json(), "tokens")]


def create_token(
    name: str, where: Where, *, scopes: Sequence[str] = (), expires_in: int | None = None, networks: Sequence[str] = ()
) -> Conversation[MadeToken]:
    """Make a personal access token; it is not asked for twice, for then there might be two."""
    wanted: dict[str, Any] = {"name": name}
    wanted |= {"scopes": list(scopes)} if scopes else {}
    wanted |= {"expires_in": expires_in} if expires_in is not None else {}
    wanted |= {"networks": list(networks)} if networks else {}
    question = Ask(method="POST", path="/auth/tokens", headers=(_JSON,), body=json.dumps(wanted).encode())
    answer = yield from ask(question, where.patience)
    tree = _object(answer)
    return MadeToken(
        token=_token(tree, answer),
        id=str(tree.get("id", "")),
        name=str(tree.get("name", name)),
        expires_at=str(tree.get("expires_at", "")),
        expires_in=number(tree.get("expires_in")) or 0.0,
        scopes=_texts(tree.get("scopes")),
        networks=_texts(tree.get("networks")),
    )


def revoke_token(token_id: str, where: Where) -> Conversation[None]:
    """End one of our personal access tokens: it is dead within a second."""
    _nothing((yield from ask(Ask(method="DELETE", path=f"/auth/tokens/{quote(token_id, safe='')}", repeatable=True), where.patience)))


def call(
    method: str, path: str, *, query: Iterable[tuple[str, str]] = (), headers: Iterable[tuple[str, str]] = (), body: bytes | None = None, where: Where
) -> Conversation[Answer]:
    """Send any request and return its answer of success; the error for another one has it as it came, in ``body``."""
    known = tuple(headers)
    repeatable = (method.upper() in _SAFE_METHODS and body is None) or any(name.lower() == "idempotency-key" for name, _ in known)
    question = Ask(method=method.upper(), path=path, query=tuple(query), headers=known, body=body, repeatable=repeatable)
    return (yield from ask(question, where.patience))


def proof(error: GatewayError) -> Conversation[None]:
    """Have whoever is there answer ``error``."""
    yield Prove(error=error)


def ping(where: Where) -> Conversation[Mapping[str, Any]]:
    """Return what Slurm's controllers say of themselves."""
    return _object((yield from _get(where.slurm("ping"), where)))


def jobs(
    where: Where, *, user: str | None = None, states: Sequence[str] = (), partitions: Sequence[str] = (), fields: str = JOB_FIELDS
) -> Conversation[list[Job]]:
    """Return the jobs that Slurm knows: of everybody, or of ``user``; ``states`` are Slurm's words, short or long."""
    query = [("fields", fields)] if fields else []
    if user is not None:
        query.append(("user", user))
    if states:
        query.append(("state", ",".join(states)))
    if partitions:
        query.append(("partition", ",".join(partitions)))
    answer = yield from _get(where.slurm("jobs"), where, query)
    return [Job.of(item) for item in items(answer.json(), "jobs")]


def job(job_id: int, where: Where) -> Conversation[list[Job]]:
    """Return a job: one, or what Slurm shows of an array's tasks and a heterogeneous job's parts; raise JobForgottenError.

    One that slurmctld has forgotten (MinJobAge after its end) is looked up in accounting.
    """
    try:
        answer = yield from _get(where.slurm(f"job/{int(job_id)}"), where)
    except SlurmRefusedError as error:
        if not is_unknown(error):
            raise
        unknown = error
    else:
        return _jobs_in(answer)
    return (yield from accounted(job_id, where, unknown))


def accounted(job_id: int, where: Where, because: GatewayError | None = None) -> Conversation[list[Job]]:
    """Return a job from accounting, which slurmctld does not know any more (``because`` it has said so); raise JobForgottenError."""
    try:
        answer = yield from _get(where.slurmdb(f"job/{int(job_id)}"), where)
        told = items(answer.json(), "jobs")
    except (SlurmRefusedError, RefusedError, NotUnderstoodError) as error:
        raise _forgotten(job_id, f"accounting cannot be asked: {error}", because) from error
    # One that was requeued is there more than once; the last one counts.
    latest = {found.id: found for found in sorted((Job.of_accounting(item) for item in told), key=lambda job: job.submitted_at or 0.0)}
    if not latest:
        raise _forgotten(job_id, "accounting knows of none", because) from because
    return [latest[key] for key in sorted(latest)]


def is_unknown(error: SlurmRefusedError) -> bool:
    """Tell whether Slurm has said that it knows no such job; the API's not knowing the call comes with no errors of Slurm's own."""
    return error.status == _NOT_FOUND and any(told.get("source") != "slurm-gateway" for told in error.errors)


def _forgotten(job_id: int, why: str, because: GatewayError | None) -> JobForgottenError:
    hint = "Slurm forgets a job some minutes after its end (MinJobAge). Check the number: 'sacct -j ID' on a login node may know more."
    status, request_id = (because.status, because.request_id) if because is not None else (None, None)
    return JobForgottenError(f"Slurm knows no job {job_id}, or not any more, and {why}", hint=hint, status=status, request_id=request_id)


def recorded(since: float, where: Where) -> Conversation[list[Mapping[str, Any]]]:
    """Return slurmdbd's records of the jobs that were there after ``since`` (Unix seconds), as it tells them."""
    query = [("start_time", f"uts{int(since)}"), ("end_time", f"uts{int(time.time())}")]
    answer = yield from _get(where.slurmdb("jobs"), where, query)
    return items(answer.json(), "jobs")


def nodes(where: Where, *, states: Sequence[str] = ()) -> Conversation[list[Node]]:
    """Return the nodes; ``states`` are Slurm's words, short or long."""
    answer = yield from _get(where.slurm("nodes"), where, [("state", ",".join(states))] if states else ())
    return [Node.of(item) for item in items(answer.json(), "nodes")]


def partitions(where: Where) -> Conversation[list[Partition]]:
    """Return the partitions."""
    answer = yield from _get(where.slurm("partitions"), where)
    return [Partition.of(item) for item in items(answer.json(), "partitions")]


def cancel(job_id: int | str, where: Where) -> Conversation[None]:
    """Cancel a job, or tasks of an array (``7_3``, ``7_[4-9]``); to cancel one that is over is nothing.

    Raise SlurmRefusedError where it could not be done.
    """
    if _JOBS.fullmatch(str(job_id)) is None:
        raise GatewayError(
            f"{str(job_id)!r} is no number of a job", hint="Give a number, as 7, or one of an array's tasks, as 7_3.", reason="bad_request"
        )
    try:
        answer = yield from ask(Ask(method="DELETE", path=where.slurm(f"job/{quote(str(job_id), safe='')}"), repeatable=True), where.patience)
    except SlurmRefusedError as error:
        if any(_ALREADY_ENDED in (told.get("error_number"), told.get("error_code"), told.get("errno")) for told in error.errors):
            return
        raise
    tree = _object(answer)
    told = tree.get("status")
    for item in told if isinstance(told, list) else ():
        why = item.get("error") if isinstance(item, dict) else None
        if isinstance(why, dict) and why.get("code") and why["code"] != _ALREADY_ENDED:
            # From v0.0.42 on, what could not be cancelled is told in an answer of success.
            raise SlurmRefusedError(
                str(why.get("message") or why.get("string") or "Slurm did not cancel it"),
                hint=_text(tree.get("hint")) or "Check the number of the job, and that it is yours.",
                status=answer.status,
                request_id=answer.request_id,
                errors=(why,),
            )


def newest(where: Where) -> Conversation[str]:
    """Return the newest version of the API that the cluster serves, by its OpenAPI document; raise NotUnderstoodError."""
    for document in ("openapi/v3", "openapi"):
        try:
            answer = yield from _get(where.below(document), where)
        except (SlurmRefusedError, RefusedError):
            continue
        # A document has a megabyte or two; its paths are all that is of interest.
        if numbers := {int(number) for number in _SERVED.findall(answer.body)}:
            return f"v0.0.{max(numbers)}"
    raise NotUnderstoodError(
        "the cluster does not say which versions of the API it serves", hint="Name one: version='v0.0.40', as your administrators tell you."
    )


def new_key() -> str:
    """Return a new idempotency key."""
    return os.urandom(16).hex()


def submit(body: bytes, where: Where, *, key: str, media_type: str = "application/json") -> Conversation[Submitted]:
    """Submit a job once: with the same ``key`` and ``body``, to the same ``where``, it may be submitted again until there is an answer."""
    headers = (("Content-Type", media_type), ("Idempotency-Key", key))
    question = Ask(method="POST", path=where.slurm("job/submit"), headers=headers, body=body, repeatable=True)
    answer = yield from ask(question, where.patience)
    tree = _object(answer)
    job_id = number(tree.get("job_id"))
    if not job_id:
        if (warned := tuple(_words_of(tree.get("warnings")))) and not tree.get("errors"):
            raise _not_read(tree, warned, answer)
        raise NotUnderstoodError(
            "the answer to the submission names no job",
            hint=_text(tree.get("hint")) or "Look whether it is there: slurm-gateway jobs.",
            status=answer.status,
            request_id=answer.request_id,
        )
    repaired = answer.headers.get("x-gateway-repaired", "")
    return Submitted(
        job_id=int(job_id),
        repaired=tuple(word.strip() for word in repaired.split(",") if word.strip()),
        warnings=tuple(_words_of(tree.get("warnings"))) + tuple(_words_of(tree.get("errors"))),
        raw=tree,
    )


def _not_read(tree: Mapping[str, Any], warned: Sequence[str], answer: Answer) -> SlurmRefusedError:
    """Return the error for what 24.11 says of a value that it cannot read: success, no job, and a warning with the place."""
    first = next(item for item in tree["warnings"] if isinstance(item, dict))
    place = str(first.get("source") or "").strip("#/").replace("/", ".")
    return SlurmRefusedError(
        f"{place}: {warned[0]}" if place else warned[0],
        hint=_text(tree.get("hint")) or "Correct what the warnings name.",
        status=answer.status,
        request_id=answer.request_id,
        errors=tuple(item for item in tree["warnings"] if isinstance(item, dict)),
    )


def wait(job_id: int, where: Where, *, until: str = "finished", seconds: int = WAIT) -> Conversation[tuple[list[Job], str | None]]:
    """Wait up to ``seconds`` until a job has ``finished``, ``started`` or ``changed``, or is in a state of Slurm's.

    Return it, and what the gateway says of the wait (``met``, ``timeout``, ``over``), None where it did not wait. A job that slurmctld has
    forgotten is ``over``, whatever accounting says of it.
    """
    query = (("wait", str(seconds)), ("until", until)) if seconds else ()
    question = Ask(method="GET", path=where.slurm(f"job/{int(job_id)}"), query=query, repeatable=True, timeout=seconds + 60.0)
    try:
        answer = yield from ask(question, where.patience)
    except SlurmRefusedError as error:
        if not is_unknown(error):
            raise
        unknown = error
    else:
        return _jobs_in(answer), answer.headers.get(_WAITED)
    return (yield from accounted(job_id, where, unknown)), "over"


def _jobs_in(answer: Answer) -> list[Job]:
    """Return the jobs that an answer about one has; raise NotUnderstoodError for none."""
    found = [Job.of(item) for item in items(answer.json(), "jobs")]
    if not found:
        raise NotUnderstoodError("the answer about a job has none in it", hint="Try again.", status=answer.status, request_id=answer.request_id)
    return found


def _get(path: str, where: Where, query: Iterable[tuple[str, str]] = ()) -> Conversation[Answer]:
    return (yield from ask(Ask(method="GET", path=path, query=tuple(query), repeatable=True), where.patience))


def _object(answer: Answer) -> dict[str, Any]:
    tree = answer.json()
    if not isinstance(tree, dict):
        raise NotUnderstoodError("the answer is not what a gateway answers", hint="Is this the gateway's address?", status=answer.status)
    return tree


def _nothing(answer: Answer) -> None:
    """Raise NotUnderstoodError for an answer that says more than that it is done: nobody but the gateway has ended something here."""
    if answer.status != _NO_CONTENT:
        raise NotUnderstoodError("the answer is not what a gateway answers", hint="Is this the gateway's address?", status=answer.status)


def _token(tree: Mapping[str, Any], answer: Answer) -> Secret:
    """Return the token that an answer gives; raise NotUnderstoodError for none, and for one that could not be sent."""
    token = tree.get("token")
    try:
        return checked(Secret(token.encode() if isinstance(token, str) else b""))
    except (GatewayError, UnicodeError):
        raise NotUnderstoodError(
            "the answer has no token", hint="Is this the gateway's address?", status=answer.status, request_id=answer.request_id
        ) from None


def _spoken(password: Secret) -> str:
    try:
        return password.reveal().decode()
    except UnicodeError:
        raise GatewayError(
            "the password is not in UTF-8", hint="Set the terminal to UTF-8 (LANG), and type it again.", reason="bad_request"
        ) from None


def _personal(told: Mapping[str, Any]) -> PersonalToken:
    return PersonalToken(
        id=str(told.get("id", "")),
        name=str(told.get("name", "")),
        created_at=str(told.get("created_at", "")),
        expires_at=str(told.get("expires_at", "")),
        last_used_at=_text(told.get("last_used_at")),
        scopes=_texts(told.get("scopes")),
        networks=_texts(told.get("networks")),
        address=_text(told.get("address")),
        client=_text(told.get("client")),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _words_of(told: object) -> Iterable[str]:
    for item in told if isinstance(told, list) else ():
        if isinstance(item, dict):
            yield str(item.get("description") or item.get("error") or item)
