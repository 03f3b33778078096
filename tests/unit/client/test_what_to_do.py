"""Each error of the user's side says what to do: those whose words no other test looks at."""

from __future__ import annotations

import http.client
import os
import ssl
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.client import calls
from gateway.client.address import Address, Proxy
from gateway.client.asking import Answer, Ask, checked, fields, too_large, unpacked
from gateway.client.blocking import broken, no_http, not_connected
from gateway.client.errors import GatewayError, JobFileError
from gateway.client.jobfile import read, read_file
from gateway.client.jobfile.checking import check
from gateway.client.jobfile.places import Places
from gateway.client.patience import refusal_of
from gateway.client.queue import folder
from gateway.client.queue.journal import FOLDER, glance
from gateway.secret import Secret
from tests.unit.client.driving import drive, ok, where
from tests.unit.client.jobfile.documents import NEW, OLD, submission

HERE = Address.of("https://slurm.example.org")


def script(*lines: str) -> bytes:
    return "\n".join(["#!/bin/sh", *lines, "true", ""]).encode()


@pytest.mark.parametrize(
    ("content", "name", "hint"),
    [
        (b"", "a.json", "Write a job into it."),
        (b"[]", "a.json", 'Write {"job": {…}, "script": "#!/bin/sh …"}.'),
        (b'{"job": 1}', "a.json", 'Write {"job": {"name": …}, "script": "#!/bin/sh …"}.'),
        (b'{"job": {}, "job": {}}', "a.json", "Keep one of them."),
        (b"[" * 100_000, "a.json", "A job file has four levels or five."),
        (b'{"job": "\0"}', "a.json", "Save it as UTF-8 text."),
        (b'{"job": "\xe4"}', "a.json", "iconv -f latin1 -t utf8 a.json, if it is Latin-1."),
        (b"job: {", "a.yaml", "Look at the indentation; no tabs in it, and quotes around texts with ': ' or ' #' in them."),
        (b"job: \x01", "a.yaml", "Take the odd character out."),
        (b"a: 1\n---\nb: 2\n", "a.yaml", "Put each job into a file of its own."),
        (b"#SBATCH -n 1\nid\n", "a.sh", "Make its first line #!/bin/sh, or what else it is for."),
        (b"#!/bin/sh\n", "a.sh", "Write into it what the job is to do."),
        (b"#!/bin/sh\r\nid\r\n", "a.sh", "dos2unix a.sh"),
        (script("#SBATCH hetjob"), "a.sh", "Write it as a JSON or YAML job file with a list of 'jobs'."),
        (script("#SBATCH : -n 1"), "a.sh", "Take it away."),
        (script('#SBATCH -J "x'), "a.sh", "Close it in the same line."),
        (script('#SBATCH ""'), "a.sh", "sbatch would pass over the rest of the line: take it away."),
        (script("#SBATCH word"), "a.sh", "Options begin with - or --; a value with spaces in it needs quotes."),
        (script("#SBATCH --hold=1"), "a.sh", "Write --hold alone."),
        (script("#SBATCH --time=soon"), "a.sh", "Correct --time; 'man sbatch' tells of it."),
        (script("#PBS -l nodes=1"), "a.sh", "Write it as #SBATCH, or add '#SBATCH --ignore-pbs' to have such lines ignored."),
    ],
)
def test_a_file_that_is_no_job_says_how_it_becomes_one(content: bytes, name: str, hint: str) -> None:
    with pytest.raises(JobFileError) as caught:
        read(content, name)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("partition.", "Name a field of the job, as in --set partition=debug or --set environment.GREETING=hello."),
        ("partition", "Say which one, from 0: --set jobs.0.partition=…"),
    ],
)
def test_a_field_that_cannot_be_set_says_how_it_is_named(name: str, hint: str) -> None:
    with pytest.raises(JobFileError) as caught:
        read(b'{"jobs": [{}, {}], "script": ""}', "a.json", changes=[(name, "x")])
    assert caught.value.hint == hint


