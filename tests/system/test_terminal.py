"""The commands in a real terminal of 80 columns and 24 lines, and what its screen shows."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.main import _COMMANDS
from tests.saying import TOKEN, FakeGateway, Says, event, fake_gateway
from tests.system.people import Person, signed_in
from tests.system.support import Site, wait_for
from tests.system.tmux import Terminal, masked, terminal

ACTIONS = ("sites list", "sites default", "tokens create", "tokens list", "tokens revoke")
NAP = "#!/bin/sh\nsleep 2\n"


@pytest.fixture
def alice(either: Site, tmp_path: Path) -> Person:
    return signed_in(either, "alice", tmp_path)


@pytest.fixture
def screen(alice: Person) -> Iterator[Terminal]:
    with terminal(alice) as opened:
        yield opened


def lines_of(shown: str, job: int) -> list[str]:
    """Return a list's headings and the line of one job; alice may have others, and as many as its number says."""
    lines = [line for line in shown.splitlines() if line.split()[1:2] not in (["job"], ["jobs"])]
    found = [line for line in lines if line.split()[:1] in (["JOB"], [str(job)])]
    assert len(found) == 2, shown
    return found


def has_row(screen: Terminal, job: int, state: str) -> None:
    """Wait until the screen shows a job in a state."""
    screen.wait(rf"^ *{job}  .*  {state} ", limit=60)


@pytest.mark.parametrize("command", ["", *_COMMANDS, *ACTIONS])
def test_no_help_is_wider_than_the_terminal(screen: Terminal, command: str) -> None:
    code, shown = screen.run(*command.split(), "--help")
    assert code == 0
    # A line that does not fit would go on in the next one, in its first column.
    assert [line for line in shown.splitlines() if len(line) > 79] == []


def test_my_jobs_are_a_table(alice: Person, screen: Terminal) -> None:
    job = alice.site.submit("alice", NAP, name="a name that is longer than any terminal of ours would ever be wide, all told", hold=True)
    try:
        code, shown = screen.run("jobs", "--state", "PD")
        headings, line = lines_of(shown, job)
        assert (code, headings.split(), len(line) <= 80) == (0, ["JOB", "NAME", "PARTITION", "STATE", "TIME", "SUBMITTED", "NODES", "(WHY)"], True)
        assert re.fullmatch(rf" *{job}  a name that .*…  main +PENDING +-  \d+ (s|min) ago +\(JobHeldUser\)", line)
        assert [line.index(word) for word in ("main", "PENDING", "(Job")] == [headings.index(word) for word in ("PARTITION", "STATE", "NODES")]
    finally:
        alice.run("cancel", job)


def test_a_state_has_its_colour(alice: Person, screen: Terminal) -> None:
    job = alice.site.submit("alice", NAP, name="coloured", hold=True)
    screen.run("jobs", "--state", "PD")
    coloured = next(line for line in screen.screen(colours=True).splitlines() if "coloured" in line)
    assert re.search(r"\x1b\[33mPENDING *\x1b\[", coloured)
    assert alice.run("cancel", job).returncode == 0


def test_no_color_is_honoured(alice: Person) -> None:
    with terminal(alice, environment={"NO_COLOR": "1"}) as screen:
        assert screen.run("ping")[0] == 0
        assert re.search(r"\x1b\[[0-9;]*3[0-7]m", screen.screen(colours=True)) is None


def test_jobs_are_watched_from_their_beginning_to_their_end(alice: Person, screen: Terminal) -> None:
    screen.start("jobs", "--watch")
    screen.wait("Ctrl-C ends")
    first = alice.site.submit("alice", NAP, name="first")
    job = alice.site.submit("alice", NAP, name="watched", dependency=f"afterany:{first}")
    has_row(screen, job, "PENDING")
    has_row(screen, job, "RUNNING")
    has_row(screen, job, "COMPLETED")
    screen.press("C-c")
    code, shown = screen.ended()
    assert code == 0
    assert re.fullmatch(rf" *{job}  watched +main +COMPLETED +0:0\d  \d+ s ago +demo", lines_of(shown, job)[1])
    assert re.fullmatch(r"\d+ jobs?(, \d+ not shown)? · Ctrl-C ends", shown.splitlines()[-1])


def test_a_job_is_shown_in_full(alice: Person, screen: Terminal) -> None:
    job = alice.site.submit("alice", "#!/bin/sh\nexit 3\n", name="three", time_limit=90)
    wait_for(lambda: alice.site.state_of("alice", job) == "FAILED", 60, "the end of the job")
    code, shown = screen.run("job", job)
    when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(\d+ s ago\)"
    lines = masked(shown, WHEN=when, LASTED=r"(?<=Ran for {5})\S+").splitlines()
    assert code == 0
    assert [line.rstrip("_") for line in lines][:13] == [
        f"Job         {job}",
        "Name        three",
        "User        alice",
        "Account     demo",
        "Partition   main",
        "QOS         normal",
        "State       FAILED",
        "Reason      NonZeroExitCode",
        "Exit code   3",
        "Submitted   WHEN",
        "Started     WHEN",
        "Ended       WHEN",
        "Ran for     LASTED",
    ]
    assert lines[13:15] == ["Time limit  1:30:00", "Nodes       demo"]


