"""Batch scripts, read as sbatch reads them: its rules of lines, quotes and options."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.errors import JobFileError
from gateway.client.jobfile.sbatch import DEFAULT_PATH, Asked, job_of
from gateway.client.jobfile.values import number

ENVIRONMENT = {"HERE": "yes", "SLURM_GATEWAY_TOKEN": "sgw_secret"}


def asked(*lines: str, first: str = "#!/bin/sh", last: str = "id") -> Asked:
    return job_of("\n".join([first, *lines, last, ""]), "hello.sh", directory="/home/alice", environment=ENVIRONMENT)


def job(*lines: str) -> dict[str, Any]:
    """Return what the lines ask for, without what each job has."""
    found: dict[str, Any] = dict(asked(*lines).tree["job"])
    for name in ("script", "environment", "current_working_directory"):
        del found[name]
    if found["name"] == "hello.sh":
        del found["name"]
    return found


def variables(*lines: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in asked(*lines).tree["job"]["environment"])


def test_the_whole_script_travels_and_the_job_is_called_after_its_file() -> None:
    found = asked("#SBATCH -n2", "# a comment").tree["job"]
    assert (found["script"], found["name"]) == ("#!/bin/sh\n#SBATCH -n2\n# a comment\nid\n", "hello.sh")
    assert job_of("#!/bin/sh\nid\n", "-", directory="/", environment={}).tree["job"]["name"] == "sbatch"
    assert job_of("#!/bin/sh\nid\n", "jobs/x.sh", directory="/", environment={}).tree["job"]["name"] == "x.sh"


@pytest.mark.parametrize(
    ("lines", "fields"),
    [
        (["#SBATCH --partition=debug"], {"partition": "debug"}),
        (["#SBATCH --partition debug"], {"partition": "debug"}),
        (["#SBATCH -p debug"], {"partition": "debug"}),
        (["#SBATCH -pdebug"], {"partition": "debug"}),
        (["#SBATCH --part=debug"], {"partition": "debug"}),
        (["#SBATCH\t-p\tdebug \v"], {"partition": "debug"}),
        (["#SBATCH--partition=debug"], {"partition": "debug"}),
        (["#SLURM -p debug"], {"partition": "debug"}),
        (["#SBATCH -p debug -n 2", "#SBATCH -A lab"], {"partition": "debug", "tasks": 2, "account": "lab"}),
        (["#SBATCH -Hn2"], {"hold": True, "tasks": 2}),
        (["#SBATCH --hold --priority=7"], {"hold": True}),
        (["#SBATCH -p", "#SBATCH debug"], {"partition": "debug"}),
        (["#SBATCH -n1", "#SBATCH -n2"], {"tasks": 2}),
        (["#SBATCH --comment='two words'"], {"comment": "two words"}),
        (['#SBATCH --comment="it\'s"'], {"comment": "it's"}),
        (["#SBATCH --comment=two\\ words"], {"comment": "two words"}),
        (["#SBATCH --comment=a\\#b"], {"comment": "a#b"}),
        (["#SBATCH --comment='a#b'"], {"comment": "a#b"}),
        (['#SBATCH --comment="say \\"a\\""'], {"comment": 'say "a"'}),
        (["#SBATCH --comment=a#b -n2"], {"comment": "a"}),
        (["#SBATCH -n2 # -n3"], {"tasks": 2}),
        (["#SBATCH"], {}),
        (["#SBATCH --nice"], {"nice": 100}),
        (["#SBATCH --exclusive -n2"], {"exclusive": "exclusive", "tasks": 2}),
        (["", "  # remark", "#SBATCH -n2"], {"tasks": 2}),
        (["# SBATCH -n2", "##SBATCH -n2", " #SBATCH -n2", "#sbatch -n2"], {}),
        (["date", "#SBATCH -n2"], {}),
        (["#SBATCH -n4 --ntasks-per-node=2"], {"tasks": 4, "tasks_per_node": 2}),
        (["#SBATCH -N2 --ntasks-per-node=2"], {"nodes": "2", "tasks_per_node": 2, "tasks": 4}),
        (["#SBATCH -N1-2 --ntasks-per-node=2"], {"nodes": "1-2", "tasks_per_node": 2}),
    ],
)
def test_lines_are_read_as_sbatch_reads_them(lines: list[str], fields: dict[str, object]) -> None:
    assert job(*lines) == fields


def test_a_line_after_the_first_command_is_a_comment_and_that_is_said() -> None:
    assert asked("date", "#SBATCH -n2", "#SBATCH -n3").notes[0] == (
        "#SBATCH in lines 3, 4 come after the first command, so they are comments, as they are to sbatch."
    )


HETEROGENEOUS = "Write it as a JSON or YAML job file with a list of 'jobs'."
TOKEN = "Take it out of --export; a job that asks the gateway itself reads a token of its own from a file on the cluster."
ERRORS = {
    "an unknown option": ("#SBATCH --partion=x", "there is no option --partion", "Did you mean --partition?"),
    "one that is like no other": ("#SBATCH --zzzz", "there is no option --zzzz", "sbatch's options are meant: man sbatch."),
    "an unknown letter": ("#SBATCH -Z", "there is no option -Z", "sbatch's options are meant: man sbatch."),
    "an ambiguous beginning": ("#SBATCH --no=1", "--no may be any of --no-kill", "Write it out."),
    "a value that is missing": ("#SBATCH --time", "--time needs a value", "Write --time=VALUE."),
    "a letter's value that is missing": ("#SBATCH -t", "-t needs a value", "Write -t VALUE."),
    "a value too many": ("#SBATCH --hold=yes", "--hold takes no value", "Write --hold alone."),
    "a word": ("#SBATCH -n2 four", "'four' is no option", "Options begin with - or --; a value with spaces in it needs quotes."),
    "a bad value": ("#SBATCH --time=soon", "--time=soon: it is no time", "Correct --time; 'man sbatch' tells of it."),
    "a quote": ("#SBATCH --comment='a", "a quote (') is not closed", "Close it in the same line."),
    "an empty argument": ('#SBATCH "" -n2', "an empty argument", "sbatch would pass over the rest of the line: take it away."),
    "a colon": ("#SBATCH -n2 : -n4", "a ':' where an option should begin", "Take it away."),
    "a heterogeneous job": ("#SBATCH hetjob", "a heterogeneous job", HETEROGENEOUS),
    "the same by its old name": ("#SBATCH PackJob ", "a heterogeneous job", HETEROGENEOUS),
    "a file of this machine": ("#SBATCH --export-file=x", "--export-file reads a file", "Name the variables: --export=NAME=VALUE,NAME."),
    "another file": ("#SBATCH -F hosts", "--nodefile reads a file", "Name the nodes: --nodelist=NAME,NAME."),
    "a file for buffers": ("#SBATCH --bbf=x", "--bbf reads a file", "Write what the file says: --bb=SPECIFICATION."),
    "another cluster": ("#SBATCH -M other", "--clusters chooses a cluster", "Use --cluster NAME on the command line."),
    "the same by another name": ("#SBATCH --cluster=other", "--cluster chooses a cluster", "Use --cluster NAME on the command line."),
    "a federation": ("#SBATCH --cluster-constraint=x", "--cluster-constraint is for federations", "Take --cluster-constraint out of the script."),
    "what no field is for": ("#SBATCH --hint=compute_bound", "--hint has no field", "Take --hint out of the script."),
    "a test": ("#SBATCH --test-only", "--test-only would not submit", "Use --dry-run on the command line."),
    "nodes in a file": ("#SBATCH -w ./hosts", "--nodelist=./hosts: it names a file", "Correct --nodelist; 'man sbatch' tells of it."),
    "the token": ("#SBATCH --export=SLURM_GATEWAY_TOKEN", "--export names SLURM_GATEWAY_TOKEN", TOKEN),
    "the token among others": ("#SBATCH --export ALL,A=1,SLURM_GATEWAY_TOKEN", "--export names SLURM_GATEWAY_TOKEN", TOKEN),
    "another scheduler": (
        "#PBS -l nodes=1",
        "a line for another scheduler (#PBS)",
        "Write it as #SBATCH, or add '#SBATCH --ignore-pbs' to have such lines ignored.",
    ),
}


@pytest.mark.parametrize(("line", "says", "hint"), [pytest.param(*case, id=name) for name, case in ERRORS.items()])
def test_what_cannot_arrive_is_an_error_with_its_place_and_a_hint(line: str, says: str, hint: str) -> None:
    with pytest.raises(JobFileError) as caught:
        asked("# a remark", line)
    assert (caught.value.line, str(caught.value).startswith(f"hello.sh:3: {says}")) == (3, True), caught.value
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("script", "says", "hint"),
    [
        ("#SBATCH -n2\nid\n", "does not begin with #!", "#!/bin/sh"),
        ("#!/bin/sh\n \n", "has no line after its first one", "what the job is to do"),
        ("#!/bin/sh\n#SBATCH -n2\r\nid\r\n", "hello.sh:2: the line ends as on DOS", "dos2unix hello.sh"),
    ],
)
def test_what_is_no_script_is_refused(script: str, says: str, hint: str) -> None:
    with pytest.raises(JobFileError) as caught:
        job_of(script, "hello.sh", directory="/", environment={})
    assert says in str(caught.value)
    assert hint in caught.value.hint


def test_lines_for_another_scheduler_are_ignored_where_that_is_asked_for() -> None:
    assert job("#PBS -l nodes=1", "#SBATCH -n2 --ignore-pbs") == {"tasks": 2}


def test_the_job_runs_where_it_was_submitted_unless_another_folder_is_named() -> None:
    assert asked().tree["job"]["current_working_directory"] == "/home/alice"
    assert any("/home/alice" in note for note in asked().notes)
    there = asked("#SBATCH -D /scratch")
    assert there.tree["job"]["current_working_directory"] == "/scratch"
    assert not any("--chdir" in note for note in there.notes)
    assert asked("#SBATCH -D sub/folder/").tree["job"]["current_working_directory"] == "/home/alice/sub/folder"


def test_the_environment_is_that_of_no_machine_but_what_was_chosen() -> None:
    here = {"SLURM_SUBMIT_DIR": "/home/alice"}
    login = {"SLURM_GET_USER_ENV": "1"}
    assert variables() == {"PATH": DEFAULT_PATH, **here}
    assert variables("#SBATCH --export=ALL") == {"PATH": DEFAULT_PATH, **here}
    assert variables("#SBATCH --get-user-env") == login | here
    assert variables("#SBATCH --export=NONE") == login | here | {"SLURM_EXPORT_ENV": "NONE"}
    assert variables("#SBATCH --export=NIL") == here | {"SLURM_EXPORT_ENV": "NIL"}
    listed = variables("#SBATCH --export=A=1,HERE,GONE,ALL,'B=\"x,y\"'")
    assert listed == login | here | {"A": "1", "HERE": "yes", "B": "x,y", "SLURM_EXPORT_ENV": 'A=1,HERE,GONE,ALL,B="x,y"'}
    assert any("GONE, which is not set here" in note for note in asked("#SBATCH --export=GONE").notes)


def test_the_script_is_told_of_its_tasks_and_cpus() -> None:
    told = variables("#SBATCH -c2 --ntasks-per-node=3 --threads-per-core=1")
    assert {"SLURM_CPUS_PER_TASK": "2", "SLURM_NTASKS_PER_NODE": "3", "SLURM_THREADS_PER_CORE": "1"}.items() <= told.items()


def test_each_field_is_known_by_the_place_that_asks_for_it() -> None:
    places = asked("#SBATCH -n2 --signal=B:USR1", "#SBATCH --time=5 -n3").places
    assert (places["tasks"], places["time_limit"]) == ("--ntasks, hello.sh:3", "--time, hello.sh:3")
    assert places["kill_warning_flags"] == places["kill_warning_signal"] == "--signal, hello.sh:2"


@given(st.lists(st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=6))
def test_a_quoted_value_arrives_as_a_shell_would_pass_it(words: list[str]) -> None:
    # What the two read alike: single quotes, and double ones around those.
    text = " ".join(words).replace("\\", "/").replace('"', "'")
    quoted = text.replace("'", "'\"'\"'")
    assert shlex.split(f"'{quoted}'") == [text]
    assert job(f"#SBATCH --comment='{quoted}'") == {"comment": text}


@given(st.lists(st.text(st.sampled_from("-=abnpstN0129:,'\"\\# \t[]@."), max_size=30), max_size=5))
def test_any_lines_are_a_job_or_an_error_with_a_line_and_a_hint(lines: list[str]) -> None:
    hint, line = "none was needed", 1
    try:
        asked(*(f"#SBATCH {text}" for text in lines))
    except JobFileError as error:
        hint, line = error.hint, error.line or 0
    assert hint
    assert 1 <= line <= len(lines) + 1


def test_a_number_goes_as_all_versions_can_be_told() -> None:
    assert job("#SBATCH --time=1:00:00 --mem=1G") == {"time_limit": number(60), "memory_per_node": number(1024)}
