from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import __version__
from gateway.client.errors import GatewayError
from gateway.errors import CommandError
from tests.unit.cli.conftest import Desk, Run

COMMANDS = ["serve", "check", "enroll", "enroll-me", "recovery", "disenroll", "keys", "nginx"]


def test_help_names_every_command(run: Run) -> None:
    ran = run("--help")
    assert (ran.code, [command for command in COMMANDS if command not in ran.out]) == (0, [])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_of_its_own(run: Run, command: str) -> None:
    ran = run(command, "--help")
    assert (ran.code, f"slurm-gateway {command}" in ran.out) == (0, True)


def test_the_version_is_told(run: Run) -> None:
    assert (run("--version").out) == f"slurm-gateway {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("fly",),
        ("serve", "--nonsense"),
        ("enroll",),
        ("enroll", "a", "b"),
        ("keys",),
        ("keys", "fly"),
        ("--conf", "x", "check"),
        ("serve", "--workers", "two"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_usage(run: Run, words: tuple[str, ...]) -> None:
    ran = run(*words)
    assert (ran.code, ran.out) == (2, "")
    what, hint = ran.err.splitlines()
    assert (what.startswith("slurm-gateway: "), hint.startswith("hint: 'slurm-gateway"), hint.endswith("--help' tells how it is used.")) == (
        True,
    ) * 3


def test_what_a_command_does_not_take_is_told_by_its_own_help(run: Run) -> None:
    assert run("enroll", "a", "b").err.splitlines()[-1] == "hint: 'slurm-gateway enroll --help' tells how it is used."


@pytest.mark.parametrize("command", ["serve", "keys", "audit"])
def test_help_has_no_markup(run: Run, command: str) -> None:
    ran = run(command, "--help")
    assert (ran.code, f"'slurm-gateway {command}'" in ran.out, "`" in ran.out) == (0, True, False)


@pytest.mark.parametrize("command", [("serve",), ("enroll", "alice"), ("recovery", "alice"), ("disenroll", "alice"), ("keys", "init")])
def test_without_a_configuration_it_is_said_how_to_name_one(run: Run, command: tuple[str, ...]) -> None:
    ran = run(*command)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == "slurm-gateway: no configuration is named\nhint: Give --config FILE, or set SLURM_GATEWAY_CONFIG.\n"


def test_the_environment_names_the_configuration(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_GATEWAY_CONFIG", str(config))
    assert run("check").code == 0


def test_the_command_line_goes_before_the_environment(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_GATEWAY_CONFIG", "/nowhere")
    assert run("--config", config, "check").code == 0


@pytest.mark.parametrize("option", [("--config", "serve"), ("--config=serve",)])
@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_configuration_that_is_called_like_a_command_is_none(run: Run, option: tuple[str, ...], command: str) -> None:
    ran = run(*option, command, "--help")
    assert (ran.code, f"usage: slurm-gateway {command} " in ran.out) == (0, True)


@pytest.mark.parametrize("option", [("--config", "serve"), ("--config=serve",)])
def test_a_configuration_that_is_called_like_a_command_can_be_checked(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...]
) -> None:
    monkeypatch.chdir(config.rename(config.with_name("serve")).parent)
    ran = run(*option, "check")
    assert (ran.code, ran.out, ran.err) == (0, "serve: nothing is wrong\n", "")


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_failure_is_one_line_a_hint_and_its_code(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fails(_arguments: object) -> int:
        raise CommandError("it went wrong", "Do it right.", exit_code=code)

    monkeypatch.setattr("gateway.cli.check.run", fails)
    ran = run("--config", config, "check")
    assert (ran.code, ran.out, ran.err) == (code, "", "slurm-gateway: it went wrong\nhint: Do it right.\n")


def test_a_missing_library_is_named_with_the_way_to_get_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'ldap'", name="ldap")

    monkeypatch.setattr("gateway.cli.main.importlib.import_module", missing)
    ran = run("check")
    assert (ran.code, ran.err) == (1, "slurm-gateway: this command needs the module ldap\nhint: pip install 'slurm-gateway[server]'\n")


def test_an_interrupt_is_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("gateway.cli.check.run", interrupted)
    assert run("check").code == 130


# Writes to standard output, and loads nothing of the server.
WRITES = "nginx main --include /a --pid /b --error-log /c --access-log /d --temp-dir /e"


@pytest.mark.parametrize(
    ("words", "buffered"), [(WRITES, True), (WRITES, False), ("--help", False), ("--help", True), ("--version", True), ("check --help", True)]
)
def test_a_reader_that_went_away_is_a_failure_without_a_word(words: str, buffered: bool) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, *([] if buffered else ["-u"]), "-m", "gateway", *words.split()]
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, env={"PATH": os.environ["PATH"]}, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")


def test_help_loads_nothing_of_the_server() -> None:
    program = "import sys; from gateway.cli.main import build_parser; build_parser([]); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {"aiohttp", "ldap", "sqlalchemy", "pydantic", "cryptography"} & set(loaded) == set()


def test_commands_for_people_and_for_administrators_stand_apart(run: Run) -> None:
    people, administrators = run("--help").out.split("for people:\n")[1].split("for administrators, on the gateway's host:\n")
    assert ("  login  " in people, "  serve  " in people, "  serve  " in administrators) == (True, False, True)
    assert ("  enroll-me  " in people, "  enroll-me  " in administrators) == (True, False)


@pytest.mark.parametrize(
    ("words", "what", "hint"),
    [
        (("lgoin",), "there is no command 'lgoin'", "Did you mean login? 'slurm-gateway --help' tells how it is used."),
        (("fly",), "there is no command 'fly'", "'slurm-gateway --help' tells how it is used."),
        (
            ("tokens", "lits"),
            "ACTION: 'lits' is none of create, list, revoke",
            "Did you mean list? 'slurm-gateway tokens --help' tells how it is used.",
        ),
    ],
)
def test_what_was_mistyped_is_told_with_what_may_have_been_meant(run: Run, words: tuple[str, ...], what: str, hint: str) -> None:
    ran = run(*words)
    assert (ran.code, ran.err) == (2, f"slurm-gateway: {what}\nhint: {hint}\n")


def throttled() -> GatewayError:
    error = GatewayError("no", hint="Wait for the seconds that Retry-After names.")
    error.retry_after = 40.0
    return error


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fails(_arguments: object) -> int:
        raise error

    monkeypatch.setattr("gateway.cli.check.run", fails)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (GatewayError("no", hint="Do."), "slurm-gateway: no\nhint: Do.\n"),
        (GatewayError("no", hint="Do.", request_id="r-1"), "slurm-gateway: no (request id r-1)\nhint: Do.\n"),
        (GatewayError("n\x1b[2Jo\n", hint="D\x9bo."), "slurm-gateway: n?[2Jo \nhint: D?o.\n"),
        (throttled(), "slurm-gateway: no\nhint: Wait for 40 s.\n"),
        (
            OSError(28, "No space left on device", "/x"),
            "slurm-gateway: /x: No space left on device\nhint: Look to the disk's space and to your rights, then run this again.\n",
        ),
    ],
)
def test_whatever_goes_wrong_is_one_line_and_a_hint(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, shown: str
) -> None:
    failing(monkeypatch, error)
    monkeypatch.setattr("gateway.cli.main._write_no_more", lambda _: None)  # or pytest would get nothing any more either
    ran = run("--config", config, "check")
    assert (ran.code, ran.err) == (1, shown)


