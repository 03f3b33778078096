"""The values of a job's fields as one version of the API writes them, turned into those of another.

Each function takes a value as it stands in the body and returns it in the other form, the same object where nothing is to be done, or
None where the field is to be left out. NotOurs: the value is none that the function knows, so the field stays as it is and Slurm
answers. Ambiguous: to go on would be to guess, so nothing of the whole body is changed.

What each version takes was measured on 22.05 and 24.11 and read in slurmrestd's parsers (22.05: src/common/slurm_opt.c; since 23.02:
src/plugins/data_parser/*/parsers.c).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

Raw = msgspec.Raw
Convert = Callable[[Raw], Raw | None]

_T = TypeVar("_T")
_WHOLE = re.compile(rb"-?[0-9]{1,19}")
# minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes, days-hours:minutes:seconds (sbatch's --time).
_DURATION = re.compile(r"(?:(?P<days>[0-9]{1,5})-)?(?P<parts>[0-9]{1,9}(?::[0-9]{1,9}){0,2})")
_FOR_EVER = frozenset({"-1", "infinite", "unlimited"})
_FIRST_SECOND = 1_000_000  # parse_time takes "uts" and a number from here on
_FIRST_CERTAIN_SECOND = 1_000_000_000  # a shorter number might be a date: 120125 is the first of December
_GPUS = re.compile(r"[A-Za-z0-9_.:+-]+(?:,[A-Za-z0-9_.:+-]+)*")
_GRES = re.compile(r"[A-Za-z0-9_.:/+-]+(?:,[A-Za-z0-9_.:/+-]+)*")
_SIGNAL = re.compile(r"([A-Za-z0-9]{1,12})(?:@([0-9]{1,5}))?")
_WHOM = re.compile(r"([RrBb]{1,2}):")
_WARNED = {"B": "BATCH_JOB", "R": "RESERVATION_JOB"}
_MAIL = {
    "BEGIN": ("BEGIN",),
    "END": ("END",),
    "FAIL": ("FAIL",),
    "REQUEUE": ("REQUEUE",),
    "STAGE_OUT": ("STAGE_OUT",),
    "ARRAY_TASKS": ("ARRAY_TASKS",),
    "INVALID_DEPEND": ("INVALID_DEPENDENCY",),
    "TIME_LIMIT": ("TIME=100%",),
    "TIME_LIMIT_90": ("TIME=90%",),
    "TIME_LIMIT_80": ("TIME=80%",),
    "TIME_LIMIT_50": ("TIME=50%",),
    "ALL": ("INVALID_DEPENDENCY", "BEGIN", "END", "FAIL", "REQUEUE", "STAGE_OUT"),
}
_MAIL_BACK = {flags[0]: name for name, flags in _MAIL.items() if len(flags) == 1}
_SHARED = {"exclusive": "none", "true": "none", "oversubscribe": "oversubscribe", "user": "user", "mcs": "mcs"}
_SHARED_BACK = {"none": "exclusive", "oversubscribe": "oversubscribe", "user": "user", "mcs": "mcs"}


class NotOurs(Exception):  # noqa: N818 - an answer, not an error
    """The value is none of those that have a certain other form."""


class Ambiguous(Exception):  # noqa: N818 - likewise
    """The body can be read in two ways; what it says stays what it says."""


class _Number(msgspec.Struct, forbid_unknown_fields=True):
    """A number that may be unset or infinite, as versions from v0.0.39 on write it."""

    number: Raw = Raw(b"")
    set: bool = False
    infinite: bool = False


def read(value: Raw, kind: type[_T]) -> _T:
    """Return ``value`` as a Python value of ``kind``; raise NotOurs if it is none."""
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotOurs from None


def write(value: object) -> Raw:
    """Return ``value`` as it stands in a body."""
    return Raw(msgspec.json.encode(value))


def is_null(value: Raw) -> bool:
    """Tell whether ``value`` is null."""
    return bytes(value) == b"null"


def same(one: Raw, other: Raw) -> bool:
    """Tell whether two values are certainly the same."""
    if bytes(one) == bytes(other):
        return True
    try:
        left, right = read(one, str), read(other, str)
    except NotOurs:
        return False
    return left == right


def as_it_is(value: Raw) -> Raw:
    """Return ``value``: only its name changes."""
    return value


def plain(value: Raw, *, infinite: object = None, zero_is_certain: bool = True) -> Raw | None:
    """Return the number in ``{set, infinite, number}``; ``infinite`` is how the older versions say that, None where they cannot."""
    if not bytes(value).startswith(b"{"):
        return value
    number = read(value, _Number)
    if number.infinite:
        if infinite is None:
            raise NotOurs
        return write(infinite)
    if not number.set:
        return None
    if _WHOLE.fullmatch(bytes(number.number)) is None:
        raise NotOurs
    if not zero_is_certain and int(bytes(number.number)) == 0:
        raise Ambiguous("no time at all, which the older versions take for unlimited time")
    return number.number


def plain_minutes(value: Raw) -> Raw | None:
    """Return a time in minutes as the older versions take it; to them 0 is unlimited, to the newer ones it is none at all."""
    return plain(value, infinite="UNLIMITED", zero_is_certain=False)


def plain_memory(value: Raw) -> Raw | None:
    """Return an amount of memory as the older versions take it; 0 is all that a node has."""
    return plain(value, infinite=0)


def moment(value: Raw) -> Raw | None:
    """Return seconds of the epoch as 22.05 takes them: ``uts`` and the number, though its documents speak of an integer."""
    number = plain(value)
    if number is None or (number is not value and bytes(number) == b"0"):
        return None
    if _WHOLE.fullmatch(bytes(number)) is None:
        raise NotOurs
    if int(bytes(number)) < (_FIRST_CERTAIN_SECOND if number is value else _FIRST_SECOND):
        raise NotOurs
    return write(f"uts{bytes(number).decode()}")


def minutes(value: Raw) -> Raw:
    """Return a time like ``1-12:00:00`` in minutes, seconds rounded up; versions from v0.0.39 on take numbers only."""
    text = read(value, str)
    if text.isdecimal():
        return value
    if text.lower() in _FOR_EVER:
        return write({"set": False, "infinite": True, "number": 0})
    found = _DURATION.fullmatch(text)
    if found is None or not text.isascii():
        raise NotOurs
    parts = [int(part) for part in found["parts"].split(":")]
    if found["days"] is not None:
        hours, mins, seconds = (*parts, 0, 0)[:3]
        hours += 24 * int(found["days"])
    elif len(parts) == 3:  # noqa: PLR2004 - hours, minutes, seconds
        hours, mins, seconds = parts
    else:
        hours, mins, seconds = 0, *(*parts, 0)[:2]
    total = 60 * hours + mins + -(-seconds // 60)
    return write(total or {"set": False, "infinite": True, "number": 0})


def mail_flags(value: Raw) -> Raw:
    """Return ``END,FAIL`` as the list of flags that it is from v0.0.39 on."""
    text = read(value, str)
    tokens = [token for token in text.upper().split(",") if token]
    if "NONE" in tokens:
        return write([])
    if not tokens or any(token not in _MAIL for token in tokens):
        raise NotOurs
    flags = list(dict.fromkeys(flag for token in tokens for flag in _MAIL[token]))
    return value if flags == [text] else write(flags)


def mail_text(value: Raw) -> Raw:
    """Return a list of mail flags as the text that it is up to v0.0.38."""
    if bytes(value).startswith(b'"'):
        return value
    flags = [flag.upper() for flag in read(value, list[str])]
    if any(flag not in _MAIL_BACK for flag in flags):
        raise NotOurs
    return write(",".join(_MAIL_BACK[flag] for flag in flags) or "NONE")


def open_mode_text(value: Raw) -> Raw:
    """Return the one flag of ``open_mode`` as the text that it is up to v0.0.38."""
    if bytes(value).startswith(b'"'):
        return value
    flags = read(value, list[str])
    if len(flags) != 1 or flags[0].upper() not in {"APPEND", "TRUNCATE"}:
        raise NotOurs
    return write(flags[0].lower())


def _single(value: Raw) -> str:
    """Return the one word of ``exclusive`` or ``shared``: a text, a list of one, or true."""
    one: Any = read(value, Any)
    if one is True:
        return "true"
    if isinstance(one, list) and len(one) == 1:
        one = one[0]
    if not isinstance(one, str):
        raise NotOurs
    return one.lower()


def shared_from_exclusive(value: Raw) -> Raw:
    """Return ``exclusive`` as the ``shared`` of later versions."""
    word = _single(value)
    if word not in _SHARED:
        raise NotOurs
    return write([_SHARED[word]])


def shared_from_exclusive_of_words(value: Raw) -> Raw:
    """Return those values of ``exclusive`` as ``shared`` that v0.0.40 and v0.0.41, which have both fields, do not take for ``exclusive``."""
    if _single(value) not in {"exclusive", "oversubscribe"}:
        raise NotOurs
    return shared_from_exclusive(value)


def exclusive_from_shared(value: Raw) -> Raw:
    """Return ``shared`` as the ``exclusive`` of v0.0.36 to v0.0.38."""
    word = _single(value)
    if word not in _SHARED_BACK:
        raise NotOurs
    return write(_SHARED_BACK[word])


def exclusive_word(value: Raw) -> Raw:
    """Return ``true`` as ``exclusive``: 22.05's documents name the one, and its parser takes the other."""
    word = _single(value)
    if word == "true":
        return write("exclusive")
    if word in _SHARED and not bytes(value).startswith(b'"'):
        return write(word)
    raise NotOurs


