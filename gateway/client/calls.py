"""What can be asked of a gateway: each call is a conversation that returns what people want of it (pure)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from gateway.client.asking import Answer, Ask, Conversation
from gateway.client.cluster import Job, Node, Partition, items
from gateway.client.errors import NotUnderstoodError
from gateway.client.patience import Patience, ask
from gateway.secret import Secret

_JSON = ("Content-Type", "application/json")
_SAFE_METHODS = frozenset({"GET", "HEAD"})
# What tables show of a job: a list of 15 MB is less than one of that.
JOB_FIELDS = (
    "job_id,name,user_name,user_id,job_state,partition,nodes,state_reason,exit_code,submit_time,start_time,end_time,time_limit,"
    "array_job_id,array_task_id,array_task_string"
)
# A little less than what most gateways and those between let a request wait.
_WAIT = 50
_WAITED = "x-gateway-waited"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """What signing in gives: the token, and until when it is good (Unix seconds, or as the gateway writes times)."""

    token: Secret
    username: str
    expires_at: str
    expires_in: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Who a token belongs to; times are RFC 3339 texts, ``kind`` is ``session`` or ``token``."""

    username: str
    kind: str
    expires_at: str
    idle_expires_at: str | None
    second_factor_at: str | None
    scopes: tuple[str, ...]


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
    version: str = "latest"
    patience: Patience = field(default_factory=Patience)

    def slurm(self, path: str) -> str:
        """Return the path of a call of slurmctld's."""
        return f"{self._prefix}/slurm/{self.version}/{path}"

    def slurmdb(self, path: str) -> str:
        """Return the path of a call of slurmdbd's."""
        return f"{self._prefix}/slurmdb/{self.version}/{path}"

    @property
    def events(self) -> str:
        """The path of the stream of events."""
        return f"{self._prefix}/events"

    @property
    def _prefix(self) -> str:
        return "" if self.cluster is None else f"/clusters/{quote(self.cluster, safe='')}"


def login(username: str, password: Secret, otp: str, patience: Patience) -> Conversation[SignedIn]:
    """Sign in with both factors; a code is never sent twice."""
    said = json.dumps({"username": username, "password": password.reveal().decode(), "otp": otp}).encode()
    question = Ask(method="POST", path="/auth/login", headers=(_JSON,), body=said, anonymous=True)
    tree = _object((yield from ask(question, patience)))
    token = tree.get("token")
    if not isinstance(token, str):
        raise NotUnderstoodError("the answer to the sign-in has no token", hint="Is this the gateway's address?")
    return SignedIn(
        token=Secret(token.encode()),
        username=str(tree.get("username", username)),
        expires_at=str(tree.get("expires_at", "")),
        expires_in=float(tree.get("expires_in", 0)),
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
        scopes=tuple(map(str, tree.get("scopes") or ())),
    )


def logout(where: Where) -> Conversation[None]:
    """End our session: the token is dead within a second."""
    yield from ask(Ask(method="DELETE", path="/auth/session", repeatable=True), where.patience)


def stepup(otp: str, where: Where) -> Conversation[None]:
    """Show a new code, so that the second factor is fresh again; a code is never sent twice."""
    body = json.dumps({"otp": otp}).encode()
    yield from ask(Ask(method="POST", path="/auth/stepup", headers=(_JSON,), body=body), where.patience)


def call(
    method: str, path: str, *, query: Iterable[tuple[str, str]] = (), headers: Iterable[tuple[str, str]] = (), body: bytes | None = None, where: Where
) -> Conversation[Answer]:
    """Send any request and return its answer, whatever its status."""
    question = Ask(
        method=method, path=path, query=tuple(query), headers=tuple(headers), body=body, repeatable=method in _SAFE_METHODS and body is None
    )
    return (yield from ask(question, where.patience))


def ping(where: Where) -> Conversation[Mapping[str, Any]]:
    """Return what Slurm's controllers say of themselves."""
    return _object((yield from _get(where.slurm("ping"), where)))


