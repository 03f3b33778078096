"""What ``check FILE`` says of a job file is what Slurm does with it, on both Slurms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.check_job import problems_of
from gateway.client.jobfile.schema import Submission, submission_of
from tests.system.people import Person, signed_in
from tests.system.support import Answer, Site

USER = "adele"
SCRIPT = "#!/bin/sh\ntrue\n"
OLD = 38
# What differs from one job to the next, whatever was asked for.
THEIR_OWN = frozenset(
    {
        "job_id",
        "submit_time",
        "eligible_time",
        "accrue_time",
        "last_sched_evaluation",
        "start_time",
        "end_time",
        "pre_sus_time",
        "priority",
        "flags",
        "batch_host",
        "command",
        "standard_error",
        "standard_output",
        "standard_input",
        "stderr_expanded",
        "stdout_expanded",
        "stdin_expanded",
        "standard_error_expanded",
        "standard_output_expanded",
        "standard_input_expanded",
    }
)


@pytest.fixture(scope="module")
def described(either: Site) -> Submission:
    return submission_of(either.call(USER, "GET", "/openapi/v3").json)


@pytest.fixture(scope="module")
def person(either: Site, tmp_path_factory: pytest.TempPathFactory) -> Person:
    return signed_in(either, USER, tmp_path_factory.mktemp("home"))


def job(site: Site, **more: Any) -> dict[str, Any]:
    """Return a job that is held, in v0.0.36's shape, which the gateway brings up."""
    given = {"name": "checked", "current_working_directory": str(site.home(USER)), "environment": {"PATH": "/bin:/usr/bin"}, "hold": True}
    return {name: value for name, value in (given | more).items() if value != "LEFT OUT"}


def submitted(site: Site, tree: Any) -> Answer:
    return site.call(USER, "POST", "/slurm/latest/job/submit", tree)


def is_taken(answer: Answer) -> bool:
    """Tell whether there is a job: 24.11 answers with 200 and no number where it did not understand a value."""
    return answer.status == 200 and bool(answer.json.get("job_id"))


def shown(site: Site, answer: Answer) -> dict[str, Any]:
    """Return a job as Slurm shows it, without what is its own, and cancel it."""
    path = f"/slurm/latest/job/{answer.json['job_id']}"
    told = site.call(USER, "GET", path).json["jobs"][0]
    site.call(USER, "DELETE", path)
    return {name: value for name, value in told.items() if name not in THEIR_OWN}


def is_lost(site: Site, answer: Answer, changed: dict[str, Any]) -> bool:
    """Tell whether a job is as it would be without the fields that are wrong."""
    ignored = any("gnoring unknown" in str(warning.get("description")) for warning in answer.json.get("warnings") or [])
    without = submitted(site, {"job": job(site, **dict.fromkeys(changed, "LEFT OUT")), "script": SCRIPT})
    assert is_taken(without), without.body
    return (shown(site, answer) == shown(site, without)) or ignored


def errors_in(tmp_path: Path, described: Submission, tree: Any) -> list[str]:
    file = tmp_path / "job.json"
    file.write_text(json.dumps(tree, indent=2))
    problems, _ = problems_of(str(file), described)
    return [f"{problem.field}: {problem.message}" for problem in problems if problem.severity == "error"]