def test_what_is_no_file_and_what_is_too_large_say_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "large.json").write_bytes(b"{" * 100)
    os.mkfifo(tmp_path / "pipe.json")
    for name, hint in (
        ("", "Name a job file, or - for standard input."),
        ("pipe.json", "Name a job file, or - for standard input."),
        ("none.json", "Look at its name and its rights."),
        ("large.json", "Have the job read its data from a file on the cluster."),
    ):
        with pytest.raises(JobFileError) as caught:
            read_file(tmp_path / name, largest=50)
        assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("tree", "hint"),
    [
        ({"script": "#!/bin/sh\n"}, 'Put the job\'s fields into "job": {…}.'),
        ({"job": {}, "jobs": []}, "Keep 'job' for one job, or 'jobs' for the parts of a heterogeneous one."),
        ({"job": {"name": "x"}}, 'Write "script": "#!/bin/sh\\nsrun hostname\\n" beside or in the job.'),
        ({"job": {"name": "x"}, "script": "#!/bin/sh\n"}, 'Write "current_working_directory": "/a/folder/on/the/cluster".'),
        ({"job": {"name": "x"}, "script": "#!/bin/sh\n"}, "Nothing has to be done; written for v0.0.42 it needs no repair."),
        ({"job": {"xyzzy": 5}, "script": "#!/bin/sh\n"}, "v0.0.42 has no such field: take it out."),
        ({"job": {"environment": []}, "script": "#!/bin/sh\n"}, "Put PATH into it, or leave it out."),
        ({"job": 5, "script": "#!/bin/sh\n"}, "Write the job's fields between { and }."),
        ({"job": {}, "tasks": 5, "script": "#!/bin/sh\n"}, "Move it into 'job'."),
        ({"job": {"group_id": "users"}, "script": "#!/bin/sh\n"}, "Take it out."),
        ({"job": {"tasks": "many"}, "script": "#!/bin/sh\n"}, "Correct its type."),
        ({"job": {"name": 5}, "script": "#!/bin/sh\n"}, "Correct its type."),
        ({"job": {"mail_type": "SOMETIMES"}, "script": "#!/bin/sh\n"}, "Write one of BEGIN, END, FAIL."),
        ({"job": {"mail_type": "BEGINS"}, "script": "#!/bin/sh\n"}, "Did you mean BEGIN?"),
    ],
)
def test_what_check_finds_says_what_to_do(tree: dict[str, Any], hint: str) -> None:
    assert hint in {problem.hint for problem in check(tree, submission(NEW), Places())}


def test_a_value_that_an_older_slurm_does_not_take_says_how_it_is_written() -> None:
    problems = check({"job": {"open_mode": "sideways"}, "script": "#!/bin/sh\n"}, submission(OLD, version="v0.0.38"), Places())
    assert ("v0.0.38 takes one of append, truncate", "Write it so.") in {(problem.message.partition("; ")[2], problem.hint) for problem in problems}


def certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("no")
    error.verify_code, error.verify_message = code, "no"
    return error


def handshake() -> ssl.SSLError:
    error = ssl.SSLError("no")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


def answer(status: int, media_type: str = "text/html", body: bytes = b"", **headers: str) -> Answer:
    return Answer(status=status, headers={"content-type": media_type, **headers}, body=body)


def gunzipped(body: bytes, most: int = 10**6) -> Answer:
    return unpacked(Ask(method="GET", path="/"), answer(200, "application/json", body, **{"content-encoding": "gzip"}), most)


