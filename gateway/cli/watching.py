"""``slurm-gateway jobs --watch``: the list of jobs, live.

A stream of events says when to look; the list is what is shown, for it is the truth. Others' jobs may have no events for us, so that a list with
those is also looked at now and then; where there are no events at all, it is looked at ever more seldom while nothing happens.

On a terminal it is a table that is as high and wide as that; elsewhere a line for each job that there is, and then for each change; ``--json``
makes that ``{"at", "change", "previous_state", "job"}``, with ``change`` one of ``there``, ``new``, ``changed`` and ``gone``.
"""

from __future__ import annotations

import argparse
import queue
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from gateway.cli import jobs as listing
from gateway.cli import person, shown, terminal
from gateway.cli.person import PersonsGateway
from gateway.cli.table import document, stamp
from gateway.client.asking import Pause
from gateway.client.cluster import Job
from gateway.client.errors import SIGN_IN_AGAIN, GatewayError, RefusedError, printable
from gateway.client.gateway import Gateway
from gateway.client.news import Event
from gateway.client.patience import may_pass

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

# Seconds: between two looks where events tell of all, or of one's own jobs alone; the first and the longest where there are none.
_ALL_TOLD, _SOME_TOLD, _FIRST, _LONGEST = 60.0, 5.0, 2.0, 30.0
# Between two tries to hear again; a gateway that restarts is gone for a second or two.
_AGAIN, _AGAIN_LONGEST = 1.0, 15.0
_TICK = 1.0
# Between two looks at least, however much is heard in between; and so much is heard at once, before anything else is done.
_APART = 1.0
_AT_ONCE = 1000
_TRANSIENT = frozenset({429, 502, 503, 504})
_NO_EVENTS = frozenset({403, 404, 405, 501})


Heard: TypeAlias = "queue.Queue[Event | Pause | GatewayError | None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What has become of a job: ``what`` is ``there`` (when we began), ``new``, ``changed`` or ``gone``."""

    what: str
    job: Job
    before: str | None = None


class Seen:
    """The jobs as they were last seen (pure)."""

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}
        self._begun = False

    def take(self, jobs: Iterable[Job]) -> list[Change]:
        """Take in a list, and return what has changed, in the list's order."""
        now = {job.id: job for job in jobs}
        before, self.jobs = self.jobs, now
        first, self._begun = not self._begun, True
        return [*self._differences(before, now, first=first), *(Change(what="gone", job=job) for job in before.values() if job.id not in now)]

    @staticmethod
    def _differences(before: dict[int, Job], now: dict[int, Job], *, first: bool) -> Iterator[Change]:
        for job in now.values():
            was = before.get(job.id)
            if was is None:
                yield Change(what="there" if first else "new", job=job)
            elif (was.state, was.flags) != (job.state, job.flags):
                yield Change(what="changed", job=job, before=was.state)


class Ears(threading.Thread):
    """Hears events on a thread and a connection of its own; what it hears, each break, and last why it ended, goes into ``heard``."""

    def __init__(self, gateway: person.PersonsGateway, user: str | None, heard: Heard) -> None:
        super().__init__(daemon=True)
        # Nobody can be asked here: that is the other thread's.
        ca, cluster = gateway.person.site.ca, gateway.cluster
        self._gateway = Gateway(gateway.url, token=gateway.token, ca=ca, cluster=cluster, patience=0.0, on_pause=heard.put)
        self._user = user
        self._heard = heard

    def run(self) -> None:
        """Hear until the stream ends."""
        why: GatewayError | None = None
        try:
            with self._gateway:
                for event in self._gateway.events(user=self._user):
                    self._heard.put(event)
        except GatewayError as error:
            why = error
        self._heard.put(why)


class View(Protocol):
    """Where changes are shown."""

    def show(self, jobs: Sequence[Job], changes: Sequence[Change]) -> None:
        """Show the jobs, of which these have changed."""

    def tick(self) -> None:
        """Show that time goes on."""

    def say(self, text: str) -> None:
        """Say how the connection is; nothing where all is well."""

    def asks(self) -> None:
        """Make room for questions to the person."""