def test_nodes_are_a_table(screen: Terminal) -> None:
    code, shown = screen.run("nodes")
    headings, line = shown.splitlines()
    assert (code, headings.split()) == (0, ["NODE", "STATE", "CPUS", "LOAD", "MEMORY", "PARTITIONS", "REASON"])
    assert re.fullmatch(r"demo  \S+ +\d+/\d+ +\d+\.\d\d +\d+ MiB  main +-", line)


def test_partitions_are_a_table(either: Site, screen: Terminal) -> None:
    code, shown = screen.run("partitions")
    default = "*" if either.told["release"] == "bookworm" else " "
    cpus = shown.splitlines()[1].split()[3]
    assert (code, shown.splitlines()) == (
        0,
        ["PARTITION  STATE  NODES  CPUS  TIME LIMIT  NODE LIST", f"main{default}      UP         1  {cpus:>4}        none  demo"],
    )


def test_the_controllers_are_a_table(either: Site, screen: Terminal) -> None:
    code, shown = screen.run("ping")
    headings, line = shown.splitlines()
    assert (code, re.sub(" +", " ", headings)) == (0, "CONTROLLER ROLE STATE LATENCY SLURM")
    assert re.fullmatch(rf"demo        primary  UP     +(-|\d+\.\d ms)  {either.told['slurm_version']}", line)


def test_cancelling_is_told_job_by_job(alice: Person, screen: Terminal) -> None:
    job = alice.site.submit("alice", NAP, name="held", hold=True)
    code, shown = screen.run("cancel", job, 9999999)
    # The terminal goes on in the next line where a hint is too long for one.
    first, *rest = shown.splitlines()
    assert (code, first) == (1, f"{job}: cancelled")
    assert re.match(r"9999999: Slurm knows no job 9999999.*hint: Slurm forgets a job some minutes after its end", "".join(rest))


def test_cancelling_all_is_asked_before(alice: Person, screen: Terminal) -> None:
    job = alice.site.submit("alice", NAP, name="held", hold=True)
    screen.start("cancel", "--all")
    shown = screen.wait(r"^Cancel \d+ jobs?\? \[y/N\]$")
    assert re.search(rf"^ *{job}  held ", shown, re.MULTILINE)
    screen.type("n")
    code, shown = screen.ended()
    assert (code, shown.splitlines()[-2:]) == (
        1,
        ["slurm-gateway: nothing was cancelled", "hint: Answer y to cancel, or name the jobs: slurm-gateway cancel ID."],
    )
    assert alice.run("cancel", job).stdout == f"{job}: cancelled\n"


