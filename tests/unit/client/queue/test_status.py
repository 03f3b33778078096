"""How far a queue is, and what it would do, without touching anything."""

from __future__ import annotations

from pathlib import Path

from gateway.client.queue.journal import Journal
from gateway.client.queue.plan import Options
from gateway.client.queue.status import plan, report
from tests.unit.client.queue.fakes import Gateway, Slurm, by_slurm, run, write


def lines(folder: Path) -> list[tuple[str, str]]:
    return [(line.file, line.status) for line in report(folder, Options()).lines]


def test_each_file_is_accounted_for(tmp_path: Path) -> None:
    write(tmp_path, "a.json", "b.json", "c.json")
    gateway = Gateway(Slurm())
    gateway.refused = {"b.json": by_slurm(400, 2000, message="No such partition")}
    gateway.slurm.ends, gateway.slurm.reasons = {"c.json": ("FAILED", 181)}, {"c.json": "JobLaunchFailure"}
    run(tmp_path, gateway)
    write(tmp_path, "d10.json", "d9.json", "b.json")
    (tmp_path / "notes.txt").touch()
    told = report(tmp_path, Options())
    assert [(line.file, line.status) for line in told.lines] == [
        ("a.json", "completed"),
        ("b.json", "set_aside"),
        ("c.json", "failed"),
        ("b.json", "waiting"),
        ("d9.json", "waiting"),
        ("d10.json", "waiting"),
    ]
    assert told.counts == {"completed": 1, "set_aside": 1, "failed": 1, "waiting": 3}
    assert told.others == ("notes.txt",)
    assert told.lines[1].reason == "No such partition"
    assert (told.lines[2].tree()["exit_code"], told.lines[2].reason) == (181, "JobLaunchFailure")


def test_an_untouched_folder_stays_so(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    assert lines(tmp_path) == [("a.json", "waiting")]
    plan(tmp_path, Options())
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_who_runs_it_is_told(tmp_path: Path) -> None:
    with Journal(tmp_path):
        assert report(tmp_path, Options()).holder is not None
    assert report(tmp_path, Options()).holder is None


def test_a_plan_says_what_would_be_set_aside_and_in_which_order(tmp_path: Path) -> None:
    write(tmp_path, "b.json", "a.json")
    (tmp_path / "c.json").write_text("{")
    (tmp_path / "d.json").touch()
    planned = plan(tmp_path, Options())
    assert [(line.file, line.status) for line in planned.lines] == [
        ("a.json", "waiting"),
        ("b.json", "waiting"),
        ("c.json", "set_aside"),
        ("d.json", "set_aside"),
    ]
    assert planned.lines[3].reason == "d.json is empty"
    assert planned.counts == {"waiting": 2, "set_aside": 2}
