"""What comes next: the ledger, what was seen and the time go in, one action comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from gateway.client.queue.engine import Engine
from gateway.client.queue.folder import Found
from gateway.client.queue.ledger import Ledger
from gateway.client.queue.plan import Finish, Leave, LookAtFolder, LookAtJobs, OnFailure, Options, Send, Sleep, Take
from gateway.client.queue.records import Ended, Intended, SetAside, SettingAside, Submitted, Withdrawn
from tests.unit.client.queue.fakes import by_slurm, refused


def found(*names: str) -> list[Found]:
    return [Found(file=name, size=1, mtime_ns=0, ctime=0.0) for name in names]


@dataclass
class Driver:
    """An engine with a ledger, and a clock that stands still until it is told."""

    options: Options = field(default_factory=Options)
    now: float = 100.0
    ledger: Ledger = field(default_factory=Ledger)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = Engine(self.ledger, self.options)

    def next(self) -> object:
        action = self.engine.next(self.now)
        self.said += [event.kind for event in self.engine.told()]
        return action

    def saw(self, *names: str, again: float | None = None) -> None:
        assert self.next() == LookAtFolder()
        self.engine.saw_folder(self.now, found(*names), again)

    def intend(self, name: str, attempt: int = 1) -> None:
        self.ledger.apply(
            Intended(file=name, key=f"{name}{attempt}", sha256="", path="", name=name, attempt=attempt, size=1, mtime_ns=0, at=self.now)
        )
        self.engine.took(name)

    def submit(self, name: str, job_id: int) -> None:
        entry = self.ledger.entries[name]
        self.ledger.apply(Submitted(file=name, key=entry.key, job_id=job_id, at=self.now))
        self.engine.submitted(self.now, entry, job_id)

    def end(self, name: str, state: str = "COMPLETED") -> None:
        entry = self.ledger.entries[name]
        self.ledger.apply(Ended(file=name, job_id=entry.job_id or 0, state=state, exit_code=None, at=self.now))
        self.engine.ended(self.now, self.ledger.entries[name])

    def into_slurm(self, *names: str) -> None:
        for number, name in enumerate(names, start=90):
            self.intend(name)
            self.submit(name, number)


def taken(action: object) -> str:
    assert isinstance(action, Take), action
    return action.found.file


def slept(action: object) -> float:
    assert isinstance(action, Sleep), action
    return action.seconds


def test_an_empty_folder_is_the_end() -> None:
    driver = Driver()
    driver.saw()
    assert driver.next() == Finish()
    assert driver.said == ["check", "empty"]


def test_one_that_follows_sleeps_until_the_folder_is_to_be_looked_at() -> None:
    driver = Driver(Options(follow=True))
    driver.saw()
    assert slept(driver.next()) == 5.0
    driver.now += 5.0
    driver.saw()
    assert slept(driver.next()) == 5.0
    assert driver.said == ["check", "empty"]
    driver.now += 100.0
    assert driver.next() == LookAtFolder()
    assert driver.said == ["check", "empty"]


def test_a_file_that_comes_while_nothing_is_under_way_is_told_as_a_check() -> None:
    driver = Driver(Options(follow=True))
    driver.saw()
    driver.next()
    driver.engine.wake_folder(driver.now)
    driver.saw("a")
    assert taken(driver.next()) == "a"
    assert driver.said == ["check", "empty", "check"]


@pytest.mark.parametrize("in_flight", [1, 2, 3])
def test_so_many_jobs_are_in_slurm_and_no_more(in_flight: int) -> None:
    driver = Driver(Options(in_flight=in_flight))
    driver.saw("a", "b", "c", "d")
    for number in range(in_flight):
        name = taken(driver.next())
        driver.intend(name)
        assert isinstance(driver.next(), Send)
        driver.submit(name, 90 + number)
    assert isinstance(driver.next(), Sleep)
    driver.end("a")
    assert taken(driver.next()) == "abcd"[in_flight]


def test_what_a_killed_queue_intended_is_sent_before_anything_else_and_counts_as_in_slurm() -> None:
    driver = Driver()
    driver.intend("b")
    engine = Engine(driver.ledger, driver.options)
    assert engine.next(driver.now) == Send(entry=driver.ledger.entries["b"])
    assert engine.maybe_sent == {"b1"}


def test_what_is_to_be_set_aside_is_moved_first() -> None:
    driver = Driver()
    driver.ledger.apply(SettingAside(file="a", to="a", reason="", hint="", unknown=False, at=0.0))
    assert driver.next() == Leave(entry=driver.ledger.entries["a"])
    driver.ledger.apply(SetAside(file="a", to="a", at=0.0))
    driver.engine.left(driver.ledger.entries["a"])
    driver.saw()
    assert driver.next() == Finish()
    assert driver.said == ["set_aside", "check", "empty"]


def test_a_routine_look_tells_what_is_in_progress() -> None:
    driver = Driver(Options(in_flight=2, interval=10.0))
    driver.engine.events(driver.now, flow=True)
    driver.saw("a", "b")
    driver.into_slurm("a", "b")
    assert slept(driver.next()) == 5.0
    driver.said.clear()
    driver.now += 10.0
    assert driver.next() == LookAtJobs(job_ids=(90, 91))
    driver.engine.saw_jobs(driver.now, [90, 91])
    driver.saw()
    assert isinstance(driver.next(), Sleep)
    assert driver.said == ["check", "in_progress", "in_progress"]


def test_without_events_jobs_are_looked_at_less_and_less_often() -> None:
    driver = Driver(Options(interval=1000.0))
    driver.saw("a")
    driver.into_slurm("a")
    looks: list[float] = []
    while len(looks) < 12:
        action = driver.next()
        if isinstance(action, LookAtJobs):
            looks.append(driver.now)
            driver.engine.saw_jobs(driver.now, action.job_ids)
        elif isinstance(action, LookAtFolder):
            driver.engine.saw_folder(driver.now, [], None)
        else:
            driver.now += slept(action)
    pauses = [round(later - earlier, 1) for earlier, later in pairwise(looks)]
    assert looks[0] == 101.0
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (1.0, 30.0)


def test_with_events_nothing_is_polled_but_what_they_tell_of() -> None:
    driver = Driver(Options(interval=1000.0))
    driver.engine.events(driver.now, flow=True)
    driver.saw("a")
    driver.into_slurm("a")
    driver.now += 60.0
    driver.saw()
    assert isinstance(driver.next(), Sleep)
    driver.engine.wake_job(91)
    assert isinstance(driver.next(), Sleep)
    driver.engine.wake_job(90)
    assert driver.next() == LookAtJobs(job_ids=(90,))


def test_after_an_end_a_check_is_told_before_the_next_is_taken() -> None:
    driver = Driver()
    driver.saw("a", "b")
    assert taken(driver.next()) == "a"
    driver.into_slurm("a")
    driver.next()
    driver.said.clear()
    driver.end("a")
    assert taken(driver.next()) == "b"
    assert driver.said == ["ended", "check"]


def test_the_folder_is_looked_at_once_more_before_the_end() -> None:
    driver = Driver()
    driver.saw("a")
    driver.into_slurm("a")
    driver.next()
    driver.end("a")
    driver.saw("b")
    assert taken(driver.next()) == "b"


def test_while_a_file_is_being_written_it_is_not_the_end() -> None:
    driver = Driver()
    driver.saw(again=0.5)
    assert slept(driver.next()) == 0.5


def test_while_the_gateway_is_down_nothing_more_is_taken_and_the_pauses_grow() -> None:
    driver = Driver(Options(in_flight=2))
    driver.saw("a", "b")
    driver.intend("a")
    pauses = []
    for _ in range(7):
        action = driver.next()
        while not isinstance(action, Send):
            if isinstance(action, LookAtFolder):
                driver.engine.saw_folder(driver.now, found("b"), None)
            else:
                assert not isinstance(action, Take)
                driver.now += slept(action)
            action = driver.next()
        pauses.append(driver.now)
        driver.engine.later(driver.now, action.entry, refused("upstream_unreachable", 502), everything=True, maybe_sent=False)
    assert [later - earlier for earlier, later in pairwise(pauses)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    driver.submit("a", 90)
    assert taken(driver.next()) == "b"
    assert driver.said.count("waiting") == 2  # and once more after a minute
    assert "recovered" in driver.said


def test_a_key_that_is_under_way_holds_up_nobody_else() -> None:
    driver = Driver(Options(in_flight=2))
    driver.saw("a", "b")
    driver.intend("a")
    driver.engine.later(driver.now, driver.ledger.entries["a"], refused("idempotency_under_way", 409), everything=False, maybe_sent=True)
    assert taken(driver.next()) == "b"
    assert driver.engine.maybe_sent == {"a1"}


def test_a_time_that_the_gateway_names_is_waited_for() -> None:
    driver = Driver()
    driver.intend("a")
    driver.engine.later(driver.now, driver.ledger.entries["a"], refused("too_many_calls", 429, 7.0), everything=True, maybe_sent=False)
    driver.saw()
    driver.now += 6.5
    driver.saw()
    assert slept(driver.next()) == 0.5


def test_jobs_that_could_not_be_looked_at_are_looked_at_later() -> None:
    driver = Driver()
    driver.engine.events(driver.now, flow=True)
    driver.saw("a")
    driver.into_slurm("a")
    driver.engine.wake_job(90)
    assert driver.next() == LookAtJobs(job_ids=(90,))
    driver.engine.jobs_later(driver.now, by_slurm(500, 1800))
    assert slept(driver.next()) == 1.0
    driver.now += 1.0
    assert driver.next() == LookAtJobs(job_ids=(90,))


@pytest.mark.parametrize(
    ("state", "attempt", "retried"),
    [
        ("FAILED", 1, True),
        ("FAILED", 2, True),
        ("FAILED", 3, False),
        ("TIMEOUT", 1, True),
        ("CANCELLED", 1, False),
        ("UNKNOWN", 1, False),
        ("COMPLETED", 1, False),
    ],
)
def test_what_failed_is_submitted_again_as_often_as_wished(state: str, attempt: int, *, retried: bool) -> None:
    driver = Driver(Options(on_failure=OnFailure(retries=2)))
    driver.saw("a")
    driver.intend("a", attempt)
    driver.submit("a", 90)
    driver.end("a", state)
    driver.saw("a")
    action = driver.next()
    assert action == (Take(found=found("a")[0], attempt=attempt + 1) if retried else Finish())


def test_after_a_failure_that_stops_it_what_is_in_slurm_is_waited_for() -> None:
    driver = Driver(Options(in_flight=2, on_failure=OnFailure(stop=True)))
    driver.saw("a", "b", "c")
    driver.into_slurm("a", "b")
    driver.end("a", "FAILED")
    assert isinstance(driver.next(), Sleep)
    driver.end("b")
    driver.saw("c")
    assert driver.next() == Finish()
    assert "empty" not in driver.said


def test_one_that_is_stopped_ends_at_once() -> None:
    driver = Driver()
    driver.saw("a", "b")
    driver.into_slurm("a")
    driver.engine.stop()
    assert driver.next() == Finish()


@pytest.mark.parametrize(("asked", "after"), [(True, 60.0), (False, 900.0)])
def test_a_job_that_nobody_knows_is_given_up_after_a_while(*, asked: bool, after: float) -> None:
    driver = Driver()
    assert not driver.engine.is_given_up(driver.now, 90, asked=asked)
    assert not driver.engine.is_given_up(driver.now + after - 1, 90, asked=asked)
    assert driver.engine.is_given_up(driver.now + after, 90, asked=asked)
    driver.engine.known(90, "RUNNING")
    assert not driver.engine.is_given_up(driver.now + after, 90, asked=asked)


def test_at_a_limit_with_jobs_of_ours_in_slurm_one_of_them_is_waited_for() -> None:
    driver = Driver(Options(in_flight=3))
    driver.saw("a", "b")
    driver.into_slurm("a")
    driver.intend("b")
    assert driver.engine.limited(driver.now, "b", others=False)
    withdraw(driver, "b")
    driver.saw("b")
    assert isinstance(driver.next(), Sleep)
    driver.end("a")
    assert taken(driver.next()) == "b"


def withdraw(driver: Driver, name: str) -> None:
    driver.ledger.apply(Withdrawn(file=name, key=driver.ledger.entries[name].key, reason="", at=driver.now))
    driver.engine.withdrawn(driver.now, name)


def test_at_a_limit_with_none_of_ours_in_slurm_it_is_tried_three_times() -> None:
    driver = Driver()
    waits: Sequence[bool] = []
    for _ in range(3):
        driver.intend("a")
        waits = [*waits, driver.engine.limited(driver.now, "a", others=False)]
        withdraw(driver, "a")
    assert waits == [True, True, False]


def test_at_a_limit_one_that_is_not_in_slurm_yet_is_not_waited_for() -> None:
    driver = Driver(Options(in_flight=3))
    driver.saw("a", "b")
    driver.intend("a")
    driver.engine.later(driver.now, driver.ledger.entries["a"], refused("submission_unknown", 409), everything=False, maybe_sent=True)
    driver.intend("b")
    assert driver.engine.limited(driver.now, "b", others=False)
    withdraw(driver, "b")
    set_aside(driver, "a")
    driver.now += 30.0
    driver.saw("b")
    assert taken(driver.next()) == "b"


def set_aside(driver: Driver, name: str) -> None:
    driver.ledger.apply(SettingAside(file=name, to=name, reason="", hint="", unknown=True, at=driver.now))
    driver.ledger.apply(SetAside(file=name, to=name, at=driver.now))
    driver.engine.left(driver.ledger.entries[name])
