"""``check FILE`` against a gateway that serves a cluster's description of itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import check_job
from gateway.client.asking import Answer
from gateway.client.errors import GatewayError
from gateway.client.gateway import Gateway
from tests.unit.cli.conftest import Run
from tests.unit.client.jobfile.documents import NEW, OLD, document

GOOD = {"job": {"name": "one", "current_working_directory": "/tmp", "environment": ["PATH=/bin"]}, "script": "#!/bin/sh\n"}
Serve = Callable[..., list[str]]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Serve:
    """Have the gateway serve a description, and return what it is asked for."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("SLURM_GATEWAY_TOKEN", "sgw_x")
    monkeypatch.setenv("SLURM_GATEWAY_URL", "https://gateway.example.org")
    monkeypatch.delenv("SLURM_GATEWAY_SITE", raising=False)
    monkeypatch.chdir(tmp_path)

    def served(body: Any, meta: Any = None) -> list[str]:
        asked: list[str] = []

        def call(_gateway: Gateway, method: str, path: str, **_: Any) -> Answer:
            asked.append(f"{method} {path}")
            return Answer(status=200, headers={}, body=body if isinstance(body, bytes) else json.dumps(body).encode())

        def ping(_gateway: Gateway) -> Any:
            if isinstance(meta, Exception):
                raise meta
            return {"meta": meta}

        monkeypatch.setattr(Gateway, "call", call)
        monkeypatch.setattr(Gateway, "ping", ping)
        return asked

    return served


def written(content: Any, name: str = "job.json") -> str:
    Path(name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return name


def test_nothing_wrong_is_said_in_one_line(run: Run, serve: Serve) -> None:
    asked = serve(document(NEW))
    ran = run("check", written(GOOD))
    assert (ran.code, ran.out, ran.err) == (0, "job.json: nothing is wrong (checked against v0.0.42 of Slurm 24.11)\n", "")
    assert asked == ["GET /openapi/v3"]


def test_another_cluster_is_asked_for_its_own_description(run: Run, serve: Serve) -> None:
    asked = serve(document(NEW))
    run("check", "--cluster", "other/one", written(GOOD))
    assert asked == ["GET /clusters/other%2Fone/openapi/v3"]


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({"Slurm": {"release": "22.05.8"}}, "v0.0.38 of Slurm 22.05"),
        ({"slurm": {"release": "22.05.8"}}, "v0.0.38 of Slurm 22.05"),
        ({"Slurm": 5}, "v0.0.38"),
        (None, "v0.0.38"),
        (GatewayError("x", hint="y"), "v0.0.38"),
    ],
)
def test_the_release_is_asked_for_where_the_description_does_not_tell_it(run: Run, serve: Serve, meta: Any, said: str) -> None:
    serve(document(OLD, version="v0.0.38") | {"info": {"version": "dbv0.0.36"}}, meta)
    job = {"job": {**GOOD["job"], "environment": {"A": "b"}}, "script": "#!/bin/sh\n"}  # type: ignore[dict-item]
    assert run("check", written(job)).out == f"job.json: nothing is wrong (checked against {said})\n"


def test_one_error_has_its_own_hint(run: Run, serve: Serve) -> None:
    serve(document(NEW))
    ran = run("check", written({**GOOD, "scirpt": "x"}))
    assert (ran.code, ran.out) == (1, "job.json:1:118: scirpt: unknown field; did you mean script?\n")
    assert ran.err == "slurm-gateway: job.json: 1 error (checked against v0.0.42 of Slurm 24.11)\nhint: Did you mean script?\n"


def test_several_errors_are_told_at_once(run: Run, serve: Serve) -> None:
    serve(document(NEW))
    ran = run("check", written({**GOOD, "scirpt": "x", "xyzzy": 1}))
    assert (len(ran.out.splitlines()), ran.err.splitlines()[-1]) == (2, "hint: Correct it, then check again.")


def test_warnings_and_notes_are_told_and_are_no_errors(run: Run, serve: Serve) -> None:
    serve(document(NEW))
    ran = run("check", written({**GOOD, "job": {"name": 5, "current_working_directory": "/tmp"}}))
    assert (ran.code, [line.split(" ")[1] for line in ran.out.splitlines()]) == (0, ["note:", "warning:", "nothing"])


@pytest.mark.parametrize(
    ("content", "name", "line", "column"),
    [
        (b"{\n  x", "job.json", 2, 3),
        (b"job:\n\t- x", "job.yaml", 2, 1),
        (b"#!/bin/sh\n#SBATCH --nonsense\ntrue\n", "job.sh", 2, None),
        (b"", "job.json", None, None),
        (b"[]", "job.json", None, None),
        (b"\xff", "job.json", 1, None),
    ],
)
def test_a_file_that_cannot_be_read_is_a_problem_with_its_place(
    run: Run, serve: Serve, content: bytes, name: str, line: int | None, column: int | None
) -> None:
    serve(document(NEW))
    ran = run("check", "--json", written(content, name))
    (problem,) = json.loads(ran.out)["problems"]
    assert (ran.code, problem["line"], problem["column"], problem["severity"]) == (1, line, column, "error")
    assert not problem["message"].startswith(name)
    assert ran.err.splitlines()[-1] == f"hint: {problem['hint']}"


