"""What somebody may have meant by a command line that argparse does not understand; imported by those lines alone.

The words of Slurm's own commands, and the options of sbatch, are what people come with who know Slurm.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterator, Sequence

_OF_SLURM = {
    "sbatch": "submit",
    "srun": "submit",
    "squeue": "jobs",
    "sacct": "job",
    "scancel": "cancel",
    "sinfo": "nodes or partitions",
    "scontrol": "job, nodes or partitions",
    "version": "--version",
}
_YOURS = {"cancel": "--all means all of your jobs. ", "jobs": "Without it, 'jobs' lists yours; --user NAME is for those of others. "}
_LIKE = 0.75
_CHOICE = re.compile(r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)", re.DOTALL)
_UNKNOWN = "unrecognized arguments: "
_MISSING = "the following arguments are required: "


def meant(message: str, parser: argparse.ArgumentParser, named: str | None = None) -> tuple[str, str]:
    """Return argparse's complaint in a line, and what may have been meant, or nothing; ``named`` is the command of the line."""
    if found := _CHOICE.fullmatch(message):
        return _chosen(found[1], found[2], [choice.strip("'") for choice in found[3].split(", ")])
    if message.startswith(_UNKNOWN):
        return _unknown(message.removeprefix(_UNKNOWN).split(" "), _command(parser, named), named)
    if message.removeprefix(_MISSING) == "COMMAND":
        return "no command is named", "'slurm-gateway login URL' signs you in. "
    if message.removeprefix(_MISSING) == "ACTION":
        return f"which of {', '.join(_actions(parser))}?", ""
    return message, ""


def _chosen(place: str, typed: str, choices: Sequence[str]) -> tuple[str, str]:
    close = difflib.get_close_matches(typed, choices, n=1)
    if place != "COMMAND":
        return f"{place}: {typed!r} is none of {', '.join(choices)}", _did_you_mean(close)
    return f"there is no command {typed!r}", _did_you_mean([_OF_SLURM[typed]] if typed in _OF_SLURM else close)


def _unknown(words: Sequence[str], parser: argparse.ArgumentParser, named: str | None) -> tuple[str, str]:
    """Tell of the first option that there is not: what follows it may be its value, or was taken for something else."""
    word = next((word for word in words if word.startswith("-")), None)
    if word is None:
        what = f"unrecognized arguments: {' '.join(words)}"
        return what, "A job gets no arguments: write them into the script. " if named == "submit" else ""
    option, is_given, _ = word.partition("=")
    what = f"there is no option {option}"
    if named == "submit" and _is_of_sbatch(option):
        return what, f"Write '#SBATCH {word if is_given else f'{option} …'}' into the script, or change a field with --set NAME=VALUE. "
    if named is not None and named in _YOURS and option in {"-u", "--me", "--user"}:
        return what, _YOURS[named]
    return what, _did_you_mean(_like(option, list(_options(parser))))


def _is_of_sbatch(option: str) -> bool:
    """Tell whether sbatch has an option, which ``submit`` does not: what a job asks for stands in its file."""
    from gateway.client.jobfile.options import OPTIONS, SHORT  # noqa: PLC0415 - only for a line that submits

    return option[2:] in OPTIONS if option.startswith("--") else option[1:2] in SHORT


def _like(option: str, known: Sequence[str]) -> list[str]:
    """Return the option that is most like one, without its dashes; of a letter alone, the only one that begins with it."""
    typed, names = option.lstrip("-"), [name.lstrip("-") for name in known]
    begun = [name for name in names if name.startswith(typed)]
    close = (begun if len(begun) == 1 else []) if len(typed) == 1 else difflib.get_close_matches(typed, names, n=1, cutoff=_LIKE)
    return [f"--{name}" for name in close]


def _did_you_mean(close: Sequence[str]) -> str:
    return f"Did you mean {close[0]}? " if close else ""


def _command(parser: argparse.ArgumentParser, named: str | None) -> argparse.ArgumentParser:
    """Return the parser of the command that a line names: argparse lets the outermost one complain of what nobody recognized."""
    return next((inner for name, inner in _inner(parser) if name == named), parser)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the long options of a command and of its actions."""
    yield from (name for name in parser._option_string_actions if name.startswith("--"))  # noqa: SLF001 - argparse has no other way to ask
    for _, inner in _inner(parser):
        yield from _options(inner)


def _actions(parser: argparse.ArgumentParser) -> list[str]:
    return [name for name, _ in _inner(parser)]


def _inner(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:  # noqa: SLF001 - as above
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            yield from action.choices.items()
