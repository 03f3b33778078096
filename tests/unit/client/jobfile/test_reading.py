"""Job files of all kinds, from bytes to what is submitted."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.errors import JobFileError
from gateway.client.jobfile import JobFile, read, read_file

JOB = b'{\n  "job": {"name": "a", "tasks": 1.0},\n  "script": "#!/bin/sh"\n}\n'
SCRIPT = b"#!/bin/sh\n#SBATCH -n2\nid\n"


def tree(found: JobFile) -> object:
    return json.loads(found.body)


def refused(content: bytes, filename: str = "job.json", **more: int) -> JobFileError:
    with pytest.raises(JobFileError) as caught:
        read(content, filename, **more)  # type: ignore[arg-type]
    assert caught.value.hint
    return caught.value


def test_json_that_is_not_changed_is_sent_as_it_is() -> None:
    found = read(JOB, "job.json")
    assert (found.body, found.name, found.kind, found.notes) == (JOB, "a", "json", ())
    assert read(b"\xef\xbb\xbf" + JOB, "job.json").body == JOB


def test_json_that_is_changed_is_the_same_but_for_that() -> None:
    found = read(JOB, "job.json", changes=[("partition", "debug"), ("hold", "true")])
    assert tree(found) == {"job": {"name": "a", "tasks": 1.0, "partition": "debug", "hold": True}, "script": "#!/bin/sh"}


def test_yaml_becomes_json() -> None:
    found = read(b"# remark\njob:\n  name: a\n  time_limit: 1:30\nscript: |\n  #!/bin/sh\n  id\n", "job.yaml")
    assert tree(found) == {"job": {"name": "a", "time_limit": "1:30"}, "script": "#!/bin/sh\nid\n"}
    assert (found.name, found.kind) == ("a", "yaml")


def test_a_batch_script_becomes_a_job_in_the_folder_where_it_is_submitted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = json.loads(read(SCRIPT, "hello.sh", directory="/home/alice").body)
    assert found["job"]["current_working_directory"] == "/home/alice"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HERE", "yes")
    found = json.loads(read(b"#!/bin/sh\n#SBATCH --export=HERE\nid\n", "hello.sh", changes=[("environment.A", "1")]).body)
    assert found["job"]["current_working_directory"] == str(tmp_path)
    assert {"HERE=yes", "A=1"} <= set(found["job"]["environment"])


@pytest.mark.parametrize(
    ("content", "filename", "kind"),
    [
        (SCRIPT, "hello.sh", "script"),
        (SCRIPT, "hello", "script"),
        (SCRIPT, "-", "script"),
        (SCRIPT, "job.json", "script"),
        (b"\xef\xbb\xbf" + SCRIPT, "hello.sh", "script"),
        (JOB, "job.json", "json"),
        (JOB, "-", "json"),
        (JOB, "JOB.JSON", "json"),
        (JOB, "job.txt", "json"),
        (JOB, "job.yml", "yaml"),
        (b"job: {}\n", "-", "yaml"),
        (b"job: {}\n", "job.YAML", "yaml"),
    ],
)
def test_what_a_file_is_it_says_itself_or_its_name_says_it(content: bytes, filename: str, kind: str) -> None:
    assert read(content, filename).kind == kind


@pytest.mark.parametrize(
    ("content", "filename", "says", "hint"),
    [
        (b"", "job.json", "job.json is empty", "Write a job into it."),
        (b" \n\t", "x.sh", "x.sh is empty", "Write a job into it."),
        (b"\xef\xbb\xbf", "x.sh", "x.sh is empty", "Write a job into it."),
        (b"[1]", "job.json", "no object with a job in it", '{"job"'),
        (b"1", "job.yaml", "no object with a job in it", '{"job"'),
        (b'{"name": "a"}', "job.json", "has no 'job'", '{"job"'),
        (b'{"job": "a"}', "job.json", "has no 'job'", '{"job"'),
        (b"\xff\xfe{\0}\0", "job.json", "job.json:1: a NUL character", "UTF-8"),
        (b"#!/bin/sh\n\0\n", "x.sh", "x.sh:2: a NUL character", "UTF-8"),
        (b'{"job": {"name": "M\xfcller"}}', "job.json", "job.json:1: the text is no UTF-8", "iconv"),
        (b"#!/bin/sh\necho M\xfcller\n", "x.sh", "x.sh:2: the text is no UTF-8", "iconv -f latin1 -t utf8 x.sh"),
        (b"#!/bin/sh\n#SBATCH -J M\xfcller\nid\n", "x.sh", "x.sh:2: the text is no UTF-8", "iconv"),
        (b"#SBATCH -n2\nid\n", "x.sh", "does not begin with #!", "#!/bin/sh"),
        (b"#SBATCH -n2\nid\n", "x", "does not begin with #!", "#!/bin/sh"),
        (b"id\n", "x.slurm", "does not begin with #!", "#!/bin/sh"),
    ],
)
def test_what_is_no_job_is_refused_with_a_hint(content: bytes, filename: str, says: str, hint: str) -> None:
    error = refused(content, filename)
    assert (says in str(error), hint in error.hint) == (True, True), (str(error), error.hint)


def test_a_remark_in_latin_1_is_no_reason_to_refuse_a_script() -> None:
    found = read(b"#!/bin/sh\n# by M\xfcller\nid\n", "x.sh", directory="/")
    assert "by Müller" in json.loads(found.body)["job"]["script"]
    assert found.notes[0] == "Line 2 is no UTF-8; it is a comment, and was taken for Latin-1."


@pytest.mark.parametrize("filename", ["job.json", "job.yaml", "x.sh"])
def test_a_file_has_a_largest_size(filename: str) -> None:
    content = {"job.json": JOB, "job.yaml": b"job: {}\n", "x.sh": SCRIPT}[filename]
    assert read(content, filename, largest=100_000)
    error = refused(content, filename, largest=len(content) - 1)
    assert f"is larger than {len(content) - 1} bytes" in str(error)
    assert "on the cluster" in error.hint


def test_what_a_file_becomes_has_the_same_largest_size() -> None:
    content = b'{"job": {"comment": "' + "ü".encode() * 500 + b'"}}'
    assert refused(content, largest=1100, changes=[("name", "a")])  # type: ignore[arg-type]


def test_a_file_is_read_and_a_link_followed(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_bytes(JOB)
    (tmp_path / "link.json").symlink_to("job.json")
    assert read_file(tmp_path / "link.json").body == JOB


def made_folder(path: Path) -> None:
    path.mkdir()


def made_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def made_large(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(100 * 1024 * 1024)


def made_loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (made_folder, "is no file"),
        (os.mkfifo, "is no file"),
        (made_socket, "cannot be read"),
        (made_large, "is larger than 50 MiB"),
        (made_loop, "cannot be read"),
        (lambda path: path.symlink_to("/dev/zero"), "is no file"),
        (lambda _: None, "cannot be read: No such file or directory"),
    ],
)
def test_what_is_no_file_to_read_is_refused_at_once(make: Callable[[Path], object], says: str, tmp_path: Path) -> None:
    make(path := tmp_path / "job.json")
    with pytest.raises(JobFileError) as caught:
        read_file(path)
    assert says in str(caught.value)
    assert caught.value.hint


def test_the_body_stands_in_no_repr() -> None:
    assert "bin/sh" not in repr(read(JOB, "job.json"))


BEGINNINGS = st.sampled_from([b"", b"#!/bin/sh\n#SBATCH ", b'{"job": {', b'{"job": {"environment": ["A"]}, "x": ', b"job:\n  ", b"\xef\xbb\xbf"])
PIECES = st.binary(max_size=80) | st.text(st.sampled_from("{}[]:,-'\"&*!#=\\ \nabN01"), max_size=60).map(str.encode)


@given(
    BEGINNINGS, PIECES, st.sampled_from(["a.json", "a.yaml", "a.sh", "-", "a"]), st.sampled_from([(), (("name", "x"),), (("environment.A", "1"),)])
)
def test_any_bytes_are_a_job_or_an_error_with_a_hint(beginning: bytes, rest: bytes, filename: str, changes: tuple[tuple[str, str], ...]) -> None:
    hint, found = "none was needed", None
    try:
        found = read(beginning + rest, filename, changes=changes, directory="/", environment={})
    except JobFileError as error:
        hint = error.hint
    assert hint
    assert found is None or isinstance(tree(found), dict)
