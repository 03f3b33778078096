"""The demo command itself: refusals, a second site beside the first, and coming back after whatever was killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.support import ROOT, Site, free_port, run_demo, wait_for
from tests.terminal import Terminal

DEMO = ROOT / "deploy" / "demo"
SERVICES = ("munge", "mariadb", "slapd", "slurmdbd", "slurmctld", "slurmd", "slurmrestd", "gateway", "nginx")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that the site's users can reach, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="sgw-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def second(site: Site, place: Path) -> Iterator[Site]:
    """A site of these tests' own, raised while the first one runs."""
    state = place / "second"
    assert site.state != state
    up(state, free_port())
    yield Site.at(state)
    run_demo("down", "--state", str(state))


def up(state: Path, port: int) -> str:
    done = run_demo("up", "--state", str(state), "--port", str(port), "--python", sys.executable, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def up_again(site: Site) -> str:
    said = up(site.state, int(site.told["url"].rpartition(":")[2]))
    site.told = Site.at(site.state).told
    return said


def refused(*words: str, by: tuple[str, ...] = ()) -> str:
    """Run the command, which must refuse in a sentence and a hint; return the sentence."""
    done = subprocess.run([*by, str(DEMO), *words], capture_output=True, text=True, check=False, timeout=60)
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines), lines[-1][:6]) == (1, 2, "hint: "), done.stderr
    return lines[0]


def services(site: Site) -> dict[str, dict[str, object]]:
    """What `status --json` says of each."""
    found: dict[str, dict[str, object]] = json.loads(site.demo("status", "--json", check=False).stdout)["services"]
    return found


