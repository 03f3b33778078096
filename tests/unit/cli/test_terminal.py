from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal import Terminal

ENVIRONMENT = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(Path.cwd()), "PYTHONDONTWRITEBYTECODE": "1"}
FAILS = "from gateway.errors import CommandError\ntry:\n    {}\nexcept CommandError as error:\n    print(error.message, '|', error.hint)"


def at(program: str, environment: dict[str, str] | None = None) -> Terminal:
    return Terminal([sys.executable, "-c", f"from gateway.cli import terminal; {program}"], ENVIRONMENT | (environment or {}))


def test_a_line_is_asked_for_and_what_is_around_it_left_off() -> None:
    with at("print(repr(terminal.line('User: ')))") as terminal:
        terminal.answer("User: ", "  alice ")
        terminal.ended()
    assert terminal.shown.splitlines()[-1] == "'alice'"


def test_enter_alone_is_the_default() -> None:
    with at("print(repr(terminal.line('User: ', 'bob')))") as terminal:
        terminal.answer("User: ", "")
        terminal.ended()
    assert terminal.shown.splitlines()[-1] == "'bob'"


def test_a_password_is_taken_as_it_is_typed_and_not_shown() -> None:
    with at("print(terminal.hidden('Password: ').reveal() == '  pässwörd '.encode())") as terminal:
        terminal.answer("Password: ", "  pässwörd ")
        terminal.ended()
    assert (terminal.shown.splitlines()[-1], "pässwörd" in terminal.shown) == ("True", False)


def test_what_was_typed_before_the_question_is_no_answer_to_it() -> None:
    with at("print('ready', flush=True); terminal.line(''); print(terminal.hidden('Password: ').reveal().decode())") as terminal:
        terminal.wait_for("ready")
        terminal.type("go\ntoo early\n")
        terminal.answer("Password: ", "right")
        terminal.ended()
    assert terminal.shown.splitlines()[-1] == "right"


@pytest.mark.parametrize("question", ["line('User: ')", "hidden('Password: ')"])
@pytest.mark.parametrize("typed", ["\n", "\x04"])
def test_nothing_is_no_answer(question: str, typed: str) -> None:
    program = FAILS.format(f"terminal.{question}")
    with Terminal([sys.executable, "-c", f"from gateway.cli import terminal\n{program}"], ENVIRONMENT) as terminal:
        terminal.wait_for(": ")
        terminal.type(typed)
        terminal.ended()
    assert terminal.shown.splitlines()[-1] == "nothing was typed | Run this again at a terminal, and answer the question."


@pytest.mark.parametrize("question", ["line('Go on? ')", "agrees('Go on?')"])
def test_what_comes_after_an_interrupt_begins_a_line(question: str) -> None:
    program = f"try:\n    terminal.{question}\nexcept KeyboardInterrupt:\n    print('done')"
    with Terminal([sys.executable, "-c", f"from gateway.cli import terminal\n{program}"], ENVIRONMENT) as terminal:
        terminal.wait_for("Go on? ")
        terminal.type("\x03")
        terminal.ended()
    assert terminal.shown.splitlines()[-1] == "done"


def test_bytes_that_are_no_text_are_told() -> None:
    program = FAILS.format("terminal.hidden('Password: ')")
    with Terminal([sys.executable, "-c", f"from gateway.cli import terminal\n{program}"], ENVIRONMENT) as terminal:
        terminal.wait_for("Password: ")
        os.write(terminal._ours, b"\xff\xfe\n")
        terminal.ended()
    assert terminal.shown.splitlines()[-1] == "what was typed is no text | Set LANG to what your terminal sends: C.UTF-8 for most."


@pytest.mark.parametrize(("typed", "agreed"), [("", True), ("y", True), ("YES", True), ("n", False), ("what?", False)])
def test_enter_agrees_and_what_is_not_understood_does_not(typed: str, agreed: bool) -> None:
    with at("print(terminal.agrees('Go on?'))") as terminal:
        terminal.answer("Go on? [Y/n] ", typed)
        terminal.ended()
    assert terminal.shown.splitlines()[-1] == str(agreed)


def test_the_end_of_the_input_does_not_agree() -> None:
    with at("print(terminal.agrees('Go on?'))") as terminal:
        terminal.wait_for("[Y/n] ")
        terminal.type("\x04")
        terminal.ended()
    assert terminal.shown.splitlines()[-1] == "False"


def test_somebody_is_there_wherever_the_streams_lead() -> None:
    with Terminal(
        [sys.executable, "-c", "from gateway.cli import terminal; terminal.tell(str(terminal.is_there()))"],
        ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as terminal:
        terminal.ended()
    assert terminal.shown == "True\n"


def test_nobody_is_there_without_a_terminal() -> None:
    program = "from gateway.cli import terminal; print(terminal.is_there())\n" + FAILS.format("terminal.line('User: ')")
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, start_new_session=True
    )
    assert done.stdout.splitlines() == ["False", "there is no terminal to ask at | Run this again at a terminal, and answer the question."]


def test_a_command_in_the_background_asks_nobody_and_is_not_stopped() -> None:
    background = "import os, sys; os.setpgid(0, 0); from gateway.cli import terminal; print(terminal.is_there())"
    with Terminal(["/bin/sh", "-c", f'"{sys.executable}" -c "{background}" | cat'], ENVIRONMENT) as terminal:
        assert terminal.ended() == 0
    assert terminal.shown == "False\n"


def test_a_terminal_that_would_show_the_password_is_told() -> None:
    program = FAILS.format("terminal.hidden('Password: ')")
    broken = "import termios\ndef fails(*_): raise termios.error(5, 'Input/output error')\ntermios.tcsetattr = fails\n"
    with Terminal([sys.executable, "-c", f"from gateway.cli import terminal\n{broken}{program}"], ENVIRONMENT) as terminal:
        assert terminal.ended() == 0
    assert terminal.shown.splitlines()[-1] == ("the terminal does not hide what is typed | Run this again at a terminal, and answer the question.")


@pytest.mark.parametrize("program", ["terminal.say(said)", "terminal.tell(said)", "terminal.line(said)", "terminal.hidden(said)"])
def test_nothing_that_is_said_or_asked_can_move_the_cursor(program: str) -> None:
    with at(f"said = 'one\\x1b[2J\\x9b2J\\u202e\\ntwo: '; {program}") as terminal:
        terminal.answer("one?[2J?2J?\r\ntwo: ", "x")
        terminal.ended()
    assert "\x1b" not in terminal.shown


def test_what_nobody_hears_is_no_reason_to_fail() -> None:
    with Path("/dev/full").open("w") as full:
        program = "from gateway.cli import terminal; terminal.say('x'); print('done')"
        ran = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=full, check=False, timeout=60)
    assert ran.stdout == b"done\n"