def test_a_full_disk_for_what_is_printed_is_one_line_and_a_hint() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "--help"], stdout=full, stderr=subprocess.PIPE, env={"PATH": os.environ["PATH"]}, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (
        1,
        "slurm-gateway: No space left on device\nhint: Look to the disk's space and to your rights, then run this again.\n",
    )


def test_letters_that_the_terminal_does_not_have_are_no_failure() -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-m", "gateway", "--help"], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


# Streams that are not there.


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [("--help", 0), ("bogus", 2), ("submit - --dry-run", 1), ("jobs --token-file -", 1)])
def test_a_stream_that_is_closed_is_one_without_end(desk: Desk, closed: str, words: str, code: int) -> None:
    line = f"exec {sys.executable} -m gateway {words} {closed}"
    ran = subprocess.run(["/bin/sh", "-c", line], env=desk.environment, input="", capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, "Traceback" in ran.stderr) == (code, False)


def test_nothing_else_takes_the_place_of_a_closed_stream(desk: Desk) -> None:
    program = "import os; from gateway.cli.main import main; main(['sites']); print(os.open('/dev/zero', os.O_RDONLY))"
    line = f'exec {sys.executable} -c "{program}" <&- 2>&-'
    ran = subprocess.run(["/bin/sh", "-c", line], env=desk.environment, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.stdout.splitlines()[0], int(ran.stdout.splitlines()[1]) > 2) == ("No sites.", True)


def test_an_error_that_nobody_can_read_has_its_exit_code_all_the_same(desk: Desk) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run([sys.executable, "-m", "gateway", "bogus"], env=desk.environment, stderr=full, check=False, timeout=60)
    assert ran.returncode == 2


def test_want_of_memory_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def want(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("gateway.cli.sites.show", want)
    ran = run("sites")
    assert (ran.code, ran.err) == (1, "slurm-gateway: there is not enough memory for this\nhint: Ask for less, or run it where there is more.\n")


def test_an_interrupt_while_it_is_loaded_is_no_traceback(tmp_path: Path, desk: Desk) -> None:
    (tmp_path / "argparse.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    environment = desk.environment | {"PYTHONPATH": f"{tmp_path}:{desk.environment['PYTHONPATH']}"}
    ran = subprocess.run([sys.executable, "-m", "gateway", "jobs"], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert ("Traceback" in ran.stderr, ran.returncode) == (False, -2)


def test_a_width_that_is_no_number_is_none(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del home
    monkeypatch.setenv("COLUMNS", "²")
    run("sites")
    assert "COLUMNS" not in os.environ
