"""Work that would hold up the event loop, done in one process beside it: started with the first piece, replaced when it fails or grows."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

import structlog

from gateway.config import Views
from gateway.errors import InternalError, Refusal, TooManyCalls, Unavailable
from gateway.proxy.fairness import Turns
from gateway.proxy.workbench import HEADER, Outcome

logger = structlog.get_logger()

Given = TypeVarTuple("Given")
Made = TypeVar("Made")

_RETRY_AFTER = "2"
# How long a process may take to end by itself when it is not needed any more.
_LEAVE_TIMEOUT = 1.0
# An outcome is hardly larger than the list that it was made of.
_MORE_THAN_THE_LIST = 1024 * 1024
# Large pieces of memory go back to the system as soon as they are free, and threads share one heap (mallopt(3)).
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(128 * 1024), "MALLOC_ARENA_MAX": "1"}
_PROGRAM = "from gateway.proxy.workbench import main; main()"


class WorkTooLong(Unavailable):
    """A piece of work took longer than its limit."""

    reason = "view_timeout"
    title = "This takes too long"
    default_detail = "Making this of the list took longer than the limit. It was given up, and nothing was changed."
    default_hint = "Ask for fewer fields, or for the whole list without a view."


class WorkFailed(Unavailable):
    """The process in which a piece of work was done has died of it, or could not be started."""

    reason = "view_failed"
    title = "This could not be made"
    default_detail = "The process that makes views of lists has failed. Nothing was changed."
    default_hint = "Try once more; if it stays so, ask for the whole list without a view, and tell your administrators."


class Workshop:
    """One process that does one piece of work after the other, as its ``settings`` say; all of it comes from one event loop.

    A process that dies, or is killed for taking too long, takes with it what it was doing and nothing else.
    """

    def __init__(self, settings: Views) -> None:
        self._settings = settings
        self._bench: _Bench | None = None
        self._turn = _Turn(settings)
        self._calls: set[asyncio.Task[Outcome]] = set()
        self._burials: set[asyncio.Task[None]] = set()
        self._closed = False

    async def run(self, work: Callable[[*Given], Made], *given: *Given, user: str = "") -> Made:
        """Return what ``work``, a function at the top of a module, returns when it is given ``given``; raise the Refusal that it raises.

        Those who wait go in turn from ``user`` to user; what is for all of them is for none.
        Both travel pickled, and so does the result, which is made of values of ours and the language's. Whoever is cancelled while they wait
        gives up their place; what has begun is done to its end. Raises TooManyCalls, WorkTooLong, WorkFailed, and InternalError when ``work``
        raises anything but a Refusal.
        """
        if self._closed:
            raise Unavailable("workshop: closed")
        ticket = self._turn.take(user)
        begun = asyncio.Event()
        call = asyncio.create_task(self._serve(pickle.dumps((work, given), protocol=pickle.HIGHEST_PROTOCOL), begun, ticket))
        self._calls.add(call)
        call.add_done_callback(self._done)
        # Not within the task: one that is cancelled before its first step would never give the turn back.
        call.add_done_callback(lambda _: self._turn.give_back(ticket))
        try:
            outcome = await asyncio.shield(call)
        except asyncio.CancelledError:
            if not begun.is_set():
                call.cancel()
                self._calls.discard(call)
                self._turn.give_back(ticket)
            raise
        if outcome.refusal is not None:
            raise outcome.refusal
        if outcome.failure is not None:
            raise InternalError(f"workshop: {getattr(work, '__qualname__', 'the work')} raised {outcome.failure}")
        result: Made = outcome.result
        return result

    async def close(self) -> None:
        """End the process; whoever waits is refused."""
        self._closed = True
        if self._bench is not None:
            self._bench.kill()
        while self._calls or self._burials:
            await asyncio.wait((*self._calls, *self._burials))
        if self._bench is not None:
            await self._bench.bury()
            self._bench = None

    def _done(self, call: asyncio.Task[Outcome]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # whoever waited for it may have gone

    async def _serve(self, message: bytes, begun: asyncio.Event, ticket: _Ticket) -> Outcome:
        await ticket.called
        begun.set()
        return await self._work(message)

    async def _work(self, message: bytes) -> Outcome:
        if self._closed:
            raise Unavailable("workshop: closed")
        try:
            async with asyncio.timeout(self._settings.timeout):
                outcome = await self._exchange(message)
        except TimeoutError as error:
            self._replace("timeout", kill=True)
            raise WorkTooLong("workshop: the time is over") from error
        except Exception as error:
            # Whatever it is: what the process says from now on may belong to anything.
            self._replace("failed", kill=True)
            raise WorkFailed(f"workshop: {type(error).__name__}: {error}") from error
        except BaseException:
            self._replace("cancelled", kill=True)
            raise
        if outcome.held > self._settings.memory:
            self._replace("memory", kill=False)
        return outcome

    async def _exchange(self, message: bytes) -> Outcome:
        if self._bench is None:
            self._bench = await _started()
        return await self._bench.exchange(message, self._settings.max_list + _MORE_THAN_THE_LIST)

    def _replace(self, why: str, *, kill: bool) -> None:
        """Let the process go; the next piece of work starts another one."""
        bench, self._bench = self._bench, None
        if bench is None:
            return
        if kill:
            bench.kill()
        burial = asyncio.create_task(_buried(bench, why))
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)


@dataclass(slots=True, eq=False)
class _Ticket:
    """A place in the queue; ``called`` is done when its turn has come, and ``is_back`` when it has been given back."""

    user: str
    called: asyncio.Future[None]
    is_back: bool = False


class _Turn:
    """One piece of work at a time, and those that wait by turns of their users."""

    def __init__(self, settings: Views) -> None:
        self._turns: Turns[_Ticket] = Turns(per_user=1, waiting_per_user=settings.waiting_per_user, waiting=settings.waiting)
        self.busy = False

    def take(self, user: str) -> _Ticket:
        """Return a ticket; raise TooManyCalls when too many wait."""
        ticket = _Ticket(user, asyncio.get_running_loop().create_future())
        if not self.busy and self._turns.enter(user):
            self.busy = True
            ticket.called.set_result(None)
        elif full := self._turns.queue(user, ticket):
            raise TooManyCalls(f"workshop: the queue is full ({full.value})", headers=(("Retry-After", _RETRY_AFTER),))
        return ticket

    def give_back(self, ticket: _Ticket) -> None:
        """Take a ticket back: the next one's turn has come, or this one waits no more."""
        if ticket.is_back:
            return
        ticket.is_back = True
        if ticket.called.cancelled() or not ticket.called.done():
            self._turns.withdraw(ticket.user, ticket)
            return
        self._turns.leave(ticket.user)
        self.busy = False
        while not self.busy and (following := self._turns.next()) is not None:
            if following.called.done():  # cancelled, and about to withdraw
                self._turns.leave(following.user)
            else:
                self.busy = True
                following.called.set_result(None)


