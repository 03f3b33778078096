"""A batch script with #SBATCH lines, read as sbatch reads it, becomes a job (pure).

The rules are those of Slurm's src/sbatch/opt.c (24.11) and of getopt_long, which it calls: the arguments of all lines are one list, options
may be shortened, and an option that takes a value takes the next argument, whatever it looks like. What sbatch would pass over in silence and
would change what is asked for is an error here.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.client.errors import JobFileError
from gateway.client.jobfile.options import OPTIONS, SHORT, Draft, Option

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
_WORDS = ("#SBATCH", "#SLURM")
_OTHERS = re.compile(r"#(PBS|BSUB)\b")
_SPACE = " \t\v\f\r"
_HET_JOB = re.compile(r"(?:hetjob|packjob)(?:\s|$)", re.IGNORECASE)
_ENTRY = re.compile(r"(?:[^,'\"]|'[^']*'|\"[^\"]*\"|['\"])+")
# A script may be somebody else's, and the environment of a job is no secret.
_NOT_FOR_JOBS = "SLURM_GATEWAY_TOKEN"
# What sbatch tells a script of its options beside what Slurm itself does (set_env_from_opts).
_TOLD = {
    "cpus_per_task": "SLURM_CPUS_PER_TASK",
    "tasks_per_core": "SLURM_NTASKS_PER_CORE",
    "tasks_per_node": "SLURM_NTASKS_PER_NODE",
    "tasks_per_socket": "SLURM_NTASKS_PER_SOCKET",
    "threads_per_core": "SLURM_THREADS_PER_CORE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One argument, and the line that it stands in, from 1."""

    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a script asks for: the body of a submission, what was made of it, a line each, and which option each field comes from."""

    tree: dict[str, Any]
    notes: tuple[str, ...]
    places: Mapping[str, str]


def job_of(script: str, filename: str, *, directory: str, environment: Mapping[str, str]) -> Asked:
    """Return what ``script`` asks for; raise JobFileError.

    ``directory`` is where sbatch would be called, ``environment`` the variables that it would find.
    """
    _look_at_lines(script, filename)
    draft = Draft()
    words, notes = _words(script, filename)
    for option, value, line in _options(words, filename):
        _take(draft, option, value, filename, line)
    _refuse_others(script, filename, ignored=draft.ignore_others)
    tree = {"job": _job(draft, script, filename, directory, environment)}
    return Asked(tree=tree, notes=(*notes, *draft.notes), places=draft.places)


def lines_of(script: str) -> dict[str, int]:
    """Return the line of the last option that asks for each field of the job, of a script that ``job_of`` takes."""
    lines: dict[str, int] = {}
    for option, value, line in _options(_words(script, "-")[0], "-"):
        draft = Draft()
        if option.take is not None:
            option.take(draft, value)
        lines |= dict.fromkeys(draft.fields, line)
    return lines


def _look_at_lines(script: str, filename: str) -> None:
    if not script.startswith("#!"):
        raise JobFileError(
            f"{filename} is a batch script, but does not begin with #!", hint="Make its first line #!/bin/sh, or what else it is for.", line=1
        )
    if not script.partition("\n")[2].strip():
        raise JobFileError(f"{filename} has no line after its first one", hint="Write into it what the job is to do.", line=1)
    if "\r\n" in script:
        number = script[: script.index("\r\n")].count("\n") + 1
        raise JobFileError(f"{filename}:{number}: the line ends as on DOS, which no shell takes", hint=f"dos2unix {filename}", line=number)


def _words(script: str, filename: str) -> tuple[list[Word], list[str]]:
    """Return the arguments in the #SBATCH lines before the first command, and a note of those after it."""
    words: list[Word] = []
    lines = script.split("\n")
    for number, line in enumerate(lines, 1):
        magic = next((word for word in _WORDS if line.startswith(word)), None)
        if magic is not None:
            words += [Word(text=text, line=number) for text in _arguments(line[len(magic) :], f"{filename}:{number}", number)]
        elif line.strip(_SPACE) and not line.lstrip(_SPACE).startswith("#"):
            late = [at for at, later in enumerate(lines[number:], number + 1) if later.startswith("#SBATCH")]
            return words, [_late(late)] if late else []
    return words, []


def _late(lines: Sequence[int]) -> str:
    """Return the note of #SBATCH lines that ask for nothing."""
    if len(lines) == 1:
        return f"#SBATCH in line {lines[0]} comes after the first command, so it is a comment, as it is to sbatch."
    return f"#SBATCH in lines {', '.join(map(str, lines))} come after the first command, so they are comments, as they are to sbatch."