def test_who_one_is_and_where_is_told(either: Site, screen: Terminal) -> None:
    code, shown = screen.run("whoami")
    lines = masked(shown, LASTS=r"(?<=in )\d+ (h \d+ min|min)", WHEN=r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", AGO=r"\d+ (s|min|h)(?= ago)")
    assert (code, re.sub("_+", "", lines).splitlines()) == (
        0,
        [
            "User           alice",
            f"Site           default ({either.told['url']})",
            "Signed in by   a session",
            "Ends           in LASTS (WHEN)",
            "If unused      in LASTS (WHEN)",
            "Second factor  proved AGO ago",
            "Scopes         *",
        ],
    )
    url = either.told["url"]
    assert screen.run("sites") == (0, f"NAME     {'URL':{len(url)}}  USER   DEFAULT\ndefault  {url}  alice  yes")


def test_what_is_wrong_with_a_file_is_told_with_its_places(alice: Person, screen: Terminal) -> None:
    (alice.folder / "job.json").write_text('{"job": {"name": "x", "tiem_limit": 5, "current_working_directory": "/tmp"},\n "script": "#!/bin/sh\\n"}')
    code, shown = screen.run("check", "job.json")
    lines = shown.splitlines()
    assert (code, lines[0][:65]) == (1, "job.json:1:9: note: job.environment: no environment: the gateway ")
    assert lines[-3] == "job.json:1:23: job.tiem_limit: unknown field; did you mean time_limit?"
    assert re.fullmatch(r"slurm-gateway: job.json: 1 error \(checked against v0\.0\.\d\d of Slurm \d\d\.\d\d\)", lines[-2])
    assert lines[-1] == "hint: Did you mean time_limit?"


def test_the_end_of_a_job_is_told_with_why_it_never_began_and_where_its_output_would_be(alice: Person, screen: Terminal) -> None:
    (alice.folder / "job.sh").write_text("#!/bin/sh\n#SBATCH --chdir=/no/such --output=x.out\ntrue\n")
    code, shown = screen.run("submit", "job.sh", "--wait", limit=60)
    job = re.findall(r"Submitted job (\d+)", shown)[0]
    why = ["hint: Its node could not start the script. Are the job's folder (--chdir) and th", "at of its output (--output) there, on the cluster?"]
    ended = rf"Job {job} \(job\.sh\) FAILED \(JobLaunchFailure\) after 0:0\d, exit code 181"
    assert (code, shown.splitlines()[-2:], re.search(ended, shown) is None) == (181, why, False)
    assert screen.run("wait", job)[1].splitlines()[-2:] == why
    code, shown = screen.run("output", job)
    assert (code, "It is on the cluster, in /no/such/x.out: fetch it" in shown.replace("\n", "")) == (1, True)


def test_an_error_is_a_line_and_a_hint(screen: Terminal) -> None:
    assert screen.run("api", "GET", "/nothing", "-d", "x") == (
        2,
        "slurm-gateway: GET takes no -d\nhint: Send it with POST, or leave it out.",
    )


# What a real site has seldom: a crowded list, at a gateway that says what it is told.


@pytest.fixture
def told(site: Site, tmp_path: Path) -> Iterator[tuple[FakeGateway, Person, dict[str, str]]]:
    with fake_gateway() as fake:
        yield fake, Person(site=site, user="alice", folder=tmp_path), {"SLURM_GATEWAY_URL": fake.url, "SLURM_GATEWAY_TOKEN": TOKEN}


def crowd() -> list[dict[str, object]]:
    names = ("fold", "日本語の長い名前で端末の幅を越えるもの", "a\x1b[31mred\u202eherring", "relax")
    states = ("RUNNING", "RUNNING", "PENDING", "FAILED")
    more: tuple[dict[str, object], ...] = ({"nodes": "n[001-128]"}, {"nodes": "n7"}, {"state_reason": "Resources"}, {"exit_code": 256, "nodes": "n8"})
    rows = zip(names, states, more, strict=True)
    return [
        {"job_id": 4711 + index, "name": name, "user_name": "alice", "partition": "gpu-long", "job_state": state, "submit_time": 1, **extra}
        for index, (name, state, extra) in enumerate(rows)
    ]


def test_a_crowded_list_fits(told: tuple[FakeGateway, Person, dict[str, str]]) -> None:
    fake, person, environment = told
    fake.on("GET /slurm/latest/jobs", Says(body={"jobs": crowd()}))
    with terminal(person, environment=environment) as screen:
        code, shown = screen.run("jobs")
        assert (code, shown.splitlines()) == (
            0,
            [
                " JOB  NAME                     PARTITION  STATE    TIME  SUBMITTED   NODES (WHY)",
                "4711  fold                     gpu-long   RUNNING     -  1970-01-01  n[001-128]",
                "4712  日本語の長い名前で端末…  gpu-long   RUNNING     -  1970-01-01  n7",
                "4713  a?[31mred?herring        gpu-long   PENDING     -  1970-01-01  (Resources)",
                "4714  relax                    gpu-long   FAILED      -  1970-01-01  exit 1",
            ],
        )
    with terminal(person, columns=50, environment=environment) as screen:
        code, shown = screen.run("jobs")
        assert (code, len(shown.splitlines())) == (0, 5)
        assert "PARTIT…" in shown.splitlines()[0]
        assert "SUBMITTED" not in shown


def test_a_watched_list_fits_whatever_the_terminal_becomes(told: tuple[FakeGateway, Person, dict[str, str]]) -> None:
    fake, person, environment = told
    job = {"user_name": "alice", "partition": "main", "job_state": "RUNNING"}
    fake.on("GET /slurm/latest/jobs", Says(body={"jobs": [{**job, "job_id": 100 + number, "name": f"n{number}"} for number in range(40)]}))
    over = threading.Event()

    def held() -> None:
        over.wait(60)

    fake.on("GET /events", Says(media_type="text/event-stream", pieces=(event("ready"), held)))
    with terminal(person, environment=environment) as screen:
        screen.start("jobs", "--watch")
        shown = screen.wait("^40 jobs, 19 not shown · Ctrl-C ends$")
        assert [line.split()[0] for line in shown.splitlines() if line] == ["$", "JOB", *map(str, range(100, 121)), "40"]
        screen.resize(60, 10)
        screen.wait("^40 jobs, 33 not shown · Ctrl-C ends$")
        screen.press("C-c")
        assert screen.ended()[0] == 0
    over.set()