async def _started() -> _Bench:
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = await asyncio.to_thread(_launched, theirs)
    except BaseException:
        ours.close()
        raise
    ours.setblocking(False)
    return _Bench(process, ours, asyncio.get_running_loop())


def _launched(theirs: socket.socket) -> subprocess.Popen[bytes]:
    """Start a process that has a socket, the code that this one has, and nothing else of it."""
    return subprocess.Popen(
        [sys.executable, "-P", "-s", "-c", _PROGRAM],
        stdin=theirs.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"LANG": "C.UTF-8", "PYTHONPATH": os.pathsep.join(str(Path(place).absolute()) for place in sys.path if place), **_MEMORY},
        start_new_session=True,
    )


async def _buried(bench: _Bench, why: str) -> None:
    logger.info("workshop_replaced", why=why, pid=bench.pid, status=await bench.bury())


class _Bench:
    """One process, and the socket to it."""

    __slots__ = ("_loop", "_process", "_socket")

    def __init__(self, process: subprocess.Popen[bytes], ours: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._process = process
        self._socket = ours
        self._loop = loop

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    async def exchange(self, message: bytes, largest: int) -> Outcome:
        """Have a piece of work done; raise EOFError, OSError or UnpicklingError when no outcome comes of it."""
        await self._loop.sock_sendall(self._socket, HEADER.pack(len(message)))
        await self._loop.sock_sendall(self._socket, message)
        size: int = HEADER.unpack(await self._receive(HEADER.size))[0]
        if size > largest:
            raise EOFError(f"an outcome of {size} bytes")
        return _Outcomes.read(await self._receive(size))

    async def _receive(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = await self._loop.sock_recv_into(self._socket, view)
            if count == 0:
                raise EOFError("the process has ended")
            view = view[count:]
        return data

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    async def bury(self) -> int:
        """Close the socket, upon which the process ends, and return its status; kill it when it does not."""
        self._socket.close()
        return await asyncio.to_thread(self._wait)

    def _wait(self) -> int:
        try:
            return self._process.wait(_LEAVE_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class _Source:
    """Bytes as a file that gives them out without a copy of its own: of many megabytes each copy holds up the loop."""

    __slots__ = ("_left",)

    def __init__(self, data: bytearray) -> None:
        self._left = memoryview(data)

    def _take(self, count: int) -> memoryview:
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def read(self, count: int) -> bytes:
        """Return up to ``count`` bytes."""
        return bytes(self._take(count))

    def readinto(self, buffer: bytearray) -> int:
        """Fill ``buffer`` as far as there is something, and return how far that is."""
        taken = self._take(len(buffer))
        buffer[: len(taken)] = taken
        return len(taken)

    def readline(self) -> bytes:
        """Return nothing: the protocols that have lines are older than ours."""
        return b""


class _Outcomes(pickle.Unpickler):
    """Reads an outcome, and nothing that could do anything: what takes a stranger's bytes apart may have been taken over by them."""

    @staticmethod
    def read(data: bytearray) -> Outcome:
        """Return the outcome in ``data``; raise UnpicklingError, or whatever else unpickling raises, when it is none."""
        outcome = _Outcomes(_Source(data)).load()
        if not isinstance(outcome, Outcome):
            raise pickle.UnpicklingError("no outcome")
        return outcome

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - as the standard library has it
        """Return a class whose objects are values, of the rooms in which such work is written."""
        if module == Outcome.__module__ and name == Outcome.__name__:
            return Outcome
        if module == "gateway.errors" or module.startswith("gateway.slurm."):
            found = super().find_class(module, name)
            if isinstance(found, type) and (dataclasses.is_dataclass(found) or issubclass(found, (tuple, enum.Enum, Refusal))):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no value")