# Each line is a job: fields that are set beside those of any job.
FIELDS: tuple[dict[str, Any], ...] = (
    {},
    {"environment": "LEFT OUT"},
    {"environment": None},
    {"environment": {}},
    {"environment": []},
    {"environment": ["PATH=/bin"]},
    {"environment": "PATH=/bin"},
    {"environment": {"A": 5}},
    {"current_working_directory": "LEFT OUT"},
    {"name": "LEFT OUT"},
    {"name": 5},
    {"name": True},
    {"name": None},
    {"name": ["x"]},
    {"name": {"a": "b"}},
    {"tiem_limit": 5},
    {"no_such_field": 5},
    {"Tasks": 1},
    {"time_limit": 5},
    {"time_limit": "5"},
    {"time_limit": "1-00:00:00"},
    {"time_limit": "01:30:00"},
    {"time_limit": "UNLIMITED"},
    {"time_limit": "tomorrow"},
    {"time_limit": ["5"]},
    {"time_limit": {"set": True, "infinite": False, "number": 5}},
    {"time_limit": {"set": False, "infinite": True, "number": 0}},
    {"time_limit": {"set": True, "number": 5, "bad": 1}},
    {"time_limit": True},
    {"time_limit": None},
    {"time_minimum": 5},
    {"tasks": 1},
    {"tasks": "1"},
    {"tasks": 1.0},
    {"tasks": "many"},
    {"tasks": True},
    {"tasks": [1]},
    {"tasks": {"number": 1}},
    {"ntasks": 1},
    {"ntasks": "many"},
    {"cpus_per_task": 1},
    {"cpus_per_task": "one"},
    {"tasks_per_node": 1},
    {"nodes": 1},
    {"nodes": "1"},
    {"nodes": "1-1"},
    {"nodes": {"a": 1}},
    {"minimum_nodes": 1, "maximum_nodes": 1},
    {"minimum_nodes": "x"},
    {"memory_per_node": 10},
    {"memory_per_node": "10M"},
    {"memory_per_node": "much"},
    {"memory_per_node": {"set": True, "infinite": False, "number": 10}},
    {"memory_per_cpu": 10},
    {"memory_per_cpu": [10]},
    {"begin_time": "now+1hour"},
    {"begin_time": "2030-01-31T08:00:00"},
    {"begin_time": 1900000000},
    {"begin_time": {"set": True, "infinite": False, "number": 1900000000}},
    {"begin_time": "x"},
    {"deadline": "2035-01-31T08:00:00"},
    {"deadline": 2050000000},
    {"mail_type": "END"},
    {"mail_type": "END,FAIL"},
    {"mail_type": ["END", "FAIL"]},
    {"mail_type": ["end"]},
    {"mail_type": ["ENDS"]},
    {"mail_type": 5},
    {"mail_user": "adele@example.org"},
    {"mail_user": ["adele@example.org"]},
    {"open_mode": "append"},
    {"open_mode": ["TRUNCATE"]},
    {"open_mode": "sideways"},
    {"exclusive": "true"},
    {"exclusive": True},
    {"exclusive": "user"},
    {"exclusive": ["mcs"]},
    {"exclusive": "nobody"},
    {"shared": ["user"]},
    {"shared": ["everybody"]},
    {"hold": "yes"},
    {"requeue": True},
    {"requeue": False},
    {"requeue": "no"},
    {"kill_on_invalid_dependency": True},
    {"kill_on_invalid_dependency": ["x"]},
    {"flags": ["KILL_INVALID_DEPENDENCY"]},
    {"flags": ["KILL_INVALID_DEPENDENCIES"]},
    {"flags": "SPREAD_JOB"},
    {"spread_job": True},
    {"comment": "hello"},
    {"comment": 5.5},
    {"comment": ["x"]},
    {"account": 5 * ["x"]},
    {"nice": 5},
    {"nice": "5"},
    {"nice": "x"},
    {"signal": "USR1@60"},
    {"signal": "B:USR1@60"},
    {"kill_warning_signal": "USR1", "kill_warning_delay": {"set": True, "infinite": False, "number": 60}},
    {"array": "1-2"},
    {"array": ["1-2"]},
    {"dependency": ["afterok:1"]},
    {"partition": ["debug"]},
    {"standard_output": "out.txt"},
    {"standard_output": ["out.txt"]},
    {"standard_out": "out.txt"},
    {"cwd": "/tmp", "current_working_directory": "LEFT OUT"},
    {"job_name": "other", "name": "LEFT OUT"},
    {"get_user_environment": True},
    {"get_user_environment": 1},
    {"no_kill": True},
    {"wait_all_nodes": True},
    {"wait_all_nodes": 1},
    {"cpu_binding": "none"},
    {"cpu_binding": ["none"]},
    {"priority": 5 * [1]},
    {"contiguous": True},
    {"overcommit": True},
    {"reboot": ["x"]},
    {"licenses": []},
    {"no_requeue": True},
    {"umask": "022"},
    {"profile": "none"},
    {"container_id": "x"},
    {"x11": ["FIRST"]},
    {"distribution": {"block": 1}},
)


@pytest.mark.parametrize("fields", FIELDS, ids=lambda fields: json.dumps(fields)[:60])
def test_a_file_without_errors_is_taken_and_one_with_errors_is_refused_or_loses_them(
    either: Site, described: Submission, tmp_path: Path, fields: dict[str, Any]
) -> None:
    tree = {"job": job(either, **fields), "script": SCRIPT}
    errors = errors_in(tmp_path, described, tree)
    answer = submitted(either, tree)
    if errors:
        assert not is_taken(answer) or is_lost(either, answer, fields), (errors, answer.body)
    else:
        assert is_taken(answer), answer.body
        shown(either, answer)
        assert not any("gnoring unknown" in str(warning) for warning in answer.json.get("warnings") or []), answer.json["warnings"]


def _whole(site: Site) -> dict[str, Any]:
    inner = job(site)
    return {
        "the script in the job": {"job": {**inner, "script": SCRIPT}},
        "the seed's": {"jobs": inner, "script": SCRIPT},
        "a heterogeneous job": {"jobs": [inner, inner], "script": SCRIPT},
        "no script": {"job": inner},
        "an empty script": {"job": inner, "script": ""},
        "no job": {"script": SCRIPT},
        "a job that is a text": {"job": "x", "script": SCRIPT},
        "a field outside": {"job": inner, "script": SCRIPT, "tasks": 1},
    }