def test_each_line_of_a_script_that_is_wrong_is_told(run: Run, serve: Serve) -> None:
    serve(document(NEW))
    ran = run("check", written(b"#!/bin/sh\n#SBATCH --tiem=5\n#SBATCH -N 2\n#SBATCH --time=soon\n#SBATCH --wrap=x\ntrue\n", "job.sh"))
    assert ran.code == 1
    assert [line[:38] for line in ran.out.splitlines()] == [
        "job.sh:2: there is no option --tiem. D",
        "job.sh:4: --time=soon: it is no time: ",
        "job.sh:5: --wrap brings a script of it",
    ]
    assert (ran.out.splitlines()[0].endswith("Did you mean --time?"), ran.out.endswith("Take --wrap out of the script.\n")) == (True, True)
    assert ran.err == "slurm-gateway: job.sh: 3 errors (checked against v0.0.42 of Slurm 24.11)\nhint: Correct it, then check again.\n"


@pytest.mark.parametrize("content", [b"a: [\x0d\x0d\x0d", "a: [\x85\x85\u2028".encode()])
def test_a_line_that_yaml_alone_counts_is_told(run: Run, serve: Serve, content: bytes) -> None:
    serve(document(NEW))
    assert run("check", written(content, "job.yaml")).err.splitlines()[0].startswith("slurm-gateway: job.yaml: 1 error")


def test_a_file_that_is_not_there_is_said_so(run: Run, serve: Serve) -> None:
    serve(document(NEW))
    ran = run("check", "nowhere.json")
    assert (ran.code, ran.out) == (1, "nowhere.json: cannot be read: No such file or directory\n")
    assert ran.err.splitlines()[-1] == "hint: Look at its name and its rights."


def test_a_program_gets_an_empty_list_of_a_good_file(run: Run, serve: Serve) -> None:
    serve(document(NEW))
    ran = run("check", "--json", written(GOOD))
    assert (ran.code, json.loads(ran.out), ran.err) == (0, {"problems": []}, "")


def test_the_line_of_an_option_is_told_for_a_script(run: Run, serve: Serve) -> None:
    fields = {name: schema for name, schema in NEW.items() if name != "deadline"}
    serve(document(fields))
    ran = run("check", written(b"#!/bin/sh\n#SBATCH -n 1\n#SBATCH --time=5 --deadline=2030-01-01\ntrue\n", "job.sh"))
    assert (ran.code, "job.sh:3: job.deadline: unknown field" in ran.out) == (1, True)
    assert "note:" not in ran.out


@pytest.mark.parametrize("body", [b"no json", b"[]", b"{}", b'{"paths": {"/slurm/v0.0.42/job/submit": 5}}'])
def test_a_description_that_is_none_is_said_to_be_so(run: Run, serve: Serve, body: bytes) -> None:
    serve(body)
    ran = run("check", written(GOOD))
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (1, "", 2)
    assert ran.err.splitlines()[-1].startswith(("hint: Ask your administrators", "hint: Is this the gateway's address?"))


def test_a_description_that_is_too_large_is_not_read(run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_job, "LARGEST_DESCRIPTION", 10)
    serve(document(NEW))
    assert run("check", written(GOOD)).err == (
        "slurm-gateway: the cluster's description of its API is too large\nhint: Ask your administrators to look at /openapi/v3.\n"
    )


def test_what_a_terminal_might_act_upon_is_not_shown(run: Run, serve: Serve) -> None:
    serve(document(NEW))
    ran = run("check", written({**GOOD, "\x1b[31mred\u202e": 1}))
    assert "\x1b" not in ran.out + ran.err
    assert "\u202e" not in ran.out + ran.err


def test_of_very_many_wrong_lines_the_first_are_told(run: Run, serve: Serve) -> None:
    serve(document(NEW))
    ran = run("check", written(b"#!/bin/sh\n" + b"#SBATCH --nonsense\n" * 1000 + b"true\n", "many.sh"))
    assert (ran.code, ran.out.count("many.sh:")) == (1, 50)


def test_of_a_very_large_script_the_first_wrong_line_is_told(run: Run, serve: Serve) -> None:
    serve(document(NEW))
    ran = run("check", written(b"#!/bin/sh\n" + b"#SBATCH --nonsense\n" * 3 + b"#" * 1024 * 1024, "large.sh"))
    assert (ran.code, ran.out.count("large.sh:")) == (1, 1)


def test_what_to_do_about_each_wrong_line_is_said_to_people_beside_it_and_to_programs_apart(run: Run, serve: Serve) -> None:
    serve(document(NEW))
    script = written(b"#!/bin/sh\n#SBATCH --nonsense\n#SBATCH --time=soon\ntrue\n", "two.sh")
    problems = json.loads(run("check", script, "--json").out)["problems"]
    lines = run("check", script).out.splitlines()
    assert len(problems) == len(lines) == 2
    for problem, line in zip(problems, lines, strict=True):
        assert (problem["hint"] in problem["message"], line.endswith(f"{problem['message']}. {problem['hint']}")) == (False, True)