class Lines:
    """A line for each change."""

    def __init__(self, *, json: bool, users: bool) -> None:
        self._json = json
        self._users = users

    def show(self, jobs: Sequence[Job], changes: Sequence[Change]) -> None:
        """Write the changes."""
        del jobs
        for change in changes:
            sys.stdout.write(self._json_line(change) if self._json else self._line(change))
        sys.stdout.flush()

    def tick(self) -> None:
        """Do nothing: nobody sees time go by."""

    def say(self, text: str) -> None:
        """Say it on standard error."""
        if text:
            terminal.say(text)

    def asks(self) -> None:
        """Do nothing: there is room."""

    def _line(self, change: Change) -> str:
        job = change.job
        state = "gone" if change.what == "gone" else "+".join((job.state, *job.flags))
        whose = [job.user or "-"] if self._users else []
        words = [str(stamp(time.time())), shown.label(job), state, job.name or "-", *whose, *filter(None, [shown.where_or_why(job)])]
        return "  ".join(map(printable, words)) + "\n"

    @staticmethod
    def _json_line(change: Change) -> str:
        tree = {"at": stamp(time.time()), "change": change.what, "previous_state": change.before, "job": shown.document(change.job)}
        return document(tree)


class Screen:
    """A table that fills the terminal, as far as there is something to show."""

    def __init__(self, *, users: bool) -> None:
        from rich.live import Live  # noqa: PLC0415 - the first request has gone out by now

        from gateway.cli import tables  # noqa: PLC0415 - likewise

        self._users = users
        self._jobs: Sequence[Job] = ()
        self._trouble = ""
        self._console = tables.console(sys.stdout)
        self._live: Live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")

    def show(self, jobs: Sequence[Job], changes: Sequence[Change]) -> None:
        """Show the jobs."""
        del changes
        self._jobs = jobs
        self.tick()

    def tick(self) -> None:
        """Draw everything anew: the terminal may have another size, and times go on."""
        if not self._live.is_started:
            self._live.start()
        self._live.update(self._drawn(), refresh=True)

    def say(self, text: str) -> None:
        """Say it below the table, which is where people look."""
        self._trouble = text
        self.tick()

    def asks(self) -> None:
        """Leave the terminal as it is after a table that has ended."""
        self.close()

    def close(self) -> None:
        """Stop drawing; what was drawn last stays."""
        if self._live.is_started:
            self._live.stop()

    def _drawn(self) -> Group:
        from rich.console import Group  # noqa: PLC0415 - see above
        from rich.text import Text  # noqa: PLC0415 - see above

        from gateway.cli import tables  # noqa: PLC0415 - see above

        width, height = self._console.size
        rows, left_out = chosen(self._jobs, height - 3)  # the headings, the last line, and the one that the cursor stands on
        now = time.time()
        table = tables.fitted(shown.columns(users=self._users), [shown.row(job, now, users=self._users) for job in rows], width)
        said = self._trouble or f"{len(self._jobs) or 'No'} job{'' if len(self._jobs) == 1 else 's'}{f', {left_out} not shown' if left_out else ''}"
        last = Text(printable(f"{said} · Ctrl-C ends"), style="yellow" if self._trouble else "dim", no_wrap=True, overflow="ellipsis")
        return Group(table, last) if self._jobs else Group(last)


def chosen(jobs: Sequence[Job], most: int) -> tuple[list[Job], int]:
    """Return the jobs that there is room for, in their order, and how many are left out: what has ended longest ago goes first, then what is last."""
    most = max(most, 1)
    live = [job for job in jobs if not job.is_over]
    over = sorted((job for job in jobs if job.is_over), key=lambda job: (job.ended_at or 0.0, job.id))
    kept = {job.id for job in [*over[max(len(over) - max(most - len(live), 0), 0) :], *live[:most]]} if len(jobs) > most else {job.id for job in jobs}
    return [job for job in jobs if job.id in kept], len(jobs) - len(kept)