def processes_of(state: Path) -> list[str]:
    """Return the command lines of all processes that belong to a site: they name its directory, or have their log there."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            output = str((entry / "fd" / "1").readlink())
        except OSError:
            continue
        if str(state) in words or output.startswith(f"{state}/"):
            found.append(words)
    return found


def works(site: Site) -> None:
    """A job goes through the whole site and comes back done, as its user."""
    number = site.submit("bob", "#!/bin/sh\nid -un\n", standard_output=f"{site.home('bob')}/works-%j.out")
    output = site.home("bob") / f"works-{number}.out"
    wait_for(lambda: output.exists() and output.read_text() == "bob\n", 20, "the job's output")
    assert output.stat().st_uid == site.uid("bob")


# Refusals.


def test_nobody_but_root_is_served(place: Path) -> None:
    checkout = place / "checkout"  # a copy, because the tests' own may lie where others cannot read
    shutil.copytree(ROOT / "deploy", checkout / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    by = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(checkout / "deploy" / "demo"), "up"]
    done = subprocess.run(by, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "error: deploy/demo needs root.")


def test_another_system_is_refused_by_its_name(place: Path) -> None:
    (place / "os-release").write_text('ID=other\nVERSION_ID=1\nPRETTY_NAME="Other 1"\n')
    script = f'mount --bind {place}/os-release /etc/os-release && exec "$@"'
    by = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")
    assert refused("up", "--state", str(place / "none"), by=by).endswith("this is Other 1.")


def test_a_port_that_is_taken_is_refused(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        sentence = refused("up", "--state", str(place / "none"), "--port", str(port))
    assert sentence == f"error: Port {port} on 127.0.0.1 is taken."
    assert not (place / "none").exists()


def test_a_path_too_long_for_sockets_is_refused(place: Path) -> None:
    assert "unix sockets" in refused("up", "--state", str(place / ("d" * 90)), "--port", str(free_port()))


def test_a_place_that_other_users_cannot_reach_is_refused(place: Path) -> None:
    (place / "closed").mkdir(mode=0o700)
    assert f"{place}/closed, which other users cannot traverse" in refused("up", "--state", str(place / "closed" / "site"))


def test_the_slurm_of_a_release_that_is_not_known_is_refused_with_the_usage() -> None:
    done = run_demo("up", "--release", "sid", check=False)
    assert (done.returncode, "bookworm" in done.stderr, "trixie" in done.stderr) == (2, True, True)


def test_a_command_for_a_site_that_is_not_there_says_how_to_make_one(place: Path) -> None:
    for words in (("status",), ("otp", "alice"), ("restart", "nginx")):
        assert "There is no demo" in refused(*words, "--state", str(place / "none"))


@pytest.mark.parametrize("words", [("up", "--port", "0"), ("up", "--port", "many"), ("stop", "cron"), ("dance",), ()])
def test_a_command_that_makes_no_sense_is_refused_with_its_usage(words: tuple[str, ...]) -> None:
    done = run_demo(*words, check=False)
    assert (done.returncode, done.stderr[:6]) == (2, "usage:")


# A site.


def test_a_site_says_that_it_is_up_and_what_runs(second: Site) -> None:
    done = second.demo("status", "--json")
    told = json.loads(done.stdout)
    assert (told["up"], told["url"], tuple(told["services"])) == (True, second.told["url"], SERVICES)
    assert {name: row["pid"] for name, row in told["services"].items()} == second.told["pids"]


def test_the_first_job_was_alices_own(second: Site) -> None:
    (output,) = list(second.home("alice").glob("first-1.out"))
    assert output.stat().st_uid == second.uid("alice")
    assert "Hello from alice" in output.read_text()


def test_two_sites_run_side_by_side(site: Site, second: Site) -> None:
    assert not set(site.told["pids"].values()) & set(second.told["pids"].values())
    for one in (site, second):
        assert one.ask("GET", "/health/live").status == 200


def test_up_on_a_site_that_is_well_changes_nothing(second: Site) -> None:
    before = second.told["pids"]
    said = up_again(second)
    assert "up already, and every service answers" in said
    assert second.told["pids"] == before


def test_the_lines_that_up_ends_with_can_be_pasted(second: Site) -> None:
    said = up_again(second)
    lines = said[said.index("# sign in") : said.index("# the same with")]
    done = subprocess.run(["bash", "-eu"], input=lines, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"username": "alice"' in done.stdout
    assert "Hello from alice" in done.stdout


def test_so_can_those_for_the_command(second: Site, tmp_path: Path) -> None:
    said = up_again(second)
    lines = tmp_path / "lines"
    lines.write_text(said[said.index("# the same with") : said.index("What runs:")])
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    with Terminal(["bash", "-eu", str(lines)], environment, cwd=Path("/")) as terminal:
        terminal.answer("Password of alice: ", second.password("alice"), limit=90)  # the next code may have to be waited for
        [code] = re.findall(r"^[0-9]{6}$", terminal.shown, re.MULTILINE)
        terminal.answer("Code: ", code)
        assert terminal.ended(60) == 0, terminal.shown
    assert "Hello again from alice" in terminal.shown
    assert list(tmp_path.rglob("*.header")) == []  # signed out


def test_a_code_is_accepted_even_right_after_another(second: Site) -> None:
    for _ in range(2):
        assert second.login("bob", second.demo("otp", "bob").stdout.strip()).status == 200


def test_a_person_without_a_second_factor_gets_no_code(second: Site) -> None:
    assert "carol has no second factor" in refused("otp", "carol", "--state", str(second.state))


def test_slurm_and_its_database_listen_on_loopback_only(second: Site) -> None:
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    pids = [f"pid={pid}," for pid in second.told["pids"].values()]
    ours = [line.split()[3] for line in listening if any(pid in line for pid in pids)]
    assert len(ours) >= 7
    assert all(address.startswith("127.0.0.1:") for address in ours)


def test_only_the_gateway_reaches_slurmrestd(second: Site) -> None:
    socket_path = second.told["slurmrestd"].removeprefix("unix:")
    alice, gateway = second.uid("alice"), second.state.joinpath("gateway").stat().st_uid
    nginx = second.state.joinpath("nginx", "temp").stat().st_uid

    def reaches(user: int) -> bool:
        by = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        curl = ["curl", "-sS", "-o", "/dev/null", "--unix-socket", socket_path, "http://localhost/openapi"]
        return subprocess.run([*by, *curl], capture_output=True, check=False, timeout=20).returncode == 0

    assert {user: reaches(user) for user in (alice, nginx, gateway)} == {alice: False, nginx: False, gateway: True}


def test_the_host_keeps_its_accounts(second: Site) -> None:
    assert subprocess.run(["getent", "passwd", "alice"], check=False, capture_output=True).returncode != 0
    assert str(second.uid("alice")) not in Path("/etc/passwd").read_text()


def test_secrets_are_readable_by_their_users_only(second: Site) -> None:
    for name in (
        "demo.json",
        "site.json",
        "slurm/jwt_hs256.key",
        "gateway/jwt_hs256.key",
        "gateway/ldap-password",
        "munge/munge.key",
        "tls/nginx.key",
    ):
        assert (second.state / name).stat().st_mode & 0o077 == 0, name


# Stopping and coming back.


def test_one_service_is_stopped_and_started(second: Site) -> None:
    second.demo("stop", "slurmrestd")
    assert not services(second)["slurmrestd"]["up"]
    assert second.demo("status", check=False).returncode == 1
    second.demo("start", "slurmrestd")
    before = services(second)["slurmrestd"]["pid"]
    second.demo("restart", "slurmrestd")
    after = services(second)["slurmrestd"]
    assert (after["up"], after["pid"] == before) == (True, False)
    assert Site.at(second.state).told["pids"]["slurmrestd"] == after["pid"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_killed_service_is_raised_again_and_the_others_stay(second: Site, name: str) -> None:
    before = Site.at(second.state).told["pids"]
    os.kill(before[name], signal.SIGKILL)
    wait_for(lambda: not services(second)[name]["up"], 10, f"{name}'s end")
    up_again(second)
    after = second.told["pids"]
    assert {service for service in SERVICES if before[service] != after[service]} == {name}


def test_a_service_that_hangs_is_raised_again(second: Site) -> None:
    before = Site.at(second.state).told["pids"]["slapd"]
    os.kill(before, signal.SIGSTOP)
    up_again(second)
    assert second.told["pids"]["slapd"] != before


def test_a_running_job_outlives_a_restart_of_slurmd(second: Site) -> None:
    number = second.submit("bob", "#!/bin/sh\nsleep 4\necho through\n", standard_output=f"{second.home('bob')}/long-%j.out")
    wait_for(lambda: second.state_of("bob", number) == "RUNNING", 20, "the job's start")
    second.demo("restart", "slurmd")
    wait_for(lambda: second.state_of("bob", number) == "COMPLETED", 30, "the job's end")
    assert (second.home("bob") / f"long-{number}.out").read_text() == "through\n"


def test_a_site_whose_every_process_was_killed_is_raised_again(second: Site) -> None:
    holder = json.loads((second.state / "site.json").read_text())["holder"]["pid"]
    os.kill(holder, signal.SIGKILL)
    wait_for(lambda: not processes_of(second.state), 20, "the end of all processes")
    assert second.demo("status", check=False).returncode == 1
    up_again(second)
    works(second)


def test_an_up_that_was_killed_under_way_is_made_good_by_the_next(second: Site) -> None:
    holder = json.loads((second.state / "site.json").read_text())["holder"]["pid"]
    os.kill(holder, signal.SIGKILL)
    words = [str(DEMO), "up", "--state", str(second.state), "--python", sys.executable]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as under_way:
        assert under_way.stdout is not None
        for line in under_way.stdout:
            if "slurmctld" in line:
                break
        os.killpg(under_way.pid, signal.SIGKILL)
    up_again(second)
    works(second)


def test_down_leaves_no_process_and_keeps_the_data(second: Site) -> None:
    enrolled = second.told["users"]["dave"]["totp_secret"]
    began = time.monotonic()
    second.demo("down")
    assert time.monotonic() - began < 60
    assert processes_of(second.state) == []
    assert "down already" in second.demo("down").stdout
    up_again(second)
    assert second.told["users"]["dave"]["totp_secret"] == enrolled
    assert len(list(second.home("alice").glob("first-*.out"))) > 1
