"""Everybody who listens to a worker: how many there may be, whose they are, and whether they may still."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from gateway.config import Events as Settings
from gateway.errors import InternalError, Refusal, TooManyCalls, Unavailable
from gateway.observe.metrics import Metrics
from gateway.policy.route import Route
from gateway.proxy.feed import Feed, Feeds
from gateway.web.authority import Authority
from gateway.web.doorman import Doorman
from gateway.web.eyes import Guest, Sight
from gateway.web.reads import Reads

logger = structlog.get_logger()

# How often everybody is looked at again. What the sessions know is at most a second old (sessions.cache).
_LOOK_AGAIN = 1.0
_RETRY_AFTER = "10"
# Answers of one person's waits that are fetched at once.
_TURNS = 4


class Stopping(Unavailable):
    """The gateway is about to stop, so that what lasts ends now."""

    reason = "stopping"
    title = "The gateway stops"
    default_detail = "The gateway is being restarted or stopped."
    default_hint = "Come back in a moment; Last-Event-ID tells where you were."


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What somebody listens to: ``owner`` is empty where everybody sees the same, and else whose eyes it is seen with."""

    cluster: str
    owner: str


class Company:
    """Lets people in who listen, and sends those away who may no longer."""

    def __init__(
        self,
        *,
        settings: Settings,
        doorman: Doorman,
        authority: Authority,
        sights: Mapping[str, Sight],
        reads: Reads,
        feeds: Feeds,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._doorman = doorman
        self._authority = authority
        self._sights = sights
        self._reads = reads
        self._feeds = feeds
        self._metrics = metrics
        self._guests: dict[Guest, None] = {}
        self._of: Counter[str] = Counter()
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._looking: asyncio.Task[None] | None = None
        self._stopping = False

    def __len__(self) -> int:
        return len(self._guests)

    @property
    def clusters(self) -> Container[str]:
        """The clusters that can be listened to."""
        return self._sights

    def sight(self, cluster: str) -> Sight:
        """Return what looks at a cluster."""
        return self._sights[cluster]

    def view(self, guest: Guest, jobs_path: str) -> View:
        """Return what ``guest`` may see."""
        return View(cluster=guest.cluster, owner="" if self._reads.looks_alike(guest.cluster, jobs_path) else guest.identity.username)

    def turns(self, guest: Guest) -> asyncio.Semaphore:
        """Return what keeps the calls of one person's waits from all being made at once."""
        return self._turns[guest.identity.username]

    def is_listened_to(self, view: View) -> bool:
        """Tell whether the jobs are being looked at anyway."""
        return self._feeds.find(view) is not None

    @contextlib.contextmanager
    def admit(self, guest: Guest, kind: str) -> Iterator[None]:
        """Have ``guest`` in for as long as the block lasts; raise TooManyCalls, and Stopping."""
        name = guest.identity.username
        self._require_room(name)
        self._guests[guest] = None
        self._of[name] += 1
        self._turns.setdefault(name, asyncio.Semaphore(_TURNS))
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_again_and_again())
        listeners = self._metrics.listeners.labels(kind)
        listeners.inc()
        try:
            yield
        finally:
            listeners.dec()
            del self._guests[guest]
            self._of[name] -= 1
            if not self._of[name]:
                del self._of[name], self._turns[name]

    @contextlib.contextmanager
    def listening(self, guest: Guest, view: View) -> Iterator[Feed]:
        """Give ``guest`` the feed of a view for as long as the block lasts."""
        feed = self._feeds.join(view, guest, lambda: self._sights[view.cluster].eyes(view.owner))
        try:
            yield feed
        finally:
            self._feeds.leave(view, guest)

    def stop(self) -> None:
        """Have everybody leave, and let nobody in any more."""
        self._stopping = True
        for guest in self._guests:
            guest.end(Stopping("stopping"))

    def close(self) -> None:
        """End what runs beside the requests."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _require_room(self, name: str) -> None:
        if self._stopping:
            raise Stopping("stopping", headers=(("Retry-After", "1"),))
        full = len(self._guests) >= self._settings.listeners
        if full or self._of[name] >= self._settings.listeners_per_user:
            raise TooManyCalls(
                "listeners" if full else "listeners_per_user",
                detail=f"Too many streams of events and waiting reads are open{', of all people together' if full else ''}.",
                hint="One stream tells of all your jobs: end those that you do not need. Or come back after the seconds that Retry-After names.",
                headers=(("Retry-After", _RETRY_AFTER),),
            )

    # Looking at everybody again.

    async def _look_again_and_again(self) -> None:
        """Look at everybody every second, once for all that came with the same session for the same thing."""
        while True:
            await asyncio.sleep(_LOOK_AGAIN)
            alike: dict[tuple[str | None, str, str, str], list[Guest]] = {}
            for guest in self._guests:
                # Credentials that came with a request are good for that request, and for no longer than it may take.
                if guest.identity.kind != "one_shot" and guest.ended is None:
                    alike.setdefault((guest.identity.session_id, guest.context.address, guest.cluster, guest.judged_path), []).append(guest)
            for group in alike.values():
                await self._look_again(group)

    async def _look_again(self, group: Sequence[Guest]) -> None:
        first = group[0]
        now = time.time()
        try:
            identity = await self._doorman.look_again(first.context, now)
            self._authority.permit(replace(first.context, now=now), identity, Route(first.cluster, first.judged_path))
        except Refusal as refusal:
            self._send_away(group, refusal)
        except Exception:
            logger.exception("look_again_failed")
            self._send_away(group, InternalError("look_again: unexpected exception"))
        else:
            for guest in group:
                guest.identity = identity

    def _send_away(self, group: Sequence[Guest], why: Refusal) -> None:
        logger.info("listeners_sent_away", user=group[0].identity.username, count=len(group), reason=why.reason, cause=why.cause)
        for guest in group:
            guest.end(why)