def _arguments(line: str, where: str, number: int) -> Iterator[str]:
    """Yield the arguments in a line: quotes group, a backslash takes the next character as it is, ``#`` begins a comment."""
    if _HET_JOB.match(line.strip(_SPACE)):
        raise JobFileError(
            f"{where}: a heterogeneous job cannot be submitted from a batch script here",
            hint="Write it as a JSON or YAML job file with a list of 'jobs'.",
            line=number,
        )
    rest = line.strip(_SPACE)
    while rest and not rest.startswith("#"):
        if rest.startswith(":"):
            raise JobFileError(f"{where}: a ':' where an option should begin", hint="Take it away.", line=number)
        text, rest = _argument(rest, where, number)
        yield text


def _argument(rest: str, where: str, number: int) -> tuple[str, str]:
    """Return the argument that ``rest`` begins with, and what follows it."""
    text, quote, at = "", "", 0
    while at < len(rest) and (quote or (rest[at] not in _SPACE and rest[at] != "#")):
        character = rest[at]
        if character == "\\":
            text += rest[at + 1 : at + 2]
            at += 1
        elif quote and character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote = character
        else:
            text += character
        at += 1
    if quote:
        raise JobFileError(f"{where}: a quote ({quote}) is not closed", hint="Close it in the same line.", line=number)
    if not text:
        raise JobFileError(f"{where}: an empty argument", hint="sbatch would pass over the rest of the line: take it away.", line=number)
    return text, rest[at:].lstrip(_SPACE)


def _options(words: Sequence[Word], filename: str) -> Iterator[tuple[Option, str, int]]:
    """Yield the options with their values, as getopt_long finds them."""
    ahead = iter(words)
    for word in ahead:
        where = f"{filename}:{word.line}"
        if word.text.startswith("--") and len(word.text) > 2:  # noqa: PLR2004 - two dashes alone end the options
            name, equals, value = word.text[2:].partition("=")
            option = _long(name, where, word.line)
            if option.argument == "none" and equals:
                raise JobFileError(f"{where}: --{option.name} takes no value", hint=f"Write --{option.name} alone.", line=word.line)
            if option.argument == "required" and not equals:
                value = _next(ahead, f"--{option.name}", where, word.line)
            yield option, value, word.line
        elif word.text.startswith("-") and word.text not in {"-", "--"}:
            yield from _short(word, ahead, where)
        else:
            raise JobFileError(
                f"{where}: '{word.text}' is no option",
                hint="Options begin with - or --; a value with spaces in it needs quotes.",
                line=word.line,
            )


def _long(name: str, where: str, line: int) -> Option:
    if name in OPTIONS:
        return OPTIONS[name]
    begun = [known for known in OPTIONS if known.startswith(name)] if name else []
    if len(begun) == 1:
        return OPTIONS[begun[0]]
    if begun:
        raise JobFileError(f"{where}: --{name} may be any of --{', --'.join(begun)}", hint="Write it out.", line=line)
    import difflib  # noqa: PLC0415 - only who mistypes needs it

    close = difflib.get_close_matches(name, OPTIONS, n=1)
    hint = f"Did you mean --{close[0]}?" if close else "sbatch's options are meant: man sbatch."
    raise JobFileError(f"{where}: there is no option --{name}", hint=hint, line=line)


def _short(word: Word, ahead: Iterator[Word], where: str) -> Iterator[tuple[Option, str, int]]:
    """Yield the options in a word like ``-Hn4``: what follows the letter of one that takes a value is its value."""
    letters = word.text[1:]
    while letters:
        option, letters = SHORT.get(letters[0]), letters[1:]
        if option is None:
            raise JobFileError(f"{where}: there is no option {word.text}", hint="sbatch's options are meant: man sbatch.", line=word.line)
        if option.argument == "none":
            yield option, "", word.line
            continue
        if option.argument == "required" and not letters:
            letters = _next(ahead, f"-{option.short}", where, word.line)
        yield option, letters, word.line
        return


def _next(ahead: Iterator[Word], name: str, where: str, line: int) -> str:
    found = next(ahead, None)
    if found is None:
        raise JobFileError(f"{where}: {name} needs a value", hint=f"Write {name}{'=' if name.startswith('--') else ' '}VALUE.", line=line)
    return found.text


