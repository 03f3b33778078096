"""The versions of Slurm's API: which a cluster serves, what ``latest`` is, and how long an old one will be there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import format_datetime
from functools import lru_cache

import msgspec

from gateway.errors import NotFound, Unavailable, VersionGone

LATEST = "latest"
_CALL = re.compile(r"(/slurm(?:db)?/)([^/]+)(/.*)?")
_VERSION = re.compile(r"v0\.0\.(0|[1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Release:
    """A release of Slurm: the day it came, or the first of the month that is announced, and the versions that it serves."""

    name: str
    day: date
    first: int
    last: int


# slurmrestd's plugins in each release (src/plugins/openapi, later src/plugins/data_parser) and the removals that its release notes
# announce (doc/html/openapi_release_notes); the days are those of the release's tag. What a release to come will add is not written here.
_RELEASES = (
    _Release(name="20.11", day=date(2020, 11, 17), first=35, last=36),
    _Release(name="21.08", day=date(2021, 8, 26), first=35, last=37),
    _Release(name="22.05", day=date(2022, 5, 26), first=36, last=38),
    _Release(name="23.02", day=date(2023, 2, 28), first=37, last=39),
    _Release(name="23.11", day=date(2023, 11, 21), first=38, last=40),
    _Release(name="24.05", day=date(2024, 5, 30), first=39, last=41),
    _Release(name="24.11", day=date(2024, 11, 29), first=40, last=42),
    _Release(name="25.05", day=date(2025, 5, 29), first=40, last=43),
    _Release(name="25.11", day=date(2025, 11, 6), first=41, last=44),
    _Release(name="26.05", day=date(2026, 5, 26), first=42, last=45),
    _Release(name="26.11", day=date(2026, 11, 1), first=43, last=46),
    _Release(name="27.05", day=date(2027, 5, 1), first=44, last=46),
    _Release(name="27.11", day=date(2027, 11, 1), first=45, last=46),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The path to ask slurmrestd for, and headers that the answer gets."""

    path: str
    headers: tuple[tuple[str, str], ...] = ()


class _Document(msgspec.Struct):
    paths: dict[str, msgspec.Raw] = {}


def served_versions(openapi: bytes) -> tuple[str, ...]:
    """Return the versions whose paths an OpenAPI document (JSON) names, oldest first; none for what is no such document."""
    try:
        paths = msgspec.json.decode(openapi, type=_Document).paths
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    numbers = {int(version[1]) for path in paths if (call := _CALL.fullmatch(path)) and (version := _VERSION.fullmatch(call[2]))}
    return tuple(f"v0.0.{number}" for number in sorted(numbers))


def resolve(path: str, served: tuple[str, ...]) -> Resolved:
    """Return the path that ``path`` means on a cluster that serves ``served`` (oldest first, empty where that is not known).

    ``latest`` in the place of the version is the newest one. Raise VersionGone for one that is not served any more, NotFound for one
    that is not served yet, Unavailable for ``latest`` while nothing is known.
    """
    call = _CALL.fullmatch(path)
    if call is None:
        return Resolved(path=path)
    room, name, rest = call[1], call[2], call[3] or ""
    if name == LATEST:
        return Resolved(path=f"{room}{_newest(served)}{rest}")
    version = _VERSION.fullmatch(name)
    if version is None or not served:
        return Resolved(path=path)
    if name not in served:
        raise _not_served(name, served)
    return Resolved(path=path, headers=_announcement(int(version[1]), rest, served))


def _newest(served: tuple[str, ...]) -> str:
    if not served:
        raise Unavailable(
            "the versions that slurmrestd serves are not known yet",
            detail="Which versions of the API this cluster serves is not known at the moment. The request was not sent.",
            hint="Try again in a few seconds, or name the version: GET /openapi/v3 tells those that are served.",
        )
    return served[-1]


def _number(version: str) -> int:
    return int(version.rpartition(".")[2])


def _not_served(name: str, served: tuple[str, ...]) -> VersionGone | NotFound:
    known = ", ".join(served)
    if _number(name) > _number(served[-1]):
        return NotFound(
            "a version that is not served yet",
            detail=f"The cluster's Slurm is too old for {name} of the API. Nothing was done.",
            hint=f"Use one that it serves: {known}; or 'latest' in the place of the version, which is {served[-1]}.",
        )
    return VersionGone(
        "a version that is not served any more",
        detail=f"The cluster's Slurm does not serve {name} of the API. It serves {known}. Nothing was done.",
        hint=f"Use one of {known}; or 'latest' in the place of the version, which is {served[-1]}.",
    )


def _announcement(version: int, rest: str, served: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the headers that tell of the end of ``version``.

    It is deprecated from the day on which a later version came (RFC 9745), and ends with the release that has it no more (RFC 8594; the
    day is the earliest one, for nobody knows when a site upgrades). Nothing is told of the newest served one, which has no successor here.
    """
    later = [_number(other) for other in served if _number(other) > version]
    dates = _life(version)
    if not later or not dates:
        return ()
    successor = f"{'../' * rest.count('/')}v0.0.{min(later)}{rest}"
    return (*dates, ("Link", f'<{successor}>; rel="successor-version"'))  # RFC 5829; relative, for a cluster's name may stand before it


@lru_cache(maxsize=64)
def _life(version: int) -> tuple[tuple[str, str], ...]:
    """Return since when ``version`` is deprecated, and when it ends; nothing where no end is announced."""
    successor_came = next((release.day for release in _RELEASES if release.last > version), None)
    ends = next((release.day for release in _RELEASES if release.first > version), None)
    if successor_came is None or ends is None:
        return ()
    return ("Deprecation", f"@{int(_midnight(successor_came).timestamp())}"), ("Sunset", format_datetime(_midnight(ends), usegmt=True))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
