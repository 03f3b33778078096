"""What can be asked through a Gateway, blocking or not: each question once, with its signature and its words, for both (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import update_wrapper
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from gateway.client import calls
from gateway.client.address import Address
from gateway.client.asking import Answer, Conversation, Pause, checked
from gateway.client.calls import LATEST, MadeToken, PersonalToken, Session, SignedIn, Submitted, Where
from gateway.client.cluster import Job, Node, Partition
from gateway.client.errors import GatewayError, JobForgottenError, NotSignedInError, RefusedError, SlurmRefusedError, WaitTimeoutError
from gateway.client.listening import listen
from gateway.client.patience import Patience
from gateway.secret import Secret

if TYPE_CHECKING:
    from gateway.client.jobfile import JobFile
    from gateway.client.sites import Site

T = TypeVar("T")
_NOT_FOUND = 404
_BAD_REQUEST = "bad_request"
# Seconds that a read is to wait, and if that is more than a gateway lets it, fewer; 0 does not ask it to.
_WAITS = (calls.WAIT, 10, 0)
_POLL, _LONGEST_POLL = 1.0, 15.0
# So often accounting may say of a job that slurmctld has forgotten that it goes on: it is told of the end some moments later.
_LATE = 10
_STARTED = frozenset({"PENDING", "CONFIGURING", "POWER_UP_NODE", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "REQUEUE_FED", "RESV_DEL_HOLD"})


class Carrier(Protocol):
    """What carries conversations: where to, and with which token."""

    address: Address
    token: Secret | None


class Standing:
    """What is known from one question to the next: through what they are carried, to which cluster, and who we are."""

    def __init__(self, carrier: Carrier, where: Where) -> None:
        self.carrier = carrier
        self.where = where
        self.username: str | None = None

    def other(self, carrier: Carrier, *, patience: Patience | None = None) -> Standing:
        """Return the same for another way to go, or for another patience."""
        other = Standing(carrier, self.where if patience is None else replace(self.where, patience=patience))
        other.username = self.username
        return other


def introduce(method: Callable[..., Any], question: Callable[..., Conversation[Any]], *, answer: str | None = None) -> None:
    """Have ``method`` go by the name, the words and the signature of ``question``, with a gateway in the place of what carries it.

    ``help()`` and editors show what people call, and what they get: ``answer``, or what the conversation comes to.
    """
    update_wrapper(method, question)
    asked = signature(question)
    itself, *others = asked.parameters.values()
    comes_to = str(asked.return_annotation).removeprefix("Conversation[").removesuffix("]")
    shown = asked.replace(parameters=[Parameter("self", itself.kind), *others], return_annotation=answer or comes_to)
    vars(method)["__signature__"] = shown


def secret_of(text: str | Secret) -> Secret:
    """Return what is secret in a wrapper that does not show it."""
    return Secret(text.encode(errors="surrogateescape")) if isinstance(text, str) else text


def token_of(text: str | Secret | None) -> Secret | None:
    """Return the token that ``text`` is; raise GatewayError for what is none."""
    return None if text is None else checked(secret_of(text))


def signed_in(name: str | None) -> tuple[Site, Secret]:
    """Return the site ``name`` that ``slurm-gateway login`` has kept, or the default one, and its token; raise NotSignedInError."""
    import os  # noqa: PLC0415 - beside its only use

    from gateway.client.sites import Sites  # noqa: PLC0415 - whoever has a token of their own needs none of it

    sites = Sites.of(os.environ)
    known, site = sites.site(name)
    token = sites.token(known)
    if token is None:
        raise NotSignedInError(f"not signed in at {site.url}", hint=f"Sign in first: slurm-gateway login --site {known}")
    return site, token


# Signing in.


def login(standing: Standing, username: str, password: str | Secret, otp: str) -> Conversation[SignedIn]:
    """Sign in with both factors, and go on with the token that this gives."""
    signed_in = yield from calls.login(username, secret_of(password), otp, standing.where.patience)
    standing.carrier.token = signed_in.token
    standing.username = signed_in.username
    return signed_in


def session(standing: Standing) -> Conversation[Session]:
    """Return who we are, and until when."""
    return (yield from calls.session(standing.where))


def stepup(standing: Standing, otp: str) -> Conversation[None]:
    """Show a new code, for what asks for a second factor that is young."""
    yield from calls.stepup(otp, standing.where)


def logout(standing: Standing) -> Conversation[None]:
    """End the session."""
    yield from calls.logout(standing.where)
    standing.carrier.token = standing.username = None


def tokens(standing: Standing) -> Conversation[list[PersonalToken]]:
    """Return our personal access tokens."""
    return (yield from calls.tokens(standing.where))


def create_token(
    standing: Standing, name: str, *, scopes: Sequence[str] = (), expires_in: int | None = None, networks: Sequence[str] = ()
) -> Conversation[MadeToken]:
    """Make a personal access token for scripts; ``expires_in`` is in seconds, ``networks`` are those that it may be used from."""
    return (yield from calls.create_token(name, standing.where, scopes=scopes, expires_in=expires_in, networks=networks))


def revoke_token(standing: Standing, token_id: str) -> Conversation[None]:
    """End one of our personal access tokens."""
    yield from calls.revoke_token(token_id, standing.where)


def username(standing: Standing) -> Conversation[str]:
    """Return who we are, as Slurm spells it."""
    if standing.username is None:
        standing.username = (yield from calls.session(standing.where)).username
    return standing.username


# Slurm.


def call(
    standing: Standing,
    method: str,
    path: str,
    *,
    query: Iterable[tuple[str, str]] = (),
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
) -> Conversation[Answer]:
    """Send any request, and return its answer if it is one of success; the error for another one has it as it came, in ``body``."""
    return (yield from calls.call(method, path, query=query, headers=headers, body=body, where=standing.where))


def ping(standing: Standing) -> Conversation[Mapping[str, Any]]:
    """Return what Slurm's controllers say of themselves."""
    return (yield from _in_version(standing, calls.ping))