GZIPPED = zlib.compress(b"{}" * 1000, wbits=31)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (not_connected(HERE, None, ConnectionRefusedError()), "Check the address and your network."),
        (not_connected(HERE, None, certificate(62)), "Use the name that is in the certificate; nothing was sent to whoever answers there."),
        (not_connected(HERE, None, certificate(10)), "Check the clock of this machine; if it is right, tell your administrators."),
        (not_connected(HERE, None, certificate(20)), "If the gateway's certificate is of a CA of its own, name that with --ca FILE."),
        (not_connected(HERE, None, handshake()), "Check the port of the address; in a network that one signs in to, sign in first."),
        (broken(HERE, ConnectionResetError()), "Check your network, then look whether it was done."),
        (broken(HERE, TimeoutError()), "Check your network, then look whether it was done."),
        (no_http(HERE, http.client.BadStatusLine("x")), "Check the address and its port."),
        (too_large(5), "Ask for less (fields, user, state), or allow for more with largest=."),
        (refusal_of(answer(302)), "Nothing is sent there, for a token goes to the gateway alone. Check the address of the gateway."),
        (refusal_of(answer(403)), "Something between here and the gateway asks who you are: a proxy, or a network that one signs in to."),
        (refusal_of(answer(404)), "Is this the gateway's address? Something else answers there, or in between."),
        (
            refusal_of(answer(502)),
            "Try again in a minute; if it stays so, tell your administrators: what stands before the gateway does not reach it.",
        ),
        (
            refusal_of(answer(500, "text/plain", b"", **{"x-request-id": "abc"})),
            "Slurm gives no reason; its administrators find one in slurmctld's log.",
        ),
    ],
)
def test_what_goes_wrong_on_the_way_says_what_to_look_at(error: GatewayError | None, hint: str) -> None:
    assert error is not None
    assert error.hint == hint


def test_a_proxy_that_cannot_be_reached_is_named_with_its_setting() -> None:
    proxy = Proxy(host="proxy.example.org", port=3128)
    assert not_connected(HERE, proxy, ConnectionRefusedError()).hint == "Check HTTPS_PROXY, or name the gateway in NO_PROXY."


@pytest.mark.parametrize(
    ("does", "hint"),
    [
        (lambda: fields(Ask(method="GET", path="/", headers=(("a b", "c"),)), None, "x"), "A header is one line: NAME: VALUE."),
        (lambda: fields(Ask(method="G T", path="/"), None, "x"), "Use GET, POST or DELETE."),
        (lambda: checked(Secret(b"sgw_ x")), "Give the token alone, without quotation marks, spaces or line ends: sgw_…"),
        (lambda: gunzipped(b"{}"), "Is this the gateway's address?"),
        (lambda: gunzipped(GZIPPED[:-9]), "Try again."),
    ],
)
def test_what_cannot_be_sent_or_read_says_why_not(does: Callable[[], object], hint: str) -> None:
    with pytest.raises(GatewayError) as caught:
        does()
    assert caught.value.hint == hint


def test_a_cluster_that_does_not_tell_its_versions_is_named_one() -> None:
    driven = drive(calls.newest(where()), [ok({}), ok({})])
    assert isinstance(driven.error, GatewayError)
    assert driven.error.hint == "Name one: version='v0.0.40', as your administrators tell you."


def test_a_password_of_another_encoding_says_how_it_is_typed() -> None:
    driven = drive(calls.login("alice", Secret(b"\xe4"), "1", where().patience), [])
    assert isinstance(driven.error, GatewayError)
    assert driven.error.hint == "Set the terminal to UTF-8 (LANG), and type it again."


def test_a_journal_that_cannot_be_read_says_who_can(tmp_path: Path) -> None:
    (tmp_path / FOLDER / "journal.jsonl").mkdir(parents=True)
    with pytest.raises(GatewayError) as caught:
        glance(tmp_path)
    assert caught.value.hint == "Look at it as the user who runs the queue."


# A file that may be opened, and at whose beginning there is nothing that could be read.
UNREADABLE = Path("/proc/self/mem")


def test_a_file_that_breaks_off_while_it_is_read_is_for_its_disk() -> None:
    with pytest.raises(JobFileError, match="cannot be read: Input/output error") as caught:
        read_file(UNREADABLE)
    assert caught.value.hint == "Look at the disk that it is on."


def test_a_file_of_a_queue_that_breaks_off_while_it_is_read_may_come_back(tmp_path: Path) -> None:
    (tmp_path / "a.json").symlink_to(UNREADABLE)
    with pytest.raises(JobFileError, match=r"a\.json cannot be read: Input/output error") as caught:
        folder.content(tmp_path, "a.json", 1000)
    assert caught.value.hint == "Put it back when it can."