def jobs(where: Where, *, user: str | None = None, states: Sequence[str] = (), fields: str = JOB_FIELDS) -> Conversation[list[Job]]:
    """Return the jobs that Slurm knows: of everybody, or of ``user``; ``states`` are Slurm's words, short or long."""
    query = [("fields", fields)] if fields else []
    if user is not None:
        query.append(("user", user))
    if states:
        query.append(("state", ",".join(states)))
    answer = yield from _get(where.slurm("jobs"), where, query)
    return [Job.of(item) for item in items(answer.json(), "jobs")]


def job(job_id: int, where: Where) -> Conversation[list[Job]]:
    """Return a job: one, or what Slurm shows of an array's tasks and a heterogeneous job's parts."""
    answer = yield from _get(where.slurm(f"job/{job_id}"), where)
    return [Job.of(item) for item in items(answer.json(), "jobs")]


def recorded(since: float, where: Where) -> Conversation[list[Mapping[str, Any]]]:
    """Return slurmdbd's records of the jobs that were there after ``since`` (Unix seconds), as it tells them."""
    query = [("start_time", f"uts{int(since)}"), ("end_time", f"uts{int(time.time())}")]
    answer = yield from _get(where.slurmdb("jobs"), where, query)
    return items(answer.json(), "jobs")


def nodes(where: Where) -> Conversation[list[Node]]:
    """Return the nodes."""
    answer = yield from _get(where.slurm("nodes"), where)
    return [Node.of(item) for item in items(answer.json(), "nodes")]


def partitions(where: Where) -> Conversation[list[Partition]]:
    """Return the partitions."""
    answer = yield from _get(where.slurm("partitions"), where)
    return [Partition.of(item) for item in items(answer.json(), "partitions")]


def cancel(job_id: int, where: Where) -> Conversation[None]:
    """Cancel a job; to cancel it twice is to cancel it."""
    yield from ask(Ask(method="DELETE", path=where.slurm(f"job/{job_id}"), repeatable=True), where.patience)


def new_key() -> str:
    """Return a new idempotency key."""
    return os.urandom(16).hex()


def submit(body: bytes, where: Where, *, key: str, media_type: str = "application/json") -> Conversation[Submitted]:
    """Submit a job once: with the same ``key`` and ``body``, to the same ``where``, it may be submitted again until there is an answer."""
    headers = (("Content-Type", media_type), ("Idempotency-Key", key))
    question = Ask(method="POST", path=where.slurm("job/submit"), headers=headers, body=body, repeatable=True)
    answer = yield from ask(question, where.patience)
    tree = _object(answer)
    job_id = tree.get("job_id")
    if not isinstance(job_id, int):
        raise NotUnderstoodError(
            "the answer to the submission names no job", hint="Look whether it is there: slurm-gateway jobs.", request_id=answer.request_id
        )
    repaired = answer.headers.get("x-gateway-repaired", "")
    return Submitted(
        job_id=job_id,
        repaired=tuple(word.strip() for word in repaired.split(",") if word.strip()),
        warnings=tuple(_words_of(tree.get("warnings"))) + tuple(_words_of(tree.get("errors"))),
        raw=tree,
    )


def wait(job_id: int, where: Where, *, until: str = "finished", seconds: int = _WAIT) -> Conversation[tuple[list[Job], bool]]:
    """Wait up to ``seconds`` until a job has ``finished``, ``started`` or ``changed``; return it, and whether the gateway waited at all."""
    query = [("wait", str(seconds)), ("until", until)]
    question = Ask(method="GET", path=where.slurm(f"job/{job_id}"), query=tuple(query), repeatable=True, timeout=seconds + 60.0)
    answer = yield from ask(question, where.patience)
    return [Job.of(item) for item in items(answer.json(), "jobs")], _WAITED in answer.headers


def _get(path: str, where: Where, query: Iterable[tuple[str, str]] = ()) -> Conversation[Answer]:
    return (yield from ask(Ask(method="GET", path=path, query=tuple(query), repeatable=True), where.patience))


def _object(answer: Answer) -> dict[str, Any]:
    tree = answer.json()
    if not isinstance(tree, dict):
        raise NotUnderstoodError("the answer is not what a gateway answers", hint="Is this the gateway's address?", status=answer.status)
    return tree


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _words_of(told: object) -> Iterable[str]:
    for item in told if isinstance(told, list) else ():
        if isinstance(item, dict):
            yield str(item.get("description") or item.get("error") or item)