def jobs(
    standing: Standing, *, user: str | None = None, everybody: bool = False, states: Sequence[str] = (), partitions: Sequence[str] = ()
) -> Conversation[list[Job]]:
    """Return the jobs that Slurm knows: mine, those of ``user``, or everybody's; ``states`` are Slurm's words, short or long."""
    whose = None if everybody else user or (yield from username(standing))
    return (yield from _in_version(standing, lambda where: calls.jobs(where, user=whose, states=states, partitions=partitions)))


def job(standing: Standing, job_id: int) -> Conversation[list[Job]]:
    """Return a job: one, or what Slurm shows of an array's tasks and a heterogeneous job's parts; raise JobForgottenError.

    One that slurmctld has forgotten is looked up in accounting.
    """
    return (yield from _in_version(standing, lambda where: calls.job(job_id, where)))


def accounted(standing: Standing, job_id: int) -> Conversation[list[Job]]:
    """Return what accounting has on record of a job, its tasks or its parts, those too that slurmctld has forgotten; raise JobForgottenError."""
    return (yield from _in_version(standing, lambda where: calls.accounted(job_id, where)))


def recorded(standing: Standing, since: float) -> Conversation[list[Mapping[str, Any]]]:
    """Return slurmdbd's records of the jobs that were there after ``since`` (Unix seconds), as it tells them."""
    return (yield from _in_version(standing, lambda where: calls.recorded(since, where)))


def nodes(standing: Standing, *, states: Sequence[str] = ()) -> Conversation[list[Node]]:
    """Return the nodes; ``states`` are Slurm's words, short or long."""
    return (yield from _in_version(standing, lambda where: calls.nodes(where, states=states)))


def partitions(standing: Standing) -> Conversation[list[Partition]]:
    """Return the partitions."""
    return (yield from _in_version(standing, calls.partitions))


def cancel(standing: Standing, job_id: int | str) -> Conversation[None]:
    """Cancel a job, or tasks of an array (``7_3``, ``7_[4-9]``); to cancel one that has ended is nothing."""
    yield from _in_version(standing, lambda where: calls.cancel(job_id, where))


def submit(
    standing: Standing, job: JobFile | Mapping[str, Any] | bytes | Path | str, *, key: str | None = None, media_type: str = "application/json"
) -> Conversation[Submitted]:
    """Submit a job once, however often it has to be sent; ``key`` is its idempotency key, a new one by default.

    ``job`` is the body of ``POST …/job/submit`` in the form of any version, as a tree or as bytes of ``media_type``, or a job file: one that is
    read already, or its path.
    """
    body, key = _body_of(job), key or calls.new_key()
    return (yield from _in_version(standing, lambda where: calls.submit(body, where, key=key, media_type=media_type)))