def _take(draft: Draft, option: Option, value: str, filename: str, line: int) -> None:
    where = f"{filename}:{line}"
    if option.take is None:
        raise JobFileError(f"{where}: --{option.name} {option.refused}", hint=option.hint or f"Take --{option.name} out of the script.", line=line)
    if option.name == "export" and _NOT_FOR_JOBS in _ENTRY.findall(value):
        raise JobFileError(
            f"{where}: --export names {_NOT_FOR_JOBS}, and no job gets the token that it is submitted with",
            hint="Take it out of --export; a job that asks the gateway itself reads a token of its own from a file on the cluster.",
            line=line,
        )
    before = dict(draft.fields)
    try:
        option.take(draft, value)
    except ValueError as error:
        raise JobFileError(
            f"{where}: --{option.name}={value}: it {error}", hint=f"Correct --{option.name}; 'man sbatch' tells of it.", line=line
        ) from error
    draft.places |= {name: f"--{option.name}, {where}" for name, said in draft.fields.items() if name not in before or before[name] is not said}


def _refuse_others(script: str, filename: str, *, ignored: bool) -> None:
    """Sbatch takes lines for other schedulers as its own; what they would ask for must not be lost here."""
    for number, line in enumerate(script.split("\n"), 1):
        if line.strip(_SPACE) and not line.lstrip(_SPACE).startswith("#"):
            return
        found = _OTHERS.match(line)
        if found and not ignored:
            raise JobFileError(
                f"{filename}:{number}: a line for another scheduler (#{found[1]})",
                hint="Write it as #SBATCH, or add '#SBATCH --ignore-pbs' to have such lines ignored.",
                line=number,
            )


def _job(draft: Draft, script: str, filename: str, directory: str, environment: Mapping[str, str]) -> dict[str, Any]:
    fields = draft.fields
    fields.setdefault("name", "sbatch" if filename == "-" else posixpath.basename(filename))
    if "current_working_directory" not in fields:
        draft.notes.append(f"The job runs in {directory} on the cluster; --chdir names another folder.")
    fields["current_working_directory"] = posixpath.join(directory, fields.get("current_working_directory", ""))
    fields["current_working_directory"] = fields["current_working_directory"].rstrip("/") or "/"
    _count_tasks(fields)
    if fields.get("hold"):
        fields.pop("priority", None)  # which newer versions would take for the end of the hold
    fields["environment"] = [f"{name}={value}" for name, value in _environment(draft, environment).items()]
    return {**fields, "script": script}


def _count_tasks(fields: dict[str, Any]) -> None:
    """So many tasks a node are so many in all, where the number of nodes is certain; 22.05's slurmctld leaves it to sbatch to say so."""
    least, _, most = str(fields.get("nodes", "1")).partition("-")
    if "tasks_per_node" in fields and "tasks" not in fields and least.isdigit() and (not most or most == least):
        fields["tasks"] = int(least) * int(fields["tasks_per_node"])


def _environment(draft: Draft, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the job: sbatch's default copies its own environment, which is that of another machine here.

    SLURM_SUBMIT_DIR is where the job runs, for a folder that only this machine has would be of no use to a script.
    """
    told = {name: str(draft.fields[field]) for field, name in _TOLD.items() if field in draft.fields}
    told["SLURM_SUBMIT_DIR"] = str(draft.fields["current_working_directory"])
    if draft.export is None or draft.export.upper() == "ALL":
        if draft.login_environment:
            return {"SLURM_GET_USER_ENV": "1", **told}
        draft.notes.append(
            f"This machine's environment does not travel: the job has PATH={DEFAULT_PATH}. --export=NONE gives it that of a login on its node."
        )
        return {"PATH": DEFAULT_PATH, **told}
    told["SLURM_EXPORT_ENV"] = draft.export
    if draft.export.upper() == "NIL":
        return told
    return {"SLURM_GET_USER_ENV": "1", **_exported(draft, environment), **told}


def _exported(draft: Draft, environment: Mapping[str, str]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for entry in _ENTRY.findall(draft.export or ""):
        name, equals, value = entry.partition("=")
        if name.upper() == "NONE" and not equals:
            return {}
        if name.upper() == "ALL" and not equals:
            draft.notes.append("ALL in --export would be this machine's environment, which does not travel.")
        elif equals:
            chosen[name] = value[1:-1] if value[:1] in {"'", '"'} and value[:1] == value[-1:] and len(value) > 1 else value
        elif name in environment:
            chosen[name] = environment[name]
        else:
            draft.notes.append(f"--export names {name}, which is not set here.")
    return chosen
