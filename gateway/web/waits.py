"""Reads of a job that wait until something has become of it: answered as a plain GET is, when it happens or when the time is over."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from aiohttp import web

from gateway.proxy.feed import Feed
from gateway.proxy.recency import Recency
from gateway.slurm.news import States
from gateway.slurm.waiting import Verdict, Wait, verdict, wait_of
from gateway.web.call import Call
from gateway.web.company import Company, Stopping, View
from gateway.web.eyes import Guest, Sight
from gateway.web.reads import Reads

_WAITED = "X-Gateway-Waited"
# Credentials that come with one request are good for a minute, and the answer needs a moment of that.
_SPARE = 5.0
# So many of one view have their own job looked at first, before the list of all jobs is fetched for them.
_ASK_FIRST = 4


class Waits:
    """Answers reads, and those that wait in their time: however many wait, the list of jobs is looked at once for all."""

    def __init__(self, *, longest: float, company: Company, reads: Reads, recency: Recency, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest = longest
        self._company = company
        self._reads = reads
        self._recency = recency
        self._clock = clock
        self._asking: Counter[View] = Counter()

    async def answer(self, call: Call) -> web.StreamResponse:
        """Answer one read, at once unless it asks to wait; raise what a plain one raises, BadRequest, and what ends a wait."""
        wait = wait_of(call.path, call.query, self._longest)
        return await (self._reads.answer(call) if wait is None else self._in_time(call, wait))

    async def _in_time(self, call: Call, wait: Wait) -> web.StreamResponse:
        """Answer one that waits; raise TooManyCalls, and the refusal of whoever may no longer ask."""
        guest = Guest(context=call.context, identity=call.identity, cluster=call.cluster, judged_path=call.path)
        with self._company.admit(guest, "wait"):
            one = _One(replace(call, query=wait.query), wait, guest, after=self._recency.last(call.cluster, call.username))
            # How long it takes says nothing about how quickly Slurm answers.
            call.context.kind = "events"
            await self._await(one)
            if guest.ended is not None and not isinstance(guest.ended, Stopping):
                raise guest.ended
            async with self._company.turns(guest):
                return await self._fetch(one)

    async def _fetch(self, one: _One) -> web.StreamResponse:
        """Give the answer of a plain GET, with a word on why it comes now."""
        call, said = one.call, one.end or "timeout"
        before = call.before_stream

        async def before_stream(response: web.StreamResponse) -> None:
            response.headers[_WAITED] = said
            await before(response)

        now = replace(call.context, now=time.time())
        call = replace(call, context=now, identity=one.guest.identity, before_stream=before_stream)
        response = await self._reads.answer(call, newer_than=one.seen_at)
        if one.end is not None:
            # Whoever was told what a job came to is not shown, in the next list, what it was before.
            self._recency.knows(call.cluster, call.username, one.seen_at or one.after)
        if not response.prepared:
            response.headers[_WAITED] = said
        return response

    async def _await(self, one: _One) -> None:
        """Return when what is waited for has happened, or will not, or the time is over."""
        guest, job_id = one.guest, one.wait.job_id
        deadline = self._deadline(one)
        sight = self._company.sight(guest.cluster)
        view = self._company.view(guest, await sight.jobs_path(guest.context, guest.identity))
        if not self._company.is_listened_to(view) and self._asking[view] < _ASK_FIRST:
            # A job that has finished is answered at once, and no list of all jobs is fetched for it.
            self._asking[view] += 1
            try:
                one.judge(await self._states_now(sight, one), seen_at=0.0)
            finally:
                self._asking[view] -= 1
                self._asking += Counter()  # forgets those that are zero
        if one.end is None:
            with self._company.listening(guest, view) as feed:
                feed.ask(job_id, one.after)
                try:
                    await self._follow(feed, sight, one, deadline)
                finally:
                    feed.ask_no_more(job_id)

    async def _follow(self, feed: Feed, sight: Sight, one: _One, deadline: float) -> None:
        """Follow the job until there is an end."""
        while one.guest.ended is None and (left := deadline - self._clock()) > 0:
            states = feed.states_of(one.wait.job_id) if feed.is_live and feed.began > one.after else None
            if states is not None:
                if not states and not one.is_known:
                    # It may have come since the list was made: then it is in the next one.
                    states = await self._states_now(sight, one)
                    feed.want(one.after)
                one.judge(states, seen_at=feed.ended)
                if one.end is not None:
                    return
            await one.guest.sleep(left)

    async def _states_now(self, sight: Sight, one: _One) -> States:
        """Return what a GET of the job says of it now, and look at no list from before; nothing when it says that there is none."""
        async with self._company.turns(one.guest):
            found = await sight.states(sight.glance(one.call.context, one.guest.identity, one.call.path), one.wait.job_id, one.after)
        one.after = self._clock()
        return found

    def _deadline(self, one: _One) -> float:
        seconds: float = one.wait.seconds
        if one.guest.identity.kind == "one_shot":
            seconds = min(seconds, one.guest.identity.expires_at - time.time() - _SPARE)
        return self._clock() + seconds


class _One:
    """One wait under way. Looks that began before ``after`` show nothing to it: that is when the caller last changed something, or looked."""

    __slots__ = ("after", "before", "call", "end", "guest", "seen_at", "wait")

    def __init__(self, call: Call, wait: Wait, guest: Guest, *, after: float) -> None:
        self.call = call
        self.wait = wait
        self.guest = guest
        self.after = after
        self.before: States = ()
        self.end: Verdict | None = None
        # The answer has to be asked for after this.
        self.seen_at = 0.0

    @property
    def is_known(self) -> bool:
        """Whether the job has been seen."""
        return bool(self.before)

    def judge(self, states: States, *, seen_at: float) -> None:
        """Note what has become of the wait by what was seen of the job; one that is not there any more is over."""
        self.end = verdict(self.wait.until, states, self.before) if states else "over"
        self.before = self.before or states
        if self.end is not None:
            self.seen_at = seen_at
