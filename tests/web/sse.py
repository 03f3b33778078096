"""A client of event streams (WHATWG HTML section 9.2.6), and a slurmrestd with a queue of jobs that tests change."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.unit.slurm import lists
from tests.web import fakes
from tests.web.conftest import House

VERSION = 40
JOBS = f"/slurm/v0.0.{VERSION}/jobs"
_PATH = re.compile(r"GET (/[^ ?]*)(?:\?([^ ]*))? HTTP/1\.1")


@dataclass(kw_only=True)
class Queue:
    """Answers as slurmrestd does: ``hides`` says which jobs a user does not see."""

    jobs: dict[int, dict[str, Any]] = field(default_factory=dict)
    hides: Callable[[str, dict[str, Any]], bool] = lambda _user, _job: False
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)
    failing: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    def put(self, job_id: int, *states: str, user: str = "alice", **more: Any) -> None:
        """Have a job in these states."""
        self.jobs[job_id] = lists.job(VERSION, job_id, *states, user_name=user, **more)

    def looks(self) -> int:
        """Return how often the list of all jobs was asked for."""
        return self.asked.count(JOBS)

    async def __call__(self, request: fakes.Request) -> bool:
        match = _PATH.fullmatch(request.line)
        await request.read_body()
        if match is None:
            await request.say(fakes.http(200, fakes.OK))
            return True
        self.asked.append(match[1])
        await self.gate.wait()
        await request.say(self._answer(match[1], request.field("x-slurm-user-name") or ""))
        return True

    def _answer(self, path: str, user: str) -> bytes:
        if path == "/openapi/v3":
            return fakes.http(200, json.dumps({"paths": {f"/slurm/v0.0.{version}/jobs": {} for version in (39, VERSION)}}).encode())
        if self.failing:
            return fakes.http(self.failing, b'{"errors":[{"error":"failing"}]}')
        seen = [job for job in self.jobs.values() if not self.hides(user, job)]
        if path != JOBS:
            number = int(path.rpartition("/")[2])
            seen = [job for job in seen if number in {job["job_id"], job["array_job_id"]["number"]}]
            if not seen:
                return fakes.http(404, b'{"errors":[{"error":"Invalid job id specified"}]}')
        return fakes.http(200, lists.answer(VERSION, "jobs", seen))


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event as a client sees it; a comment has the type ``:``."""

    type: str
    data: Any
    id: str = ""
    retry: int | None = None

    @property
    def change(self) -> tuple[int, str | None, str | None]:
        """The job, its state, and the one before."""
        return self.data["job_id"], self.data["job_state"], self.data["previous_state"]


class Stream:
    """An open stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fields: dict[str, str]) -> None:
        self.fields = fields
        self.writer = writer
        self._reader = reader
        self._text = b""
        self.over = False

    async def next(self, *types: str, limit: float = fakes.LIMIT) -> Event:
        """Return the next event of one of these types, or of any but comments; fail when there is none in time."""
        async with asyncio.timeout(limit):
            while True:
                event = await self._event()
                if event.type in types or (not types and event.type not in {":", ""}):
                    return event

    async def take(self, count: int) -> list[Event]:
        """Return the next events about jobs."""
        return [await self.next("job", "gone") for _ in range(count)]

    async def rest(self) -> list[Event]:
        """Return everything until the stream ends."""
        found = []
        async with asyncio.timeout(fakes.LIMIT):
            while True:
                try:
                    found.append(await self._event())
                except asyncio.IncompleteReadError:
                    return found

    async def _event(self) -> Event:
        while b"\n\n" not in self._text:
            piece = await self._piece()
            if not piece:
                self.over = True
                raise asyncio.IncompleteReadError(self._text, None)
            self._text += piece
        block, _, self._text = self._text.partition(b"\n\n")
        return _parsed(block.decode())

    async def _piece(self) -> bytes:
        if self.fields.get("transfer-encoding") != "chunked":
            return await self._reader.read(65536)
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        piece = await self._reader.readexactly(size)
        await self._reader.readexactly(2)
        return piece


def _parsed(block: str) -> Event:
    told: dict[str, str] = {}
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        assert name not in told, f"a field stands twice in {block!r}"
        told[name] = value.removeprefix(" ")
    if "" in told:
        return Event(type=":", data=None)
    return Event(
        type=told.get("event", ""),
        data=json.loads(told["data"]) if "data" in told else None,
        id=told.get("id", ""),
        retry=int(told["retry"]) if "retry" in told else None,
    )


@asynccontextmanager
async def listening(house: House, token: str, query: str = "", *, path: str = "/events", event_id: str | None = None) -> AsyncIterator[Stream]:
    """Open a stream, which has to be granted."""
    reader, writer = await house.connect()
    try:
        more = [("Last-Event-ID", event_id)] if event_id is not None else []
        writer.write(fakes.encode("GET", f"{path}?{query}" if query else path, [*fakes.bearer(token), *more]))
        async with asyncio.timeout(fakes.LIMIT):
            status, fields = await fakes.read_head(reader)
        assert status == 200
        yield Stream(reader, writer, dict(fields))
    finally:
        writer.transport.abort()