def wait(standing: Standing, *job_ids: int, until: str = "finished", timeout: float | None = None) -> Conversation[list[Job]]:
    """Wait until each of ``job_ids`` has ``finished``, ``started`` or ``changed``, or is in a state of Slurm's, and return them.

    A job that has ended without getting there is waited for no longer. ``timeout`` is in seconds, None for ever; WaitTimeoutError is raised then.
    """
    clock = standing.where.patience.clock
    deadline = None if timeout is None else clock() + timeout
    found: list[Job] = []
    for job_id in job_ids:
        found += yield from _wait(standing, job_id, until, deadline)
    return found


def events(
    standing: Standing, *, user: str | None = None, job_ids: Sequence[int] = (), states: Sequence[str] = (), last_event_id: str | None = None
) -> Conversation[None]:
    """Yield what happens to jobs, from now on or from ``last_event_id``; raise NoEventsError where the gateway does not tell.

    A stream that breaks off is resumed, so that nothing is missed; where that cannot be, there is an Event ``reset``: read the list of jobs anew.
    """
    return listen(standing.where, user=user, job_ids=job_ids, states=states, last_event_id=last_event_id)


def _wait(standing: Standing, job_id: int, until: str, deadline: float | None) -> Conversation[list[Job]]:
    clock = standing.where.patience.clock
    longest, pause, late = list(_WAITS), _POLL, 0
    first: list[Job] | None = None
    while True:
        left = longest[0] if deadline is None else max(0, min(longest[0], int(deadline - clock())))
        try:
            jobs, said = yield from _in_version(standing, _asking(job_id, until, left))
        except RefusedError as error:
            if error.reason != _BAD_REQUEST or not left:
                raise
            longest.pop(0)  # more than this gateway lets a read wait
            continue
        first = jobs if first is None else first
        if _is_there(jobs, until, first) or said == "met" or all(job.is_over for job in jobs):
            return jobs
        # The gateway takes a job for over that stages its files out still, and accounting is told of an end some moments later.
        late += said == "over" and all(job.accounted for job in jobs)
        if late > _LATE:
            hint = "Slurm's administrators may end it in accounting: 'sacctmgr show runawayjobs'."
            raise JobForgottenError(
                f"Slurm does not know job {job_id} any more, and accounting takes it for {jobs[0].state.lower()} still", hint=hint
            )
        now = clock()
        if deadline is not None and now >= deadline:
            hint = "The job goes on. Wait for longer, or look at it: slurm-gateway job ID."
            raise WaitTimeoutError(f"job {job_id} is {jobs[0].state.lower()} still", hint=hint, jobs=jobs)
        if said != "timeout":
            yield Pause(seconds=pause if deadline is None else min(pause, max(0.0, deadline - now)))
            pause = min(2 * pause, _LONGEST_POLL)


def _asking(job_id: int, until: str, seconds: int) -> Callable[[Where], Conversation[tuple[list[Job], str | None]]]:
    return lambda where: calls.wait(job_id, where, until=until, seconds=seconds)


def _is_there(jobs: Sequence[Job], until: str, first: Sequence[Job]) -> bool:
    """Tell whether what is waited for has happened, as the gateway does where it waits: all tasks have finished, or one has started."""
    if until == "finished":
        return all(job.is_over for job in jobs)
    if until == "started":
        return any(job.state not in _STARTED for job in jobs)
    if until == "changed":
        return [(job.id, job.state, job.flags) for job in jobs] != [(job.id, job.state, job.flags) for job in first]
    return any(until.upper() in {job.state, *job.flags} for job in jobs)


def _in_version(standing: Standing, question: Callable[[Where], Conversation[T]]) -> Conversation[T]:
    """Ask in the newest version; where the gateway does not know which that is, learn it from the cluster, once."""
    try:
        return (yield from question(standing.where))
    except SlurmRefusedError as error:
        if standing.where.version != LATEST or error.status != _NOT_FOUND or calls.is_unknown(error):
            raise
        unknown = error
    try:
        version = yield from calls.newest(standing.where)
    except GatewayError as error:
        raise unknown from error
    standing.where = replace(standing.where, version=version)
    return (yield from question(standing.where))


def _body_of(job: JobFile | Mapping[str, Any] | bytes | Path | str) -> bytes:
    """Return the body of a submission; raise JobFileError, or GatewayError for a file that cannot be read."""
    if isinstance(job, bytes):
        return job
    if isinstance(job, Mapping):
        import json  # noqa: PLC0415 - beside its only use

        return json.dumps(job).encode()
    if isinstance(job, (Path, str)):
        from gateway.client.jobfile import read_file  # noqa: PLC0415 - what reads job files costs more than most questions

        return read_file(job).body
    return job.body