def shared_from_oversubscribe(value: Raw) -> Raw:
    """Return ``oversubscribe: true`` as ``shared``; false meant different things, so it stays."""
    if bytes(value) != b"true":
        raise NotOurs
    return write(["oversubscribe"])


def exclusive_from_oversubscribe(value: Raw) -> Raw:
    """Return ``oversubscribe: true`` as v0.0.36 and v0.0.37 say it."""
    if bytes(value) != b"true":
        raise NotOurs
    return write("oversubscribe")


def no_requeue(value: Raw) -> Raw:
    """Return ``requeue: false`` as ``no_requeue``: 22.05 looks at the presence of either field only."""
    if bytes(value) != b"false":
        raise NotOurs
    return write(value=True)


def comma_list(value: Raw) -> Raw:
    """Return a list of names as one text."""
    if bytes(value).startswith(b'"'):
        return value
    names = read(value, list[str])
    if not names or any(not name or "," in name for name in names):
        raise NotOurs
    return write(",".join(names))


def gpu_counts(value: Raw) -> Raw:
    """Return numbers of GPUs (``2``, ``a100:1,v100:1``) as generic resources."""
    counts = _text_or_number(value)
    if _GPUS.fullmatch(counts) is None:
        raise NotOurs
    return write(",".join(f"gres/gpu:{count}" for count in counts.split(",")))


