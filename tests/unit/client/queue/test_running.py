"""The queue with a gateway, a Slurm and a clock of the test's own: what is submitted, in which order, and that it is once."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.client.asking import Answer
from gateway.client.calls import Submitted
from gateway.client.cluster import Job
from gateway.client.errors import GatewayError, NotUnderstoodError, UnreachableError
from gateway.client.patience import refusal_of
from gateway.client.queue.ledger import Status
from gateway.client.queue.plan import OnFailure, Options
from gateway.client.queue.telling import QueueEvent
from tests.unit.client.queue.fakes import (
    Gateway,
    Killed,
    Slurm,
    Steps,
    by_slurm,
    ledger,
    queue,
    refused,
    run,
    steps_counted,
    unknown_job,
    write,
)

AT_ONCE = Options(settle=0.0)
GONE = UnreachableError("gone", hint="Wait.", sent=True)


def kinds(events: list[QueueEvent]) -> list[str]:
    return [event.kind for event in events]


def statuses(folder: Path) -> dict[str, Status]:
    return {file: entry.status for file, entry in ledger(folder).entries.items()}


def test_how_many_files_there_are_is_told_from_the_first_check_on(tmp_path: Path) -> None:
    write(tmp_path, "a.json", "b.json")
    told = [sum(event.counts.values()) for event in run(tmp_path, Gateway(Slurm())) if event.kind in {"check", "taken"} and event.counts is not None]
    assert (len(told) > 3, set(told)) == (True, {2})


def test_files_are_submitted_one_after_the_other_in_their_order(tmp_path: Path) -> None:
    write(tmp_path, "job10.json", "job2.json", "job1.json")
    gateway = Gateway(Slurm())
    told = run(tmp_path, gateway)
    assert gateway.slurm.names == ["job1.json", "job2.json", "job10.json"]
    assert gateway.slurm.most == 1
    assert told[-1].counts is not None
    assert told[-1].counts["completed"] == 3


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.integers(1, 7),
    in_flight=st.integers(1, 3),
    gaps=st.lists(st.integers(0, 30), max_size=12),
    bad=st.sets(st.integers(0, 6), max_size=2),
    refuse=st.sets(st.integers(0, 6), max_size=2),
    failing=st.sets(st.integers(0, 6), max_size=2),
    retries=st.integers(0, 1),
)
def test_killed_at_any_steps_nothing_is_lost_done_twice_or_out_of_order(
    monkeypatch: pytest.MonkeyPatch, files: int, in_flight: int, gaps: list[int], bad: set[int], refuse: set[int], failing: set[int], retries: int
) -> None:
    steps, slurm = Steps(), Slurm()
    gateway = Gateway(slurm, steps)
    names = [f"job{number}.json" for number in range(files)]
    options = Options(settle=0.0, in_flight=in_flight, on_failure=OnFailure(retries=retries))
    with tempfile.TemporaryDirectory() as home, steps_counted(monkeypatch, steps):
        folder = Path(home)
        write(folder, *names)
        for number in bad & set(range(files)):
            (folder / names[number]).write_text("{")
            os.utime(folder / names[number], (900_000, 900_000))
        gateway.refused = {f"job{number}.json": by_slurm(400, 2000) for number in refuse}
        slurm.ends = {f"job{number}.json": ("FAILED", 1) for number in failing}
        slurm.now += 10**10  # long after the files were written
        for gap in gaps:
            steps.left = gap
            try:
                run(folder, gateway, options)
            except Killed:
                slurm.pass_time(0.5)
        steps.left = None
        run(folder, gateway, options)
        aside = {name for number, name in enumerate(names) if number in bad | refuse}
        good = [name for name in names if name not in aside]
        tries = {name: 1 + retries * (slurm.ends.get(name) is not None) for name in good}
        assert slurm.counted == Counter(tries)
        assert slurm.most <= in_flight
        first = list(dict.fromkeys(slurm.names))
        assert first == good
        assert {path.name for path in (folder / "set-aside").glob("*.json")} == aside if aside else True
        assert {name for name in names if not (folder / name).exists()} == aside
        expected = {name: Status.FAILED if name in slurm.ends else Status.COMPLETED for name in good} | dict.fromkeys(aside, Status.SET_ASIDE)
        assert statuses(folder) == expected
        assert not list((folder / ".slurm-gateway-queue").glob("*.body"))


@pytest.mark.parametrize(
    "fault",
    [
        ("lost", GONE),
        ("lost", refused("upstream_timeout", 504)),
        ("lost", NotUnderstoodError("html", hint="Look.", status=200)),
        GONE,
        refused("upstream_unreachable", 502),
        refused("idempotency_under_way", 409),
        refused("submission_unknown", 409),
        refused("too_many_calls", 429, 3.0),
        refused("store_unavailable", 503),
        by_slurm(502, 1800),
        by_slurm(500, 2007),
        by_slurm(500),
    ],
    ids=str,
)
def test_what_is_not_the_files_fault_is_waited_for(tmp_path: Path, fault: GatewayError | tuple[str, GatewayError]) -> None:
    write(tmp_path, "a.json", "b.json")
    gateway = Gateway(Slurm())
    gateway.faults = [None, fault, fault]
    told = run(tmp_path, gateway)
    assert gateway.slurm.counted == {"a.json": 1, "b.json": 1}
    assert kinds(told).count("waiting") == 1
    assert "recovered" in kinds(told)


@pytest.mark.parametrize("error", [refused("not_permitted", 403), refused("token_refused", 401), refused("second_factor_stale", 403)], ids=str)
def test_what_waiting_does_not_change_ends_the_queue_and_loses_nothing(tmp_path: Path, error: GatewayError) -> None:
    write(tmp_path, "a.json", "b.json")
    gateway = Gateway(Slurm())
    gateway.faults = [error]
    with pytest.raises(GatewayError) as caught:
        run(tmp_path, gateway)
    assert caught.value is error
    run(tmp_path, gateway)
    assert gateway.slurm.names == ["a.json", "b.json"]


def test_a_broken_file_is_set_aside_with_the_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    write(tmp_path, "a.json", "b.json")
    (tmp_path / "a.json").write_text("{")
    gateway = Gateway(Slurm())
    gateway.slurm.now = 1e10
    told = run(tmp_path, gateway)
    assert gateway.slurm.names == ["b.json"]
    assert (tmp_path / "set-aside" / "a.json").read_text() == "{"
    assert "a.json:1" in (tmp_path / "set-aside" / "a.json.reason.txt").read_text()
    assert [event.to for event in told if event.kind == "set_aside"] == ["a.json"]


def test_a_file_that_is_half_written_is_looked_at_again_before_it_is_set_aside(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    (tmp_path / "a.json").write_text((tmp_path / "a.json").read_text()[:10])
    gateway = Gateway(Slurm())
    gateway.slurm.now = (tmp_path / "a.json").stat().st_ctime + 2.0
    with queue(tmp_path, gateway, Options(settle=1.0), then=lambda: write(tmp_path, "a.json")) as running:
        told = list(running)
    assert gateway.slurm.names == ["a.json"]
    assert "set_aside" not in kinds(told)


def test_a_clock_that_was_put_back_does_not_hold_up_the_end(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    (tmp_path / "a.json").write_text("{")
    gateway = Gateway(Slurm())
    began = gateway.slurm.now = (tmp_path / "a.json").stat().st_ctime - 7200.0
    run(tmp_path, gateway, Options(settle=1.0))
    assert statuses(tmp_path) == {"a.json": Status.SET_ASIDE}
    assert gateway.slurm.now - began < 60.0


def test_what_a_proxy_in_between_answers_sets_no_file_aside(tmp_path: Path) -> None:
    write(tmp_path, "a.json", "b.json")
    gateway = Gateway(Slurm())
    foreign = refusal_of(Answer(status=404, headers={"content-type": "text/plain"}, body=b"404 page not found"))
    assert foreign is not None
    gateway.faults = [None, ("lost", GONE), foreign]
    run(tmp_path, gateway)
    assert gateway.slurm.counted == {"a.json": 1, "b.json": 1}
    assert set(statuses(tmp_path).values()) == {Status.COMPLETED}


def test_a_job_that_runs_elsewhere_in_a_federation_is_not_submitted_again(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    gateway = Gateway(Slurm())
    gateway.slurm.ends = {"a.json": ("REVOKED", 0)}
    run(tmp_path, gateway, Options(settle=0.0, on_failure=OnFailure(retries=2)))
    assert gateway.slurm.counted == {"a.json": 1}


def test_a_job_whose_number_is_given_once_more_is_not_told_to_have_ended_as_the_other_one(tmp_path: Path) -> None:
    class Forgetful(Gateway):
        def submit(self, body: bytes, *, key: str | None = None) -> Submitted:
            self.slurm.jobs.clear()
            return super().submit(body, key=key)

    write(tmp_path, "a.json", "b.json")
    told = run(tmp_path, Forgetful(Slurm()), Options(settle=0.0, in_flight=2))
    assert [(event.file, event.job_id, event.state) for event in told if event.kind == "ended"] == [
        ("a.json", 90, "UNKNOWN"),
        ("b.json", 90, "COMPLETED"),
    ]
    assert statuses(tmp_path) == {"a.json": Status.FAILED, "b.json": Status.COMPLETED}


def test_a_file_that_was_corrected_and_put_back_is_submitted(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    gateway = Gateway(Slurm())
    gateway.refused = {"a.json": by_slurm(400, 2000)}
    run(tmp_path, gateway)
    gateway.refused.clear()
    write(tmp_path, "a.json")
    told = run(tmp_path, gateway)
    assert gateway.slurm.names == ["a.json"]
    assert told[-1].counts is not None
    assert (told[-1].counts["completed"], told[-1].counts["set_aside"]) == (1, 0)


def test_a_file_that_slurm_refuses_without_a_word_is_set_aside_in_the_end(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    gateway = Gateway(Slurm())
    gateway.faults = [by_slurm(500) for _ in range(20)]
    run(tmp_path, gateway)
    assert statuses(tmp_path) == {"a.json": Status.SET_ASIDE}


def test_at_a_limit_of_slurms_a_file_waits_for_one_of_ours_to_end(tmp_path: Path) -> None:
    write(tmp_path, "a.json", "b.json")
    gateway = Gateway(Slurm())
    gateway.faults = [None, by_slurm(500, 2050)]
    told = run(tmp_path, gateway, Options(settle=0.0, in_flight=2))
    assert gateway.slurm.names == ["a.json", "b.json"]
    assert gateway.slurm.most == 1
    assert "limited" in kinds(told)
    assert len(gateway.keys) == 2


def test_a_limit_that_no_job_of_ours_is_in_is_the_files_own_in_the_end(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    gateway = Gateway(Slurm())
    gateway.faults = [by_slurm(500, 2050) for _ in range(9)]
    run(tmp_path, gateway)
    assert statuses(tmp_path) == {"a.json": Status.SET_ASIDE}


def test_when_a_job_fails_nothing_more_is_submitted_if_so_wished(tmp_path: Path) -> None:
    write(tmp_path, "a.json", "b.json")
    gateway = Gateway(Slurm())
    gateway.slurm.ends = {"a.json": ("FAILED", 3)}
    told = run(tmp_path, gateway, Options(settle=0.0, on_failure=OnFailure(stop=True)))
    assert gateway.slurm.names == ["a.json"]
    assert "halted" in kinds(told)
    assert "empty" not in kinds(told)


def test_a_file_whose_job_failed_is_submitted_again_as_often_as_wished(tmp_path: Path) -> None:
    write(tmp_path, "a.json", "b.json")
    gateway = Gateway(Slurm())
    gateway.slurm.ends = {"a.json": ("TIMEOUT", 0)}
    run(tmp_path, gateway, Options(settle=0.0, on_failure=OnFailure(retries=2)))
    assert gateway.slurm.names == ["a.json", "a.json", "a.json", "b.json"]
    assert len(gateway.keys) == 4


def test_what_somebody_cancelled_is_not_submitted_again(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    gateway = Gateway(Slurm())
    gateway.slurm.ends = {"a.json": ("CANCELLED", 0)}
    run(tmp_path, gateway, Options(settle=0.0, on_failure=OnFailure(retries=2)))
    assert gateway.slurm.names == ["a.json"]


def test_a_job_that_nobody_knows_any_more_is_given_up_after_a_while(tmp_path: Path) -> None:
    write(tmp_path, "a.json", "b.json")
    gateway = Gateway(Slurm(life=1e9))
    with queue(tmp_path, gateway, AT_ONCE, then=gateway.slurm.jobs.clear) as running:
        told = list(running)
    assert [event.state for event in told if event.kind == "ended"] == ["UNKNOWN", "UNKNOWN"]


def test_a_queue_of_somebody_else_with_open_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    gateway = Gateway(Slurm())
    gateway.faults = [refused("not_permitted", 403)]
    with pytest.raises(GatewayError):
        run(tmp_path, gateway)
    with pytest.raises(GatewayError, match="carol has files of this folder under way") as caught:
        run(tmp_path, Gateway(Slurm(), username="bob"))
    assert caught.value.hint.startswith("Go on as carol")
    assert run(tmp_path, gateway)[-1].kind == "finished"
    assert run(tmp_path, Gateway(Slurm(), username="bob"))[-1].kind == "finished"


def interrupted(tmp_path: Path, gateway: Gateway) -> None:
    """Leave a file of which nobody knows whether it was submitted."""
    write(tmp_path, "a.json")
    gateway.steps.left = 1  # the job is made, and then
    with pytest.raises(Killed):
        run(tmp_path, gateway)


def test_an_intention_that_is_too_old_is_not_sent_again_but_looked_for(tmp_path: Path) -> None:
    gateway = Gateway(Slurm())
    interrupted(tmp_path, gateway)
    gateway.slurm.pass_time(21 * 3600)
    run(tmp_path, gateway)
    assert gateway.slurm.counted == {"a.json": 1}
    assert gateway.sent == ["a.json"]
    assert statuses(tmp_path) == {"a.json": Status.COMPLETED}


def test_one_that_was_sent_in_another_version_is_not_sent_again_but_looked_for(tmp_path: Path) -> None:
    gateway = Gateway(Slurm())
    interrupted(tmp_path, gateway)
    gateway.submission_path = "/slurm/v0.0.38/job/submit"
    told = run(tmp_path, gateway)
    assert (gateway.slurm.counted, gateway.sent) == ({"a.json": 1}, ["a.json"])
    assert [event.notes for event in told if event.kind == "submitted"] == [
        ("found again among your jobs: whether it was submitted was not found out while its key could tell",)
    ]
    assert statuses(tmp_path) == {"a.json": Status.COMPLETED}


def test_one_that_is_sent_again_when_the_version_has_been_learnt_is_not_taken_for_another_versions(tmp_path: Path) -> None:
    class Learns(Gateway):
        def submit(self, body: bytes, *, key: str | None = None) -> Submitted:
            self.submission_path = "/slurm/v0.0.42/job/submit"
            return super().submit(body, key=key)

    write(tmp_path, "a.json")
    gateway = Learns(Slurm())
    gateway.faults = [UnreachableError("gone", hint="Wait.", sent=True)]
    told = run(tmp_path, gateway)
    assert (gateway.slurm.counted, statuses(tmp_path)) == ({"a.json": 1}, {"a.json": Status.COMPLETED})
    assert [event.notes for event in told if event.kind == "submitted"] == [None]


def test_one_that_is_not_found_is_set_aside_as_not_known(tmp_path: Path) -> None:
    gateway = Gateway(Slurm())
    interrupted(tmp_path, gateway)
    gateway.slurm.jobs.clear()
    gateway.slurm.pass_time(21 * 3600)
    told = run(tmp_path, gateway)
    assert gateway.sent == ["a.json"]
    assert statuses(tmp_path) == {"a.json": Status.UNKNOWN}
    why = (tmp_path / "set-aside" / "a.json.reason.txt").read_text()
    assert "does not prove" in why
    assert " on. If it is not among them, put the file back, and it is submitted." in why
    assert told[-1].counts is not None
    assert told[-1].counts["unknown"] == 1


def test_one_that_was_never_sent_is_begun_anew_however_old_it_is(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    gateway = Gateway(Slurm())
    never = UnreachableError("gone", hint="Wait.", sent=False)
    gateway.faults = [never for _ in range(int(21 * 3600 / 30))]
    run(tmp_path, gateway)
    assert gateway.slurm.counted == {"a.json": 1}


def test_what_was_to_be_sent_is_checked_before_it_is_sent_again(tmp_path: Path) -> None:
    gateway = Gateway(Slurm())
    interrupted(tmp_path, gateway)
    [body] = (tmp_path / ".slurm-gateway-queue").glob("*.body")
    body.write_text(json.dumps({"job": {"name": "other"}}))
    run(tmp_path, gateway)
    assert gateway.slurm.counted == {"a.json": 1}
    assert statuses(tmp_path) == {"a.json": Status.COMPLETED}


def test_a_file_that_was_written_to_after_it_was_submitted_is_told_of_once(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    gateway = Gateway(Slurm())
    run(tmp_path, gateway)
    (tmp_path / "a.json").write_text("{}")
    assert kinds(run(tmp_path, gateway)).count("changed") == 1
    assert gateway.slurm.names == ["a.json"]


def test_files_that_come_while_it_runs_are_taken(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    gateway = Gateway(Slurm())
    with queue(tmp_path, gateway, AT_ONCE, then=lambda: write(tmp_path, "b.json")) as running:
        list(running)
    assert gateway.slurm.names == ["a.json", "b.json"]


def test_one_that_follows_waits_for_more_until_it_is_stopped(tmp_path: Path) -> None:
    gateway = Gateway(Slurm())
    with queue(tmp_path, gateway, Options(settle=0.0, follow=True)) as running:
        told = []
        for event in running:
            told.append(event)
            if event.kind == "empty":
                if len(gateway.slurm.jobs) == 1:
                    running.stop()
                write(tmp_path, "a.json")
    assert gateway.slurm.names == ["a.json"]
    assert kinds(told)[-2:] == ["stopped", "finished"]


def test_one_that_is_stopped_says_how_many_jobs_go_on(tmp_path: Path) -> None:
    write(tmp_path, "a.json", "b.json")
    gateway = Gateway(Slurm())
    with queue(tmp_path, gateway) as running:
        told = []
        for event in running:
            told.append(event)
            if event.kind == "submitted":
                running.stop()
    [stopped] = [event for event in told if event.kind == "stopped"]
    assert stopped.jobs == (90,)
    assert gateway.slurm.names == ["a.json"]


def test_of_many_jobs_one_list_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, *(f"job{number}.json" for number in range(6)))
    gateway = Gateway(Slurm())
    asked: list[int] = []
    one, every = gateway.job, gateway.jobs
    gateway.job = lambda job_id: asked.append(1) or one(job_id)  # type: ignore[method-assign,func-returns-value]
    gateway.jobs = lambda: asked.append(6) or every()  # type: ignore[method-assign,func-returns-value]
    run(tmp_path, gateway, Options(settle=0.0, in_flight=6))
    assert set(asked) == {6}


def test_reads_that_fail_are_waited_for(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    gateway = Gateway(Slurm())
    gateway.reads = [refused("upstream_unreachable", 502), by_slurm(500, 1800), GONE]
    told = run(tmp_path, gateway)
    assert told[-1].counts is not None
    assert told[-1].counts["completed"] == 1


def test_a_job_that_is_not_known_for_a_moment_is_looked_at_again(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    gateway = Gateway(Slurm())
    gateway.reads = [unknown_job()]
    told = run(tmp_path, gateway)
    assert [event.state for event in told if event.kind == "ended"] == ["COMPLETED"]


def test_an_outage_does_not_count_towards_what_a_file_is_set_aside_for(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    gateway = Gateway(Slurm())
    gateway.faults = [*(refused("upstream_unreachable", 502) for _ in range(9)), by_slurm(500), by_slurm(500, 1800), by_slurm(500)]
    told = run(tmp_path, gateway)
    assert gateway.slurm.names == ["a.json"]
    assert "set_aside" not in kinds(told)


@pytest.mark.parametrize("replaced", ["moved", "replaced", "journal"])
def test_a_folder_that_is_moved_away_under_way_ends_the_queue_and_nothing_is_taken_from_another(tmp_path: Path, replaced: str) -> None:
    folder, away = tmp_path / "jobs", tmp_path / "away"
    folder.mkdir()
    write(folder, "a.json", "b.json")
    gateway = Gateway(Slurm())

    def replace() -> None:
        if away.exists():
            return
        if replaced == "journal":
            (folder / ".slurm-gateway-queue").rename(away)
        else:
            folder.rename(away)
        if replaced == "replaced":
            folder.mkdir()
            write(folder, "c.json")
        if replaced != "moved":
            with queue(folder, Gateway(Slurm())) as other:  # which has everything there is
                list(other)

    with queue(folder, gateway, then=replace) as running, pytest.raises(GatewayError, match="is not the folder any more that it was") as caught:
        list(running)
    hint = "Start the queue again on the folder that you mean; where it was is written down in that one's .slurm-gateway-queue."
    assert caught.value.hint == hint
    assert gateway.slurm.names == ["a.json"]


def test_a_file_that_changes_between_the_look_and_its_turn_has_to_be_still_again(tmp_path: Path) -> None:
    write(tmp_path, "a.json", "b.json")
    gateway = Gateway(Slurm())
    gateway.slurm.now = (tmp_path / "b.json").stat().st_ctime + 100.0
    with queue(tmp_path, gateway, Options(settle=1.0), then=lambda: write(tmp_path, "b.json")) as running:
        told = []
        for event in running:
            told.append(event)
            if event.kind == "ended" and event.file == "a.json":
                (tmp_path / "b.json").write_text("")  # somebody begins to write it anew
    assert gateway.slurm.names == ["a.json", "b.json"]
    assert not {"set_aside", "changed"} & set(kinds(told))


@pytest.mark.parametrize(
    "error", [refused("not_permitted", 403), refused("not_found", 404), NotUnderstoodError("huge", hint="", reason="answer_too_large")]
)
def test_accounting_that_is_not_for_us_does_not_hold_up_the_queue(tmp_path: Path, error: GatewayError) -> None:
    gateway = Gateway(Slurm())
    interrupted(tmp_path, gateway)
    gateway.slurm.pass_time(21 * 3600)

    def recorded(since: float) -> Sequence[Mapping[str, Any]]:
        del since
        raise error

    gateway.recorded = recorded  # type: ignore[method-assign]
    run(tmp_path, gateway)
    assert statuses(tmp_path) == {"a.json": Status.COMPLETED}


def test_accounting_that_asks_who_we_are_ends_the_queue(tmp_path: Path) -> None:
    gateway = Gateway(Slurm())
    interrupted(tmp_path, gateway)
    gateway.slurm.pass_time(21 * 3600)

    def recorded(since: float) -> Sequence[Mapping[str, Any]]:
        del since
        raise refused("token_refused", 401)

    gateway.recorded = recorded  # type: ignore[method-assign]
    with pytest.raises(GatewayError, match="token_refused"):
        run(tmp_path, gateway)
    assert statuses(tmp_path) == {"a.json": Status.SENDING}


@pytest.mark.parametrize("back", [7200.0, 10 * 24 * 3600.0])
def test_with_a_clock_that_was_put_back_a_key_is_not_taken_for_younger_than_it_is(tmp_path: Path, back: float) -> None:
    gateway = Gateway(Slurm())
    interrupted(tmp_path, gateway)
    gateway.slurm.pass_time(25 * 3600)
    gateway.keys.clear()  # a day is over
    gateway.slurm.now -= 25 * 3600 + back
    run(tmp_path, gateway)
    assert gateway.sent == ["a.json"]


def test_a_job_of_somebody_elses_that_has_the_number_of_ours_now_is_not_taken_for_ours(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    gateway = Gateway(Slurm())

    def lose_state() -> None:
        gateway.slurm.jobs[90].update(user_name="bob", job_state="COMPLETED")

    with queue(tmp_path, gateway, then=lose_state) as running:
        told = list(running)
    assert [event.state for event in told if event.kind == "ended"] == ["UNKNOWN"]


def test_a_job_that_accounting_alone_takes_for_running_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    gateway = Gateway(Slurm(life=1e9))
    told_by_accounting = {"job_id": 90, "name": "a.json", "user": "carol", "state": {"current": "RUNNING"}}
    gateway.job = lambda job_id: [Job.of_accounting({**told_by_accounting, "job_id": job_id})]  # type: ignore[method-assign]
    began = gateway.slurm.now
    told = run(tmp_path, gateway)
    assert [event.state for event in told if event.kind == "ended"] == ["UNKNOWN"]
    assert 900 <= gateway.slurm.now - began < 1000


def test_one_that_is_stopped_says_what_may_be_in_slurm(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    gateway = Gateway(Slurm())
    gateway.faults = [("lost", GONE)]
    with queue(tmp_path, gateway) as running:
        told = []
        for event in running:
            told.append(event)
            if event.kind == "waiting":
                running.stop()
    assert [(event.jobs, event.files) for event in told if event.kind == "stopped"] == [((), ("a.json",))]


def test_at_a_limit_that_other_jobs_of_ours_have_reached_they_are_waited_for(tmp_path: Path) -> None:
    write(tmp_path, "a.json", "b.json")
    gateway = Gateway(Slurm(life=3600.0))
    gateway.slurm.submit("by hand")
    submit, refusals = gateway.submit, []

    def limited(body: bytes, *, key: str | None = None) -> Submitted:
        if gateway.slurm.jobs[90]["job_state"] == "RUNNING":
            refusals.append(key)
            raise by_slurm(500, 2050)
        return submit(body, key=key)

    gateway.submit = limited  # type: ignore[method-assign]
    told = run(tmp_path, gateway)
    assert gateway.slurm.names == ["by hand", "a.json", "b.json"]
    assert "set_aside" not in kinds(told)
    assert kinds(told).count("limited") == len(refusals) < 20
