"""Who wakes a queue: one stream of events for all its jobs, and the folder's own news. Each has a thread, and says in one inbox what happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from gateway.client.cluster import ENDED
from gateway.client.errors import SIGN_IN_AGAIN, GatewayError
from gateway.client.news import Event
from gateway.client.queue.folder import is_job_file

# Between two tries to listen, in seconds.
_FIRST, _LONGEST = 1.0, 30.0
# How long a thread is waited for that was told to end, in seconds.
_PATIENCE = 2.0
# How long a look of watchfiles lasts, in milliseconds, before it sees whether it is still wanted.
_TURN = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderChanged:
    """Something has happened to a job file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChanged:
    """A job has ended, or is gone."""

    job_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """The stream of events begins, and what happened before is not in it; or it is over."""

    flow: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Somebody wants the queue to stop."""


News = FolderChanged | JobChanged | Listening | Stop


class Inbox:
    """What has happened; to put something in is safe from any thread, and from the handler of a signal."""

    def __init__(self) -> None:
        self._news: SimpleQueue[News] = SimpleQueue()

    def put(self, news: News) -> None:
        """Say that something has happened."""
        self._news.put(news)

    def wait(self, seconds: float) -> list[News]:
        """Return what has happened, after at most so many seconds."""
        found: list[News] = []
        try:
            found.append(self._news.get(timeout=seconds) if seconds > 0 else self._news.get_nowait())
            while True:
                found.append(self._news.get_nowait())
        except Empty:
            return found


class Listener(Protocol):
    """A way to the gateway of this thread's own."""

    def events(self, *, user: str | None = None) -> Iterator[Event]:
        """Yield what happens to jobs."""
        ...

    def hang_up(self) -> None:
        """End the stream, from another thread."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class JobWatch:
    """Listens to what happens to somebody's jobs, and comes back when the stream breaks; ``connect`` gives a listener with the token of now."""

    def __init__(self, inbox: Inbox, connect: Callable[[], Listener], username: str) -> None:
        self._inbox = inbox
        self._connect = connect
        self._username = username
        self._over = threading.Event()
        self._listener: Listener | None = None
        self._thread = threading.Thread(target=self._run, name="queue-events", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End; the thread may sleep for a while before it does, and does no harm meanwhile."""
        self._over.set()
        if self._listener is not None:
            self._listener.hang_up()
        self._thread.join(timeout=_PATIENCE)

    def _run(self) -> None:
        pause = _FIRST
        while not self._over.is_set():
            try:
                if self._listen():
                    pause = _FIRST
            except GatewayError as error:
                if not _may_come(error):
                    return
            self._over.wait(pause)
            pause = min(2 * pause, _LONGEST)

    def _listen(self) -> bool:
        """Pass on one stream to its end; return whether anything came of it."""
        listener, flows = self._connect(), False
        self._listener = listener
        try:
            for event in listener.events(user=self._username):
                if self._over.is_set():
                    break
                flows = flows or event.kind == "ready"
                self._pass_on(event)
        finally:
            listener.close()
            if flows:
                self._inbox.put(Listening(flow=False))
        return flows

    def _pass_on(self, event: Event) -> None:
        if event.kind in {"ready", "reset"}:
            self._inbox.put(Listening(flow=True))
        elif event.kind == "gone" or (event.kind == "job" and str(event.data.get("job_state")) in ENDED):
            for name in ("job_id", "array_job_id"):
                job_id = event.data.get(name)
                if isinstance(job_id, int):
                    self._inbox.put(JobChanged(job_id=job_id))


def _may_come(error: GatewayError) -> bool:
    """Tell whether to try again: not where there are no events, or they are not for us; a session that has ended will be another one's."""
    status = error.status or 0
    return status not in range(400, 500) or error.reason in SIGN_IN_AGAIN or status in {408, 425, 429}


class FolderWatch:
    """Says when something happens to the job files of a folder; where that cannot be known it is silent, so the folder is looked at anyway."""

    def __init__(self, inbox: Inbox, folder: Path) -> None:
        self._inbox = inbox
        self._folder = folder
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="queue-folder", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._over.set()
        self._thread.join(timeout=_PATIENCE)

    def _run(self) -> None:
        try:
            import watchfiles  # noqa: PLC0415 - large, and wanted only when the first request has gone out
        except ImportError:
            return
        try:
            turns = watchfiles.watch(
                self._folder,
                watch_filter=lambda _, path: is_job_file(Path(path).name),
                debounce=200,
                step=50,
                stop_event=self._over,
                rust_timeout=_TURN,
                raise_interrupt=False,
                recursive=False,
            )
            for _ in turns:
                self._inbox.put(FolderChanged())
        except (OSError, RuntimeError, UnicodeError):
            return  # no inotify here, no watches left, or a name that is no UTF-8
