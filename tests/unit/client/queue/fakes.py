"""A gateway, a Slurm and a clock that a test can stop at any step: what is done is done, what comes after never happens."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.client.calls import Submitted
from gateway.client.cluster import Job
from gateway.client.errors import GatewayError, JobForgottenError, RefusedError, SlurmRefusedError
from gateway.client.queue import folder as folders
from gateway.client.queue.journal import Journal
from gateway.client.queue.ledger import Ledger
from gateway.client.queue.plan import Options
from gateway.client.queue.running import Queue
from gateway.client.queue.telling import QueueEvent
from gateway.client.queue.watching import Inbox, Listener, News
from gateway.client.queue.ways import Clocks

PATH = "/slurm/latest/job/submit"


class Killed(BaseException):
    """What a SIGKILL is to the code that is under way: nothing after it happens."""


class Steps:
    """Counts what is done, and kills before the step that was chosen."""

    def __init__(self) -> None:
        self.left: int | None = None

    def step(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Killed


class Slurm:
    """Jobs that end after ``life`` seconds, as ``ends`` says by their names; no more than ``most`` were ever under way."""

    def __init__(self, life: float = 2.0) -> None:
        self.life = life
        self.now = 1_000_000.0
        self.jobs: dict[int, dict[str, Any]] = {}
        self.ends: dict[str, tuple[str, int]] = {}
        self.reasons: dict[str, str] = {}
        self.most = 0

    def submit(self, name: str) -> int:
        job_id = 90 + len(self.jobs)
        self.jobs[job_id] = {"job_id": job_id, "name": name, "job_state": "RUNNING", "submit_time": int(self.now), "user_name": "carol"}
        self.most = max(self.most, sum(job["job_state"] == "RUNNING" for job in self.jobs.values()))
        return job_id

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for job in self.jobs.values():
            if job["job_state"] == "RUNNING" and self.now - job["submit_time"] >= self.life:
                state, code = self.ends.get(job["name"], ("COMPLETED", 0))
                job.update(job_state=state, exit_code={"return_code": code}, state_reason=self.reasons.get(job["name"], "None"))

    @property
    def names(self) -> list[str]:
        """The names of the jobs in the order in which they came."""
        return [job["name"] for job in self.jobs.values()]

    @property
    def counted(self) -> Counter[str]:
        return Counter(self.names)


class Gateway:
    """A gateway as a queue sees it: a key makes one job, and ``faults`` are raised in the place of the answers to come, in their order.

    A fault that is a tuple ``("lost", error)`` is raised after the job was made.
    """

    def __init__(self, slurm: Slurm, steps: Steps | None = None, username: str = "carol") -> None:
        self.slurm = slurm
        self.steps = steps or Steps()
        self.username = username
        self.url = "https://gateway.example"
        self.cluster: str | None = None
        self.submission_path = PATH
        self.keys: dict[str, tuple[bytes, int]] = {}
        self.faults: list[GatewayError | tuple[str, GatewayError] | None] = []
        self.refused: dict[str, GatewayError] = {}
        self.reads: list[GatewayError] = []
        self.records: list[Mapping[str, Any]] = []
        self.sent: list[str] = []

    def submit(self, body: bytes, *, key: str | None = None) -> Submitted:
        assert key is not None
        self.steps.step()
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, GatewayError):
            raise fault
        name = json.loads(body)["job"]["name"]
        self.sent.append(name)
        if name in self.refused:
            raise self.refused[name]
        if key in self.keys:
            assert self.keys[key][0] == body, "the same key with other bytes"
        else:
            self.keys[key] = (body, self.slurm.submit(name))
        self.steps.step()
        if fault is not None:
            raise fault[1]
        return Submitted(job_id=self.keys[key][1])

    def job(self, job_id: int) -> list[Job]:
        self._read()
        if job_id not in self.slurm.jobs:
            raise unknown_job()
        return [Job.of(self.slurm.jobs[job_id])]

    def jobs(self) -> list[Job]:
        self._read()
        return [Job.of(job) for job in self.slurm.jobs.values()]

    def recorded(self, since: float) -> Sequence[Mapping[str, Any]]:
        del since
        self._read()
        return self.records

    def _read(self) -> None:
        self.steps.step()
        if self.reads:
            raise self.reads.pop(0)

    def sibling(self) -> Listener:
        raise NotImplementedError  # no thread listens in these tests: what it would say is put into the inbox


class Waiting(Inbox):
    """Nobody waits for real: the time passes, and whatever is to happen meanwhile happens."""

    def __init__(self, slurm: Slurm, then: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._slurm = slurm
        self._then = then

    def wait(self, seconds: float) -> list[News]:
        if seconds > 0:
            self._slurm.pass_time(seconds)
            if self._then is not None:
                self._then()
        return super().wait(0)


class Unwatched(Queue):
    """A queue that nobody wakes: it looks for itself."""

    def _watch(self) -> None:
        pass


def queue(folder: Path, ways: Gateway, options: Options | None = None, then: Callable[[], None] | None = None) -> Queue:
    """Return a queue whose time passes when it waits."""
    slurm = ways.slurm
    clocks = Clocks(wall=lambda: slurm.now, now=lambda: slurm.now)
    return Unwatched(ways, folder, options or Options(settle=0.0), clocks=clocks, inbox=Waiting(slurm, then))


def run(folder: Path, ways: Gateway, options: Options | None = None) -> list[QueueEvent]:
    """Run a queue to its end and return what it told."""
    with queue(folder, ways, options) as running_queue:
        return list(running_queue)


def write(folder: Path, *names: str) -> None:
    """Put job files into a folder; each job has its file's name."""
    for name in names:
        (folder / name).write_text(json.dumps({"job": {"name": name}, "script": "#!/bin/sh\n"}))
        os.utime(folder / name, (900_000, 900_000))


@contextmanager
def steps_counted(monkeypatch: pytest.MonkeyPatch, steps: Steps) -> Iterator[None]:
    """Have each step that changes something on disk be one that can be killed before or after, but for half written lines."""
    with monkeypatch.context() as patch:
        for owner, name in (
            (Journal, "write"),
            (Journal, "keep_body"),
            (Journal, "drop_body"),
            (folders, "put_aside"),
        ):
            patch.setattr(owner, name, _stepping(getattr(owner, name), steps))
        patch.setattr(os, "fsync", lambda _: None)  # a kill is no power cut
        yield


def _stepping(call: Callable[..., Any], steps: Steps) -> Callable[..., Any]:
    def stepping(*arguments: Any, **more: Any) -> Any:
        steps.step()
        result = call(*arguments, **more)
        steps.step()
        return result

    return stepping


def ledger(folder: Path) -> Ledger:
    """Return what a journal says."""
    with Journal(folder) as journal:
        return journal.ledger


def refused(reason: str, status: int, retry_after: float | None = None) -> RefusedError:
    """Return a refusal of the gateway's own."""
    error = RefusedError({"reason": reason, "detail": reason, "hint": "Do."}, status=status, request_id=None)
    error.retry_after = retry_after
    return error


def by_slurm(status: int, *numbers: int, message: str = "no") -> SlurmRefusedError:
    """Return a refusal of Slurm's."""
    return SlurmRefusedError(message, hint="Do.", status=status, request_id=None, errors=tuple({"error_number": number} for number in numbers))


def unknown_job() -> GatewayError:
    """Return what is said of a job that nobody knows."""
    return JobForgottenError("Slurm knows no such job", hint="Look.")
