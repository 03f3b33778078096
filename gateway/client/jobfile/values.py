"""Values as sbatch takes them on its command line, in the form that job files have them: times, memory, counts, names (pure).

Where the versions of the API differ, a value has the form that the gateway knows how to turn into that of any of them. ValueError says what
is wrong with a value, in words to follow the name of the option or field. What sbatch takes was read in Slurm's src/common/slurm_opt.c,
proc_args.c and parse_time.c, of 22.05 and 24.11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MOST = 2**32 - 3  # NO_VAL - 1: the largest number that Slurm does not take for something else
_DURATION = re.compile(r"(?:(?P<days>[0-9]{1,5})-)?(?P<parts>[0-9]{1,9}(?::[0-9]{1,9}){0,2})")
_FOR_EVER = frozenset({"-1", "infinite", "unlimited"})
_HOURS, _HOURS_AND_MINUTES, _ALL_THREE = 1, 2, 3
_MEMORY = re.compile(r"([0-9]{1,15})(?:([kmgt])b?)?", re.IGNORECASE)
_MEGABYTES = {"m": 1, "g": 1024, "t": 1024**2}
_NODES = re.compile(r"[0-9]{1,9}[kKmM]?(?:[-,:][0-9]{1,9}[kKmM]?)*")
_SIGNAL = re.compile(r"(?P<whom>[RrBb]{0,2})(?P<colon>:?)(?P<signal>[A-Za-z0-9+-]{1,12})(?:@(?P<seconds>[0-9]{1,5}))?")
_MOST_SECONDS = 0xFFFF
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
MAIL = frozenset(
    "NONE BEGIN END FAIL REQUEUE ALL INVALID_DEPEND STAGE_OUT TIME_LIMIT TIME_LIMIT_90 TIME_LIMIT_80 TIME_LIMIT_50 ARRAY_TASKS".split()  # noqa: SIM905 - as sbatch lists them
)

NUMBER = Mapping[str, Any]
ENDLESS: NUMBER = {"set": False, "infinite": True, "number": 0}


def number(value: int) -> NUMBER:
    """Return a number as versions from v0.0.39 on write those that may be unset."""
    return {"set": True, "infinite": False, "number": value}


def whole(text: str, *, least: int = 0, most: int = MOST) -> int:
    """Return a whole number."""
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20):  # noqa: PLR2004 - more digits than 64 bits have
        raise ValueError("must be a whole number")
    if not least <= int(text) <= most:
        raise ValueError(f"must be at least {least}" if int(text) < least else f"must be at most {most}")
    return int(text)


def minutes(text: str) -> NUMBER:
    """Return a time like ``1-12:00:00`` in minutes, seconds rounded up; 0 is no limit at all."""
    if text.lower() in _FOR_EVER:
        return ENDLESS
    found = _DURATION.fullmatch(text)
    if found is None or not text.isascii():
        raise ValueError("is no time: write MINUTES, MINUTES:SECONDS, HOURS:MINUTES:SECONDS, DAYS-HOURS, DAYS-HOURS:MINUTES[:SECONDS] or UNLIMITED")
    total = _seconds(found["days"], [int(part) for part in found["parts"].split(":")])
    return number(whole(str(-(-total // 60)))) if total else ENDLESS


def _seconds(days: str | None, parts: list[int]) -> int:
    if days is not None:
        hours, mins, seconds = (*parts, 0, 0)[:3]
        return 86400 * int(days) + 3600 * hours + 60 * mins + seconds
    if len(parts) == _ALL_THREE:
        return 3600 * parts[0] + 60 * parts[1] + parts[2]
    return 60 * parts[0] + (parts[1] if len(parts) > 1 else 0)


def megabytes(text: str) -> int:
    """Return an amount of memory, of disk or the like in MiB; kilobytes are rounded up."""
    found = _MEMORY.fullmatch(text)
    if found is None:
        raise ValueError("is no amount: write a number with K, M (the default), G or T")
    unit = (found[2] or "m").lower()
    amount = int(found[1])
    return -(-amount // 1024) if unit == "k" else amount * _MEGABYTES[unit]


def node_count(text: str) -> str:
    """Return a number of nodes, or the least and the largest one: ``2``, ``2-4``."""
    if _NODES.fullmatch(text) is None:
        raise ValueError("is no number of nodes: write NUMBER or LEAST-MOST")
    least, _, most = text.partition("-")
    if most.isdigit() and least.isdigit() and int(least) > int(most) > 0:
        raise ValueError("has a larger number first")
    return text


def nodes(text: str) -> list[str]:
    """Return the names in an expression for nodes, as a list of which none has a comma in it: ``n[1-3,7],m1`` is n[1-3], n7 and m1."""
    if "/" in text:
        raise ValueError("names a file of this machine, which Slurm would look for on its own: write the nodes' names")
    names: list[str] = []
    for name in re.findall(r"(?:[^,\[\]]|\[[^\[\]]*\])+", text):
        names += _without_commas(name)
    if not names or any(character in "[]" for character in _BRACKETS.sub("", text)):
        raise ValueError("is no list of nodes")
    return names


def _without_commas(name: str) -> list[str]:
    for found in _BRACKETS.finditer(name):
        if "," in found[1]:
            before, after = name[: found.start()], name[found.end() :]
            return [one for part in found[1].split(",") for one in _without_commas(before + (f"[{part}]" if "-" in part else part) + after)]
    return [name]


def mail_types(text: str) -> str:
    """Return kinds of mail as sbatch lists them, with commas; NONE after others takes them back."""
    kinds = [kind for kind in text.upper().split(",") if kind]
    unknown = [kind for kind in kinds if kind not in MAIL]
    if unknown or not kinds:
        raise ValueError(f"must be of {', '.join(sorted(MAIL))}")
    return "NONE" if "NONE" in kinds else ",".join(dict.fromkeys(kinds))


def one_of(text: str, *words: str) -> str:
    """Return one of ``words``, written in any case."""
    if text.lower() not in words:
        raise ValueError(f"must be {' or '.join(words)}")
    return text.lower()


def signal(text: str) -> tuple[list[str], str, int]:
    """Return whom a warning goes to (flags as versions from v0.0.39 name them), its signal, and how many seconds before the end it comes."""
    found = _SIGNAL.fullmatch(text)
    if found is None or (not found["colon"] and text[0] in "RrBb"):  # as the letter, sbatch would take it
        raise ValueError("must be written [R][B:]SIGNAL[@SECONDS]")
    seconds = int(found["seconds"] or 60)
    if seconds > _MOST_SECONDS:
        raise ValueError(f"must be at most {_MOST_SECONDS} seconds before the end")
    flags = [flag for letter, flag in (("b", "BATCH_JOB"), ("r", "RESERVATION_JOB")) if letter in found["whom"].lower()]
    return flags, found["signal"].upper().removeprefix("SIG"), seconds
