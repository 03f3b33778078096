"""What TAB offers: commands, options and their values, the names of sites, job files, and the numbers of your jobs.

The shell runs ``slurm-gateway`` with _ARGCOMPLETE in its environment and the line in COMP_LINE; whatever goes wrong, nothing is offered and
nothing is said, for it would be said in the middle of somebody's line.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from gateway.client.errors import printable

LIMIT = 1.5
"""Seconds that somebody who pressed TAB waits for an answer of a gateway."""
JOB_FILES = (".json", ".yaml", ".yml", ".sh", ".bash", ".sbatch", ".slurm", ".job")
_ASK_FOR_JOBS = frozenset({"cancel", "job", "wait"})
_TAKE_JOB_FILES = frozenset({"check", "submit"})
_MOST = 200


def complete(build_parser: Callable[[Sequence[str]], argparse.ArgumentParser]) -> NoReturn:
    """Answer the shell, and end the process."""
    try:
        import argcomplete  # noqa: PLC0415 - only shells ask for it
        from argcomplete.completers import SuppressCompleter  # noqa: PLC0415 - as above

        words = words_before(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))
        try:
            parser = build_parser(words)
        except ModuleNotFoundError:  # a command of the server's, where the server is not installed
            parser = build_parser([])
        _attach(parser)
        completer: Any = argcomplete.autocomplete
        completer(parser, default_completer=SuppressCompleter(), always_complete_options=False)
    except Exception:  # noqa: BLE001, S110 - see above
        pass
    os._exit(1)


def words_before(line: str, point: int) -> list[str]:
    """Return the words of a line before the cursor, without the first, which is the command's name."""
    lexer = shlex.shlex(line[:point], posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    with suppress(ValueError):  # a quote that is not closed yet
        words.extend(lexer)
    return words[1:]


def _attach(parser: argparse.ArgumentParser) -> None:
    """Say of each argument how its values are found."""
    for command, inner in _parsers(parser):
        for action in inner._actions:  # noqa: SLF001 - argparse has no other way to ask a parser for its arguments
            completer = _completer(command, action)
            if completer is not None:
                action.completer = completer  # type: ignore[attr-defined]  # argcomplete's own convention


def _parsers(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield a parser and those of its commands, each with the name of the outermost command."""
    yield "", parser
    for action in parser._actions:  # noqa: SLF001 - as above
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for name, inner in action.choices.items():
                yield from ((name, one) for _, one in _parsers(inner))


def _completer(command: str, action: argparse.Action) -> Callable[..., Any] | None:
    if action.dest == "site" or (command == "sites" and action.dest == "name"):
        return sites
    if not action.option_strings and command in _ASK_FOR_JOBS:
        return jobs
    if not action.option_strings and command in _TAKE_JOB_FILES:
        return job_files
    if action.metavar == "DIR":
        return folders
    return files if action.metavar == "FILE" else None


def sites(**_: Any) -> list[str]:  # noqa: ANN401 - argcomplete's own arguments
    """Return the names of the sites that somebody has signed in to."""
    from gateway.client.sites import Sites  # noqa: PLC0415 - only shells ask for it

    try:
        return Sites.of(os.environ).names()
    except Exception:  # noqa: BLE001 - nothing is said
        return []


def jobs(parsed_args: argparse.Namespace, prefix: str = "", **_: Any) -> Mapping[str, str]:  # noqa: ANN401 - argcomplete's own arguments
    """Return the numbers of my jobs, each with its name and state, if the gateway tells them in time; nobody is asked for anything."""
    from gateway.cli.person import person_of  # noqa: PLC0415 - only shells ask for it
    from gateway.client.gateway import Gateway  # noqa: PLC0415 - as above

    try:
        with _limited(LIMIT):
            person = person_of(_filled(parsed_args))
            if person.token is None:
                return {}
            with Gateway(
                person.site.url, token=person.token, ca=person.site.ca, cluster=getattr(parsed_args, "cluster", None), patience=0
            ) as gateway:
                found = {str(job.id): printable(f"{job.name} {job.state}").replace(":", " ") for job in gateway.jobs()}
    except Exception:  # noqa: BLE001 - nothing is said
        return {}
    return dict(sorted(((number, said) for number, said in found.items() if number.startswith(prefix)), reverse=True)[:_MOST])


def _filled(arguments: argparse.Namespace) -> argparse.Namespace:
    """Return arguments with those that a half typed line has not given; standard input is nobody's to read here."""
    given = vars(arguments)
    token_file = given.get("token_file")
    if str(token_file) == "-":
        raise ValueError("standard input")
    return argparse.Namespace(**{"site": os.environ.get("SLURM_GATEWAY_SITE"), "token_file": None, "ca": None} | given)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise TimeoutError when the block takes longer."""

    def over(number: int, frame: object) -> NoReturn:
        del number, frame
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def job_files(prefix: str, **_: Any) -> list[str]:  # noqa: ANN401 - argcomplete's own arguments
    """Return the job files in a folder, and its folders."""
    return _paths(prefix, lambda name: name.lower().endswith(JOB_FILES))


def files(prefix: str, **_: Any) -> list[str]:  # noqa: ANN401 - argcomplete's own arguments
    """Return the files in a folder, and its folders."""
    return _paths(prefix, lambda _: True)


def folders(prefix: str, **_: Any) -> list[str]:  # noqa: ANN401 - argcomplete's own arguments
    """Return the folders in a folder."""
    return _paths(prefix, lambda _: False)


def _paths(prefix: str, wanted: Callable[[str], bool]) -> list[str]:
    """Return what begins with ``prefix`` and is a folder or ``wanted``; hidden files are offered to who has typed their dot."""
    folder, name = os.path.split(prefix)
    found = []
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:  # noqa: PTH111 - a text, as it is typed
            for entry in entries:
                if not entry.name.startswith(name) or (entry.name.startswith(".") and not name.startswith(".")) or not entry.name.isprintable():
                    continue
                path = os.path.join(folder, entry.name)  # noqa: PTH118 - as above
                if entry.is_dir():
                    found.append(f"{path}/")
                elif wanted(entry.name):
                    found.append(path)
    except OSError:
        return []
    return sorted(found)