def per_gpu(value: Raw) -> Raw:
    """Return a number for each GPU (CPUs, or megabytes) as one for each generic resource of that name."""
    number = _text_or_number(value)
    if not (number.isascii() and number.isdecimal()):
        raise NotOurs
    return write(f"gres/gpu:{number}")


def tres_from_gres(value: Raw) -> Raw:
    """Return ``gres`` (``gpu:2,shard:1``) as trackable resources; ``none`` asks for none, which is what no field says."""
    names = read(value, str)
    if _GRES.fullmatch(names) is None or names.lower() == "none":
        raise NotOurs
    return write(",".join(name if name.startswith("gres/") else f"gres/{name}" for name in names.split(",")))


def _text_or_number(value: Raw) -> str:
    return bytes(value).decode() if _WHOLE.fullmatch(bytes(value)) else read(value, str)


def signal_parts(value: Raw) -> tuple[str, int, list[str]]:
    """Return the signal, the seconds and whom it goes to of ``B:USR1@60``; 60 is what Slurm takes where none are named."""
    text = read(value, str)
    whom = _WHOM.match(text)
    found = _SIGNAL.fullmatch(text[whom.end() :] if whom else text)
    if found is None or (whom is None and found[1][0] in "RrBb"):  # for whom without a colon, which has no certain other form
        raise NotOurs
    letters = whom[1].upper() if whom else ""
    return found[1], int(found[2] or 60), [flag for letter, flag in _WARNED.items() if letter in letters]


def signal_text(signal: str, seconds: int, flags: list[str]) -> Raw:
    """Return ``R:USR1@60`` for its parts; 22.05 takes B: from its own sbatch alone (get_signal_opts)."""
    if not set(flags) <= {_WARNED["R"]}:
        raise NotOurs
    text = write(f"{'R:' if flags else ''}{signal}@{seconds}")
    if signal_parts(text)[:2] != (signal, seconds):
        raise NotOurs
    return text
