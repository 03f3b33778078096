"""Following jobs to their end: exit codes, what is said meanwhile, and what is away and comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.cli.following import Ended, Follower, TimeUpError, exit_code, tell
from gateway.cli.jobids import JobId, job_id
from gateway.client.cluster import Job
from gateway.client.errors import (
    GatewayError,
    JobForgottenError,
    NotUnderstoodError,
    RefusedError,
    SlurmRefusedError,
    UnreachableError,
    WaitTimeoutError,
)
from gateway.errors import CommandError

Said = Job | list[Job] | GatewayError


def job(state: str, *, number: int = 7, code: int | None = None, **more: Any) -> Job:
    return Job(id=number, name="hello", user="alice", state=state, exit_code=code, **more)


class Clock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Gateway:
    """Tells of each job what it is given, one after the other, the last for ever; a job that goes on is told when the time is up."""

    def __init__(self, clock: Clock, **told: list[Said]) -> None:
        self._clock = clock
        self._told = {int(name.removeprefix("job")): list(said) for name, said in told.items()}
        self.asked: list[tuple[int, float | None]] = []
        self.recorded: list[Job] | GatewayError = JobForgottenError("none", hint="")

    def wait(self, *job_ids: int, until: str = "finished", timeout: float | None = None) -> list[Job]:
        (job_id,) = job_ids
        assert until == "changed"
        self.asked.append((job_id, timeout))
        said = self._told[job_id].pop(0) if len(self._told[job_id]) > 1 else self._told[job_id][0]
        if isinstance(said, GatewayError):
            raise said
        jobs = said if isinstance(said, list) else [said]
        if all(one.is_over for one in jobs):
            return jobs
        self._clock.sleep(timeout or 0)
        raise WaitTimeoutError("still", hint="wait", jobs=jobs)

    def accounted(self, job_id: int) -> list[Job]:
        assert job_id in self._told
        if isinstance(self.recorded, GatewayError):
            raise self.recorded
        return self.recorded


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def follow(clock: Clock) -> Callable[..., list[Ended]]:
    def followed(gateway: Gateway, *jobs: int | str, live: bool = False, timeout: float | None = None) -> list[Ended]:
        wanted = [job_id(str(job)) for job in jobs or (7,)]
        return list(Follower(gateway, timeout=timeout, clock=clock, sleep=clock.sleep, live=live).follow(wanted))

    return followed


@pytest.mark.parametrize(
    ("parts", "code", "state"),
    [
        ([job("COMPLETED", code=0)], 0, "COMPLETED"),
        ([job("COMPLETED")], 0, "COMPLETED"),
        ([job("FAILED", code=3)], 3, "FAILED"),
        ([job("FAILED", code=137)], 137, "FAILED"),
        ([job("CANCELLED", code=0)], 1, "CANCELLED"),
        ([job("TIMEOUT", code=0)], 1, "TIMEOUT"),
        ([job("NODE_FAIL")], 1, "NODE_FAIL"),
        ([job("COMPLETED", code=0), job("FAILED", code=2), job("TIMEOUT", code=0)], 2, "FAILED"),
        ([job("COMPLETED", code=0), job("COMPLETED", code=0)], 0, "COMPLETED"),
    ],
)
def test_the_exit_code_is_the_jobs_and_no_end_but_completed_is_success(parts: list[Job], code: int, state: str) -> None:
    ended = Ended(job=JobId(job=7), parts=tuple(parts))
    assert (ended.exit_code, ended.state) == (code, state)
    assert ended.told() == {"job_id": 7, "name": "hello", "state": state, "exit_code": code}


def test_of_several_jobs_the_largest_exit_code_counts() -> None:
    assert exit_code([Ended(job=JobId(job=n), parts=(job("FAILED", code=n),)) for n in (2, 5, 3)]) == 5


def test_the_end_is_told_in_a_line() -> None:
    over = job("FAILED", code=3, started_at=100.0, ended_at=165.0)
    assert Ended(job=JobId(job=7), parts=(over,)).in_words() == "Job 7 (hello) FAILED after 1:05, exit code 3"
    assert Ended(job=JobId(job=7), parts=(over, over)).in_words() == "Job 7 (hello) FAILED after 1:05, exit code 3, 2 tasks"


def test_why_a_job_failed_is_told_where_that_says_more() -> None:
    over = job("FAILED", code=181, reason="JobLaunchFailure")
    ended = Ended(job=JobId(job=7), parts=(job("COMPLETED", code=0), over))
    assert ended.in_words() == "Job 7 (hello) FAILED (JobLaunchFailure), exit code 181, 2 tasks"
    assert ended.told() == {"job_id": 7, "name": "hello", "state": "FAILED", "reason": "JobLaunchFailure", "exit_code": 181}
    assert Ended(job=JobId(job=7), parts=(job("FAILED", code=3, reason="NonZeroExitCode"),)).in_words() == "Job 7 (hello) FAILED, exit code 3"


def test_whoever_watched_a_job_that_could_not_be_started_is_told_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    ended = Ended(job=JobId(job=7), parts=(job("FAILED", code=181, reason="JobLaunchFailure"),))
    tell(ended, as_json=False)
    said = capsys.readouterr()
    assert said.out == "Job 7 (hello) FAILED (JobLaunchFailure), exit code 181\n"
    where = "Are the job's folder (--chdir) and that of its output (--output) there, on the cluster?"
    assert said.err == f"hint: Its node could not start the script. {where}\n"
    tell(ended, as_json=True)
    assert capsys.readouterr().err == ""


def test_each_state_is_a_line_where_there_is_no_terminal(
    follow: Callable[..., list[Ended]], clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    waits, runs = job("PENDING", reason="Resources"), job("RUNNING", nodes="n1")
    (ended,) = follow(Gateway(clock, job7=[waits, waits, runs, runs, job("COMPLETED", code=0)]))
    assert ended.exit_code == 0
    assert capsys.readouterr().err == "Job 7 (hello) PENDING (Resources)\nJob 7 (hello) RUNNING on n1\n"


def test_a_terminal_has_one_line_that_is_gone_in_the_end(
    follow: Callable[..., list[Ended]], clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    follow(Gateway(clock, job7=[job("PENDING", reason="Resources"), job("RUNNING", nodes="n1"), job("COMPLETED", code=0)]), live=True)
    shown = capsys.readouterr().err
    assert shown == "\r\x1b[KJob 7 (hello) PENDING (Resour\r\r\x1b[KJob 7 (hello) RUNNING on n1 0\r\r\x1b[K"


def test_what_a_job_is_called_does_nothing_to_the_terminal(
    follow: Callable[..., list[Ended]], clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = Job(id=7, name="\x1b[2J\u202e", user="alice", state="RUNNING")
    (ended,) = follow(Gateway(clock, job7=[odd, Job(id=7, name="\x1b[2J", user="alice", state="COMPLETED")]))
    assert "\x1b" not in capsys.readouterr().err + ended.in_words()


def test_ends_are_told_as_they_come_whatever_the_order(follow: Callable[..., list[Ended]], clock: Clock) -> None:
    runs = [job("RUNNING", number=n) for n in (0, 1, 2)]
    gateway = Gateway(
        clock,
        job1=[runs[1], runs[1], runs[1], job("COMPLETED", number=1, code=0)],
        job2=[runs[2], job("FAILED", number=2, code=4)],
    )
    assert [ended.job.job for ended in follow(gateway, 1, 2, 1)] == [2, 1]


def test_the_tasks_of_an_array_end_together(follow: Callable[..., list[Ended]], clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    mixed = [job("COMPLETED", code=0), job("RUNNING"), job("RUNNING")]
    (ended,) = follow(Gateway(clock, job7=[mixed, [job("COMPLETED", code=0), job("FAILED", code=9)]]))
    assert (ended.exit_code, capsys.readouterr().err) == (9, "Job 7 (hello) 1 COMPLETED, 2 RUNNING\n")


def unreachable(*, lasting: bool = False) -> UnreachableError:
    return UnreachableError("the gateway cannot be reached", hint="Check.", sent=False, lasting=lasting)


def refused(reason: str, retry_after: float | None = None) -> RefusedError:
    error = RefusedError({"detail": "no", "reason": reason, "hint": "h"}, status=503, request_id=None)
    error.retry_after = retry_after
    return error


def test_what_is_away_is_waited_for_and_that_is_said_once(
    follow: Callable[..., list[Ended]], clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    away = [unreachable() for _ in range(8)]
    (ended,) = follow(Gateway(clock, job7=[*away, refused("upstream_unreachable", 40), job("COMPLETED", code=0)]))
    assert ended.exit_code == 0
    assert capsys.readouterr().err == "the gateway cannot be reached; waiting until that is over.\n"
    assert clock.now == 1000 + 1 + 2 + 4 + 8 + 10 + 10 + 10 + 10 + 40


@pytest.mark.parametrize(
    "error",
    [
        SlurmRefusedError("Unable to find JobId=7", hint="slurmctld is away.", status=500, request_id=None),
        SlurmRefusedError("Unable to contact slurm controller", hint="h", status=502, request_id=None),
        NotUnderstoodError("a page", hint="h", status=502),
        refused("throttled", 1),
    ],
    ids=str,
)
def test_a_slurm_that_is_restarted_is_no_end_of_a_job(error: GatewayError, follow: Callable[..., list[Ended]], clock: Clock) -> None:
    (ended,) = follow(Gateway(clock, job7=[job("RUNNING"), error, error, job("COMPLETED", code=0)]))
    assert ended.exit_code == 0


@pytest.mark.parametrize(
    "error", [unreachable(lasting=True), refused("not_permitted"), SlurmRefusedError("no", hint="h", status=404, request_id=None)]
)
def test_what_does_not_pass_is_an_error(error: GatewayError, follow: Callable[..., list[Ended]], clock: Clock) -> None:
    with pytest.raises(type(error)):
        follow(Gateway(clock, job7=[error]))


@pytest.mark.parametrize("told", [[job("RUNNING")], [unreachable()]])
def test_the_time_may_be_up_first(told: list[Said], follow: Callable[..., list[Ended]], clock: Clock) -> None:
    with pytest.raises(TimeUpError, match="job 7 not at an end") as caught:
        follow(Gateway(clock, job7=told), timeout=90)
    assert caught.value.hint == "Go on waiting: slurm-gateway wait 7."
    assert 1090 <= clock.now <= 1100


def test_a_line_that_is_painted_is_painted_each_second_at_first(follow: Callable[..., list[Ended]], clock: Clock) -> None:
    gateway = Gateway(clock, job7=[*[job("RUNNING")] * 70, job("COMPLETED", code=0)])
    follow(gateway, live=True)
    assert {timeout for _, timeout in gateway.asked[1:50]} == {1}
    assert gateway.asked[-1] == (7, 5)


def test_nobody_is_made_to_wait_for_days(follow: Callable[..., list[Ended]], clock: Clock) -> None:
    follow(Gateway(clock, job7=[refused("upstream_unreachable", 999_999), job("COMPLETED", code=0)]))
    assert clock.now == 1060


def test_nor_for_longer_than_they_said(follow: Callable[..., list[Ended]], clock: Clock) -> None:
    with pytest.raises(TimeUpError):
        follow(Gateway(clock, job7=[refused("upstream_unreachable", 50)]), timeout=30)
    assert clock.now == 1030


def test_a_dumb_terminal_is_not_painted_on(monkeypatch: pytest.MonkeyPatch, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    list(Follower(Gateway(clock, job7=[job("RUNNING"), job("COMPLETED", code=0)]), clock=clock, sleep=clock.sleep).follow([JobId(job=7)]))
    assert capsys.readouterr().err == "Job 7 (hello) RUNNING\n"


def test_wide_letters_do_not_make_a_second_line(clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    named = Job(id=7, name="漢" * 60, user="alice", state="RUNNING")
    list(Follower(Gateway(clock, job7=[named, job("COMPLETED", code=0)]), clock=clock, sleep=clock.sleep, live=True).follow([JobId(job=7)]))
    assert capsys.readouterr().err.count("漢") == (39 - len("Job 7 (")) // 2


def test_a_gateway_that_is_restarted_is_waited_for(follow: Callable[..., list[Ended]], clock: Clock) -> None:
    (ended,) = follow(Gateway(clock, job7=[refused("stopping", 1), job("COMPLETED", code=0)]))
    assert ended.exit_code == 0


def task(number: int, state: str, code: int | None = None) -> Job:
    return job(state, number=7 + number, code=code, array_job_id=7, array_task=str(number))


def test_one_task_of_an_array_is_waited_for_alone(clock: Clock, follow: Callable[..., list[Ended]], capsys: pytest.CaptureFixture[str]) -> None:
    waiting = job("PENDING", array_job_id=7, array_task="3-9%2")
    rounds: list[Said] = [[task(1, "RUNNING"), waiting], [task(1, "RUNNING"), task(3, "RUNNING")], [task(1, "RUNNING"), task(3, "FAILED", 4)]]
    ended = follow(Gateway(clock, job7=rounds), "7_3")
    assert [one.told() for one in ended] == [{"job_id": 7, "array_task": 3, "name": "hello", "state": "FAILED", "exit_code": 4}]
    assert ended[0].in_words() == "Job 7_3 (hello) FAILED, exit code 4"
    assert capsys.readouterr().err == "Job 7_3 (hello) PENDING\nJob 7_3 (hello) RUNNING\n"


def test_one_part_of_a_heterogeneous_job_is_waited_for_alone(clock: Clock, follow: Callable[..., list[Ended]]) -> None:
    parts: list[Said] = [[job("COMPLETED", code=code, het_job_id=7, het_offset=offset) for offset, code in enumerate((3, 0))]]
    assert [one.told() for one in follow(Gateway(clock, job7=parts), "7+1")] == [
        {"job_id": 7, "het_offset": 1, "name": "hello", "state": "COMPLETED", "exit_code": 0}
    ]


def test_a_task_that_is_not_there_is_an_error(clock: Clock, follow: Callable[..., list[Ended]]) -> None:
    with pytest.raises(CommandError, match="Slurm shows no job 7_3") as caught:
        follow(Gateway(clock, job7=[[task(1, "RUNNING")]]), "7_3")
    assert caught.value.hint == "'slurm-gateway job 7' shows what there is of it."


def test_a_task_that_slurm_has_forgotten_while_others_go_on_is_told_by_accounting(clock: Clock, follow: Callable[..., list[Ended]]) -> None:
    gateway = Gateway(clock, job7=[[task(1, "RUNNING"), task(3, "RUNNING")], [task(1, "RUNNING")]])
    gateway.recorded = [task(1, "RUNNING"), task(3, "FAILED", 4)]
    assert [one.exit_code for one in follow(gateway, "7_3")] == [4]


def test_a_task_is_told_by_its_number_where_those_that_wait_are_not_told_in_full(clock: Clock, follow: Callable[..., list[Ended]]) -> None:
    cut = job("PENDING", array_job_id=7, array_task="4-9,12-15,...")
    assert [one.exit_code for one in follow(Gateway(clock, job7=[[task(3, "FAILED", 4), cut]]), "7_3")] == [4]


def test_accounting_that_is_away_for_a_while_is_waited_for(clock: Clock, follow: Callable[..., list[Ended]]) -> None:
    class Away(Gateway):
        tries = 0

        def accounted(self, job_id: int) -> list[Job]:
            assert job_id == 7
            self.tries += 1
            if self.tries < 4:
                raise JobForgottenError("accounting cannot be asked", hint="") from SlurmRefusedError(
                    "no slurmdbd", hint="", status=502, request_id=None
                )
            return [task(3, "FAILED", 4)]

    gateway = Away(clock, job7=[[task(1, "RUNNING")]])
    assert ([one.exit_code for one in follow(gateway, "7_3")], gateway.tries) == ([4], 4)


def test_a_fault_that_does_not_pass_is_waited_for_ten_minutes(clock: Clock, follow: Callable[..., list[Ended]]) -> None:
    began = clock.now
    with pytest.raises(SlurmRefusedError, match="something is wrong"):
        follow(Gateway(clock, job7=[SlurmRefusedError("something is wrong", hint="Ask.", status=500, request_id=None)]))
    assert 600 < clock.now - began < 660