class Watch:
    """Looks when there is something to see, and shows what it saw."""

    def __init__(self, arguments: argparse.Namespace, gateway: PersonsGateway, view: View) -> None:
        self._arguments = arguments
        self._gateway = gateway
        self._view = view
        self._seen = Seen()
        self._heard: Heard = queue.Queue(_AT_ONCE)
        self._others = listing.whose_is_shown(arguments)
        self._between = _SOME_TOLD if self._others else _ALL_TOLD
        self._deaf = False
        self._pause = _AGAIN
        self._looked_at = float("-inf")
        self._look_at = self._listen_at = float("inf")

    def run(self) -> None:
        """Go on until an interrupt; raise GatewayError for what does not pass."""
        self._listen()
        while True:
            now = time.monotonic()
            if now >= self._listen_at:
                self._listen()
            if now >= self._look_at:
                self._look()
            self._hear(min(_TICK, max(min(self._look_at, self._listen_at) - time.monotonic(), 0.0)))
            self._view.tick()

    def _listen(self) -> None:
        """Begin to hear; the list is read once ``ready`` has come, so that nothing is missed between the two."""
        self._listen_at = float("inf")
        whose = None if self._arguments.all else self._arguments.user or self._gateway.username
        Ears(self._gateway, whose, self._heard).start()

    def _hear(self, seconds: float) -> None:
        """Take in all that was heard, waiting so long for the first."""
        try:
            heard = self._heard.get(timeout=seconds)
            for _ in range(_AT_ONCE):
                self._took(heard)
                heard = self._heard.get_nowait()
            self._took(heard)
        except queue.Empty:
            return

    def _took(self, heard: Event | Pause | GatewayError | None) -> None:
        if isinstance(heard, Event):
            if heard.kind == "ready":
                self._pause = _AGAIN
                self._view.say("")
            elif heard.kind == "trouble":
                self._view.say("Slurm does not answer the gateway just now; this is how it was.")
            elif heard.kind == "recovered":
                self._view.say("")
            if heard.kind in {"ready", "reset", "job", "gone", "recovered"}:
                self._look_at = max(time.monotonic(), self._looked_at + _APART)
        elif isinstance(heard, Pause):
            self._view.say(f"{heard.because}; trying again in {heard.seconds:.0f} s.")
        else:
            self._lost(heard)

    def _lost(self, why: GatewayError | None) -> None:
        """Do what helps after the end of a stream: sign in again, come back, or do without."""
        if isinstance(why, RefusedError) and why.reason in SIGN_IN_AGAIN:
            self._view.asks()
            self._gateway.prove(why)
            self._listen_at = time.monotonic()
        elif why is None or _passes(why):
            self._view.say(f"{'The stream of events ended' if why is None else why}; trying again in {self._pause:.0f} s.")
            self._listen_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _AGAIN_LONGEST)
        elif why.status in _NO_EVENTS:
            self._deaf, self._between = True, _FIRST
            self._look_at = time.monotonic()
        else:
            raise why

    def _look(self) -> None:
        """Read the list, and show what has changed."""
        wanted, self._looked_at = self._arguments, time.monotonic()
        try:
            jobs = self._gateway.jobs(user=wanted.user, everybody=wanted.all, states=wanted.state, partitions=wanted.partition)
        except GatewayError as error:
            if not _passes(error):
                raise
            self._look_at = time.monotonic() + self._pause
            self._view.say(f"{error}; trying again in {self._pause:.0f} s.")
            self._pause = min(2 * self._pause, _AGAIN_LONGEST)
            return
        changes = self._seen.take(shown.sort(jobs))
        if self._deaf:
            self._between = _FIRST if changes else min(2 * self._between, _LONGEST)
        self._look_at = time.monotonic() + self._between
        self._view.show(list(self._seen.jobs.values()), changes)


def run(arguments: argparse.Namespace) -> int:
    """Watch jobs until Ctrl-C, which is how this ends, and no failure."""
    users = listing.whose_is_shown(arguments)
    try:
        # What passes is waited for here, where it can be said.
        with person.gateway_of(arguments, patience=0.0) as gateway:
            gateway.username  # noqa: B018 - asks who we are, so that a session that has ended is found before anything is drawn
            person.renew_if_short(gateway)
            if arguments.json or not _is_screen():
                Watch(arguments, gateway, Lines(json=arguments.json, users=users)).run()
            screen = Screen(users=users)
            try:
                Watch(arguments, gateway, screen).run()
            finally:
                screen.close()
    except KeyboardInterrupt:
        return 0
    return 0


def _is_screen() -> bool:
    return terminal.draws(sys.stdout)


def _passes(error: GatewayError) -> bool:
    """Tell whether the same may go well soon."""
    return may_pass(error) or (isinstance(error, RefusedError) and error.status in _TRANSIENT)
