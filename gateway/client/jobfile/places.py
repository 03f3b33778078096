"""Where in a job file each value stands: line and column, from 1, counted in characters (pure).

A path is the names and numbers that lead to a value, from the outermost one inwards: ``("jobs", 0, "tasks")``.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]

DEEPEST = 32
"""What is nested more deeply has the place of what it is in: Slurm's jobs have four levels."""
MOST = 100_000
"""Of so many values the places are kept."""
_TOKEN = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*+")|(?P<sign>[{}\[\],:])|[^\s{}\[\],:"]++')


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in a file; ``column`` is None where only the line is known."""

    line: int
    column: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The places of values and of the names that they have."""

    values: Mapping[Path, Place] = field(default_factory=dict, repr=False)
    names: Mapping[Path, Place] = field(default_factory=dict, repr=False)

    def of(self, path: Path) -> Place | None:
        """Return the place of the value at ``path``, or of what it would be in; None where nothing is known."""
        return next((self.values[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.values), None)

    def of_name(self, path: Path) -> Place | None:
        """Return the place of the name of the value at ``path``, or of the nearest value."""
        return self.names.get(path) or self.of(path)


class _Unset:
    """Stands in a path for the name in an object that has not come yet."""


_UNSET = _Unset()


def of_json(text: str) -> Places:
    """Return the places of all values in ``text``, which is JSON (RFC 8259); what else it may be, nothing is raised."""
    places = _Kept(text)
    path: list[str | int | _Unset] = []
    for token in _TOKEN.finditer(text):
        sign = token["sign"]
        if sign in ("}", "]"):
            del path[-1:]
        elif sign == ",":
            if path:
                path[-1] = path[-1] + 1 if isinstance(path[-1], int) else _UNSET
        elif sign == ":":
            continue
        elif path and path[-1] is _UNSET and token["text"] is not None:
            path[-1] = _said(token["text"])
            places.keep(places.names, path, token.start())
        else:
            places.keep(places.values, path, token.start())
            if sign is not None:
                path.append(_UNSET if sign == "{" else 0)
    return places.all


def _said(token: str) -> str:
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        return token


class _Kept:
    """Places as they are found, by their offsets in the text."""

    def __init__(self, text: str) -> None:
        self.values: dict[Path, Place] = {}
        self.names: dict[Path, Place] = {}
        self._begins = [0, *(found.end() for found in re.finditer("\n", text))]

    def keep(self, where: dict[Path, Place], path: list[str | int | _Unset], offset: int) -> None:
        """Keep the place of what stands at ``offset``."""
        if len(path) > DEEPEST or len(where) >= MOST:
            return
        line = bisect_right(self._begins, offset)
        where[tuple(step for step in path if not isinstance(step, _Unset))] = Place(line=line, column=offset - self._begins[line - 1] + 1)

    @property
    def all(self) -> Places:
        """All that was found."""
        return Places(values=self.values, names=self.names)


def of_yaml(text: str) -> Places:
    """Return the places of all values in ``text``, which is a YAML document; those of an alias are where it stands, and nothing is raised."""
    import yaml  # noqa: PLC0415 - a job file in JSON needs none of it

    values: dict[Path, Place] = {}
    names: dict[Path, Place] = {}
    try:
        events = yaml.parse(text, Loader=getattr(yaml, "CLoader", yaml.Loader))
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                _walk(yaml, events, values, names)
                break
    except yaml.YAMLError:
        pass  # whoever reads the file says so
    return Places(values=values, names=names)


def of_script(text: str) -> Places:
    """Return the lines of the options in ``text``, which is a batch script, for the fields that they ask for."""
    from gateway.client.jobfile.sbatch import lines_of  # noqa: PLC0415 - a job file in JSON needs none of it

    first = Place(line=1, column=None)
    lines: dict[Path, Place] = {("job", name): Place(line=line, column=None) for name, line in lines_of(text).items()}
    values: dict[Path, Place] = {(): first}
    values.update(lines)
    return Places(values=values)


def _walk(yaml: Any, events: Iterator[Any], values: dict[Path, Place], names: dict[Path, Place]) -> None:  # noqa: ANN401 - a module
    """Take in the places of one node's events, as ``of_json`` does with tokens."""
    path: list[str | int | _Unset] = []
    for event in events:
        place = Place(line=event.start_mark.line + 1, column=event.start_mark.column + 1)
        if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            path.pop()
        elif path and path[-1] is _UNSET:
            path[-1] = str(getattr(event, "value", ""))
            _put(names, path, place)
            if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                return  # a name that is no text: whoever reads the file says so
            continue
        else:
            _put(values, path, place)
            if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                path.append(_UNSET if isinstance(event, yaml.MappingStartEvent) else 0)
                continue
        if not path:
            return
        path[-1] = path[-1] + 1 if isinstance(path[-1], int) else _UNSET


def _put(where: dict[Path, Place], path: list[str | int | _Unset], place: Place) -> None:
    if len(path) <= DEEPEST and len(where) < MOST:
        where[tuple(step for step in path if not isinstance(step, _Unset))] = place
