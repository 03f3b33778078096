"""What people share: never older than it may be, never somebody else's, never more bytes than there may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import Reads
from gateway.errors import UpstreamBroken
from gateway.proxy.packing import Packer, TooLargeToKeep, digest_of, plain
from gateway.proxy.shared import Found, Fresh, Kept, Key, Other, Rendered, SharedReads, Unchanged

Outcome = Fresh | Unchanged | Other[str]


def key(path: str = "/jobs", owner: str = "alice") -> Key:
    return Key(cluster="main", owner=owner, path=path, query="", accept=None)


def fresh(text: str, since: int | None = None) -> Fresh:
    data = text.encode()
    return Fresh(body=plain(data), etag=f'W/"{digest_of(data)}"', content_type="application/json", since=since)


@dataclass
class Slurm:
    """A slurmrestd whose calls end when the test says so; ``asked`` has what was kept when each began."""

    shared: SharedReads[str]
    now: float = 100.0
    calls: list[asyncio.Future[Outcome]] = field(default_factory=list)
    asked: list[Kept | None] = field(default_factory=list)

    async def fetch(self, kept: Kept | None, packer: Packer) -> Outcome:
        self.asked.append(kept)
        call: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.calls.append(call)
        outcome = await call
        if isinstance(outcome, Fresh):
            packer._grow(len(outcome.body.data))
        return outcome

    def read(self, what: Key | None = None, *, reader: str = "alice", newest_change: float = 0.0, forced: bool = False) -> asyncio.Task[Found[str]]:
        return asyncio.create_task(self.shared.read(what or key(), self.fetch, reader=reader, newest_change=newest_change, forced=forced))


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


def text(found: Found[str]) -> str:
    assert found.kept is not None
    return found.kept.whole.body.data.decode()


@pytest.fixture
async def slurm() -> AsyncIterator[Slurm]:
    made: list[Slurm] = []
    shared: SharedReads[str] = SharedReads(Reads.model_validate({"memory": "10KiB", "max_answer": "4KiB"}), clock=lambda: made[0].now)
    made.append(Slurm(shared))
    yield made[0]
    shared.close()


async def landed(slurm: Slurm, outcome: Outcome, what: Key | None = None) -> Found[str]:
    read = slurm.read(what)
    await settle()
    slurm.calls[-1].set_result(outcome)
    return await read


async def test_those_who_ask_the_same_at_once_share_one_call(slurm: Slurm) -> None:
    reads = [slurm.read() for _ in range(50)]
    await settle()
    slurm.calls[0].set_result(fresh("one"))
    found = await asyncio.gather(*reads)
    assert ([text(one) for one in found], len(slurm.calls)) == (["one"] * 50, 1)
    assert [one.how for one in found] == ["miss"] + ["joined"] * 49


async def test_a_kept_answer_is_given_until_it_is_too_old(slurm: Slurm) -> None:
    await landed(slurm, fresh("one"))
    slurm.now += 0.9
    found = await slurm.read()
    assert (found.how, text(found), round(found.age, 3)) == ("hit", "one", 0.9)
    slurm.now += 0.2
    assert (await landed(slurm, fresh("two"))).how == "miss"


async def test_an_answer_that_still_holds_is_young_again(slurm: Slurm) -> None:
    await landed(slurm, fresh("one", since=7))
    slurm.now += 5
    found = await landed(slurm, Unchanged())
    assert (found.how, text(found), found.age) == ("revalidated", "one", 0.0)
    assert slurm.asked[1] is found.kept
    slurm.now += 0.9
    assert (await slurm.read()).how == "hit"


async def test_no_answer_is_from_a_call_that_began_before_the_readers_own_last_change(slurm: Slurm) -> None:
    await landed(slurm, fresh("one"))
    changed = slurm.now
    slurm.now += 0.1
    read = slurm.read(newest_change=changed)
    await settle()
    slurm.calls[-1].set_result(fresh("two"))
    assert text(await read) == "two"


async def test_a_call_under_way_that_began_before_the_change_is_not_joined(slurm: Slurm) -> None:
    early = slurm.read()
    await settle()
    slurm.now += 1
    late = slurm.read(newest_change=slurm.now - 0.5)
    await settle()
    slurm.calls[1].set_result(fresh("new"))
    assert text(await late) == "new"
    slurm.calls[0].set_result(fresh("old"))
    assert text(await early) == "old"
    # What came late began earlier: it does not take the place of the newer one.
    assert text(await slurm.read()) == "new"


async def test_another_readers_change_is_no_reason_to_ask_again(slurm: Slurm) -> None:
    await landed(slurm, fresh("one"), key(owner=""))
    assert (await slurm.read(key(owner=""), reader="bob", newest_change=0.0)).how == "hit"


async def test_one_persons_answer_is_not_anothers(slurm: Slurm) -> None:
    await landed(slurm, fresh("alice's"))
    read = slurm.read(key(owner="bob"), reader="bob")
    await settle()
    slurm.calls[-1].set_result(fresh("bob's"))
    assert text(await read) == "bob's"


async def test_who_insists_has_slurmrestd_asked(slurm: Slurm) -> None:
    await landed(slurm, fresh("one", since=7))
    read = slurm.read(forced=True)
    await settle()
    slurm.calls[-1].set_result(fresh("two"))
    assert ((await read).how, slurm.asked[-1]) == ("miss", None)


async def test_an_answer_that_is_none_of_200_is_given_and_not_kept(slurm: Slurm) -> None:
    reads = [slurm.read(), slurm.read()]
    await settle()
    slurm.calls[0].set_result(Other(answer="500"))
    assert [found.other.answer for found in await asyncio.gather(*reads) if found.other] == ["500", "500"]
    assert len(slurm.shared) == 0


async def test_what_was_said_to_somebody_else_is_no_answer(slurm: Slurm) -> None:
    first, second = slurm.read(key(owner="")), slurm.read(key(owner=""), reader="bob")
    await settle()
    slurm.calls[0].set_result(Other(answer="you are unknown here"))
    await settle()
    slurm.calls[1].set_result(fresh("welcome"))
    assert (await first).other == Other(answer="you are unknown here")
    assert text(await second) == "welcome"


async def test_a_failure_is_told_to_all_who_waited_for_it_and_to_nobody_after(slurm: Slurm) -> None:
    reads = [slurm.read() for _ in range(3)]
    await settle()
    slurm.calls[0].set_exception(UpstreamBroken("gone"))
    results = await asyncio.gather(*reads, return_exceptions=True)
    assert [type(result) for result in results] == [UpstreamBroken] * 3
    assert text(await landed(slurm, fresh("well again"))) == "well again"


async def test_a_failure_of_somebody_elses_call_is_tried_on_ones_own(slurm: Slurm) -> None:
    first, second = slurm.read(key(owner="")), slurm.read(key(owner=""), reader="bob")
    await settle()
    slurm.calls[0].set_exception(UpstreamBroken("gone"))
    await settle()
    slurm.calls[1].set_result(fresh("there"))
    assert text(await second) == "there"
    with pytest.raises(UpstreamBroken):
        await first


async def test_a_call_that_nobody_waits_for_any_more_is_broken_off(slurm: Slurm) -> None:
    reads = [slurm.read(), slurm.read()]
    await settle()
    reads[0].cancel()
    await settle()
    assert not slurm.calls[0].cancelled()
    reads[1].cancel()
    await settle()
    assert slurm.calls[0].cancelled()
    # A call that is being broken off is not joined.
    assert text(await landed(slurm, fresh("anew"))) == "anew"


async def test_the_least_recently_used_goes_first(slurm: Slurm) -> None:
    for name in ("/a", "/b", "/c"):
        await landed(slurm, fresh("x" * 2000), key(name))
    await slurm.read(key("/a"))
    await landed(slurm, fresh("x" * 2000), key("/d"))
    hows = []
    for name in ("/a", "/c", "/d", "/b"):
        read = slurm.read(key(name))
        await settle()
        if not read.done():
            slurm.calls[-1].set_result(Other(answer="not kept"))
        hows.append((await read).how)
    assert hows == ["hit", "hit", "hit", "miss"]
    assert slurm.shared.used <= 10 * 1024


async def test_an_answer_too_large_to_keep_is_passed_on_and_not_tried_again_for_a_while(slurm: Slurm) -> None:
    with pytest.raises(TooLargeToKeep):
        await landed(slurm, fresh("x" * 5000))
    assert slurm.shared.used == 0
    with pytest.raises(TooLargeToKeep):
        await slurm.read()
    assert len(slurm.calls) == 1
    slurm.now += 61
    assert text(await landed(slurm, fresh("smaller"))) == "smaller"


async def test_bytes_that_arrive_count_as_well(slurm: Slurm) -> None:
    packers: list[Packer] = []

    async def fetch(_kept: Kept | None, packer: Packer) -> Outcome:
        packers.append(packer)
        packer._grow(4000)
        await asyncio.Event().wait()
        raise AssertionError

    reads = [asyncio.create_task(slurm.shared.read(key(f"/{n}"), fetch, reader="alice", newest_change=0.0)) for n in range(3)]
    await settle()
    assert isinstance(reads[2].exception(), TooLargeToKeep)
    for read in reads[:2]:
        read.cancel()
    await settle()
    assert slurm.shared.used == 0


# Forms.


async def test_a_coding_is_made_once_for_all(slurm: Slurm) -> None:
    found = await landed(slurm, fresh("x" * 3000))
    assert found.kept is not None
    before = slurm.shared.used
    made = await asyncio.gather(*(found.kept.whole.encoded("gzip") for _ in range(20)))
    assert len({id(data) for data in made}) == 1
    await settle()
    assert slurm.shared.used == before + len(made[0])


async def test_a_view_is_made_once_for_all_and_has_a_tag_of_its_own(slurm: Slurm) -> None:
    kept = (await landed(slurm, fresh("whole"))).kept
    assert kept is not None
    made = 0

    async def make() -> Rendered:
        nonlocal made
        made += 1
        await asyncio.sleep(0)
        return Rendered(body=plain(b"part"), content_type="text/csv", next_cursor="c")

    views = await asyncio.gather(*(slurm.shared.view(kept, "fields=a", make) for _ in range(10)))
    assert (made, views[0].body.data, views[0].content_type, views[0].next_cursor) == (1, b"part", "text/csv", "c")
    other = await slurm.shared.view(kept, "fields=b", make)
    assert len({kept.whole.etag, views[0].etag, other.etag}) == 3


async def test_a_view_that_failed_is_tried_again(slurm: Slurm) -> None:
    kept = (await landed(slurm, fresh("whole"))).kept
    assert kept is not None
    outcomes = iter([UpstreamBroken("no"), None])

    async def make() -> Rendered:
        if error := next(outcomes):
            raise error
        return Rendered(body=plain(b"part"), content_type="text/csv")

    with pytest.raises(UpstreamBroken):
        await slurm.shared.view(kept, "v", make)
    await settle()
    assert (await slurm.shared.view(kept, "v", make)).body.data == b"part"


async def test_views_are_counted_and_bounded(slurm: Slurm) -> None:
    kept = (await landed(slurm, fresh("whole"))).kept
    assert kept is not None

    async def make() -> Rendered:
        return Rendered(body=plain(b"x"), content_type="text/csv")

    for number in range(300):
        await slurm.shared.view(kept, number, make)
    await settle()
    assert len(kept.views) <= 100
    assert slurm.shared.used <= 10 * 1024


# The promises, whatever happens in whichever order.

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.sampled_from(["alice", "bob"])),
        st.tuples(st.just("change"), st.sampled_from(["alice", "bob"])),
        st.tuples(st.just("wait"), st.sampled_from([0.01, 0.4, 1.1, 2.5])),
        st.tuples(st.just("land"), st.integers(0, 3)),
        st.tuples(st.just("leave"), st.integers(0, 3)),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS)
def test_no_read_is_older_than_the_readers_last_change_or_than_it_may_be(steps: list[tuple[str, str | float | int]]) -> None:
    asyncio.run(_promises(steps))


@dataclass
class Play:
    """Steps against a Slurm whose list is the number of its last change; a call sees the list as it is when it begins, at worst."""

    shared: SharedReads[str] = field(init=False)
    now: float = 100.0
    version: int = 0
    longest: float = 0.0
    changed: dict[str, tuple[float, int]] = field(default_factory=lambda: {"alice": (0.0, 0), "bob": (0.0, 0)})
    outdated: dict[int, float] = field(default_factory=dict)  # when each version began to be outdated
    calls: list[tuple[float, asyncio.Future[Outcome], Outcome]] = field(default_factory=list)
    reads: list[tuple[asyncio.Task[Found[str]], int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shared = SharedReads(Reads(), clock=lambda: self.now)

    async def fetch(self, kept: Kept | None, _packer: Packer) -> Outcome:
        holds = kept is not None and kept.whole.body.data == str(self.version).encode()
        outcome: Outcome = Unchanged() if holds else fresh(str(self.version), since=1)
        call: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.calls.append((self.now, call, outcome))
        return await call

    def read(self, user: str) -> None:
        at, at_least = self.changed[user]
        task = asyncio.create_task(self.shared.read(key(owner=""), self.fetch, reader=user, newest_change=at))
        self.reads.append((task, at_least, self.now))

    def change(self, user: str) -> None:
        self.outdated[self.version] = self.now
        self.version += 1
        self.changed[user] = (self.now, self.version)
        self.now += 0.001  # an answer takes time to come and a read to go

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def land(self, which: int) -> None:
        if self.calls:
            began, call, outcome = self.calls.pop(which % len(self.calls))
            self.longest = max(self.longest, self.now - began)
            if not call.done():
                call.set_result(outcome)

    def leave(self, which: int) -> None:
        if self.reads:
            self.reads[which % len(self.reads)][0].cancel()

    def check(self) -> None:
        for task, at_least, asked in [read for read in self.reads if read[0].done()]:
            self.reads.remove((task, at_least, asked))
            if not task.cancelled():
                seen = int(text(task.result()))
                assert seen >= at_least
                assert seen == self.version or asked - self.outdated[seen] <= 1.0 + self.longest + 1e-9


async def _promises(steps: list[tuple[str, str | float | int]]) -> None:
    play = Play()
    for what, value in steps:
        getattr(play, what)(value)
        await settle()
        play.check()
    while play.calls:
        play.land(0)
        await settle()
    play.check()
    assert play.reads == []
    play.shared.close()


async def test_rights_that_were_taken_away_end_though_nothing_changes(slurm: Slurm) -> None:
    await landed(slurm, fresh("of all", since=1))
    for _ in range(10):
        slurm.now += 30.0
        assert (await landed(slurm, Unchanged())).how == "revalidated"
    slurm.now += 30.0
    found = await landed(slurm, fresh("of one"))
    assert (slurm.asked[-1], found.how, text(found)) == (None, "miss", "of one")


async def test_somebody_elses_large_answers_take_room_for_a_moment_and_not_for_a_minute(slurm: Slurm) -> None:
    held: list[asyncio.Future[Outcome]] = []

    async def fill(_kept: Kept | None, packer: Packer) -> Outcome:
        packer._grow(4000)
        held.append(asyncio.get_running_loop().create_future())
        return await held[-1]

    others = [asyncio.create_task(slurm.shared.read(key(f"/{n}", "bob"), fill, reader="bob", newest_change=0.0)) for n in range(2)]
    await settle()
    assert text(await landed(slurm, fresh("small"))) == "small"
    with pytest.raises(TooLargeToKeep):
        await landed(slurm, fresh("x" * 3000), key("/other"))
    for end in held:
        end.set_result(Other(answer="500"))
    await asyncio.gather(*others)
    assert len(text(await landed(slurm, fresh("x" * 3000), key("/other")))) == 3000