@pytest.mark.parametrize("name", ["the script in the job", "the seed's", "a heterogeneous job", "no script", "an empty script"])
def test_a_whole_submission_is_judged_as_slurm_does(either: Site, described: Submission, tmp_path: Path, name: str) -> None:
    tree = _whole(either)[name]
    errors = errors_in(tmp_path, described, tree)
    answer = submitted(either, tree)
    assert is_taken(answer) == (not errors), (errors, answer.body)
    if is_taken(answer):
        shown(either, answer)


@pytest.mark.parametrize("name", ["no job", "a job that is a text", "a field outside"])
def test_what_is_no_submission_is_an_error(either: Site, described: Submission, tmp_path: Path, name: str) -> None:
    assert errors_in(tmp_path, described, _whole(either)[name])


# The one thing that is not tried: it would end slurmrestd for everybody.
@pytest.mark.parametrize(("field", "value", "release"), [("argv", ["a"], "22.05"), ("batch_features", "x", "22.05"), ("group_id", "users", None)])
def test_what_ends_slurmrestd_is_an_error(either: Site, described: Submission, tmp_path: Path, field: str, value: Any, release: str | None) -> None:
    errors = errors_in(tmp_path, described, {"job": job(either, **{field: value}), "script": SCRIPT})
    assert bool(errors) == (release is None or either.told["slurm_version"].startswith(release)), errors


WRONG = """{
  "job": {
    "name": "one",
    "tiem_limit": 5,
    "tasks": "many"
  },
  "script": "#!/bin/sh\\ntrue\\n"
}
"""


def test_everything_is_told_at_once_with_its_place(either: Site, person: Person) -> None:
    (person.folder / "job.json").write_text(WRONG)
    ran = person.run("check", "job.json")
    newest = either.told["api_versions"][-1]
    lines = [line for line in ran.stdout.splitlines() if "warning" not in line and "note" not in line and "working directory" not in line]
    assert (ran.returncode, lines) == (
        1,
        [
            "job.json:4:5: job.tiem_limit: unknown field; did you mean time_limit?",
            f'job.json:5:14: job.tasks: is the text "many"; {newest} takes a whole number',
        ],
    )
    assert ran.stderr.splitlines()[-1] == "hint: Correct it, then check again."


def test_a_file_with_nothing_wrong_is_said_to_be_so_with_what_it_was_checked_against(either: Site, person: Person) -> None:
    (person.folder / "good.yaml").write_text("job:\n  name: one\n  current_working_directory: /tmp\nscript: |\n  #!/bin/sh\n  true\n")
    ran = person.run("check", "good.yaml")
    release = ".".join(either.told["slurm_version"].split(".")[:2])
    said = f"good.yaml: nothing is wrong (checked against {either.told['api_versions'][-1]} of Slurm {release})"
    assert (ran.returncode, ran.stdout.splitlines()[-1], ran.stderr) == (0, said, "")


def test_a_program_gets_the_problems_as_json(person: Person) -> None:
    (person.folder / "job.json").write_text(WRONG)
    ran = person.run("check", "--json", "job.json")
    problems = json.loads(ran.stdout)["problems"]
    found = {problem["field"]: (problem["line"], problem["column"], problem["severity"]) for problem in problems}
    assert (ran.returncode, found["job.tiem_limit"], found["job.tasks"]) == (1, (4, 5, "error"), (5, 14, "error"))


def test_a_batch_script_is_checked_and_its_options_have_their_lines(either: Site, person: Person) -> None:
    (person.folder / "job.sh").write_text("#!/bin/sh\n#SBATCH --ntasks=1\n#SBATCH --overcommit --time=5\ntrue\n")
    ran = person.run("check", "job.sh")
    is_old = either.told["slurm_version"].startswith("22.05")
    assert (ran.returncode, "job.sh:3: job.overcommit: unknown field" in ran.stdout) == ((1, True) if is_old else (0, False))


def test_checking_submits_nothing(either: Site, person: Person) -> None:
    (person.folder / "good.json").write_text(json.dumps({"job": job(either, name="only-checked"), "script": SCRIPT}))
    assert person.run("check", "good.json").returncode == 0
    assert "only-checked" not in person.run("jobs", "--json").stdout


def test_a_file_comes_from_standard_input_too(person: Person) -> None:
    ran = person.run("check", "-", typed=WRONG)
    assert (ran.returncode, ran.stdout.startswith("-:")) == (1, True)
