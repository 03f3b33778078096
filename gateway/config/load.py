"""From a TOML file to frozen values: every problem at once, each with its place in the file."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from gateway.config.model import Audit, Cluster, Config, Directory, Radius, Section, Server, Store
from gateway.config.policy import policy_problems

_TABLE = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?")
_LISTED_TABLE = re.compile(r"\s*\[\[\s*([^\[\]]+?)\s*\]\]\s*(?:#.*)?")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"'-]+)\s*=")
_TOML_PLACE = re.compile(r"\(at line (\d+), column \d+\)")
_S = TypeVar("_S", bound=Section)
_MAX_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a configuration: where (``file:line`` and dotted key) and what."""

    place: str
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.key}: {self.text}" if self.key else f"{self.place}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The sections of a file that are right in themselves, whatever is wrong with the others."""

    server: Server | None = None
    store: Store | None = None
    directory: Directory | None = None
    audit: Audit | None = None
    radius: Radius | None = None
    clusters: Mapping[str, Cluster] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config) -> Parts:
        """Return all of a configuration that is right."""
        return cls(
            server=config.server,
            store=config.store,
            directory=config.directory,
            audit=config.audit,
            radius=config.radius,
            clusters=config.clusters,
        )


class ConfigurationError(Exception):
    """The configuration cannot be used; ``problems`` has everything that is wrong with its form, ``parts`` what is right of it."""

    def __init__(self, problems: tuple[Problem, ...], parts: Parts | None = None) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems
        self.parts = parts or Parts()


def locate(source: str, key: tuple[str, ...]) -> int:
    """Return the line (from 1) where the dotted ``key`` or, failing that, the nearest table above it stands; 1 when neither does.

    tomllib tells no positions, so this reads the headers and keys of a file that tomllib has already accepted.
    """
    table: tuple[str, ...] = ()
    listed: Counter[tuple[str, ...]] = Counter()
    best, best_depth = 1, 0
    for number, line in enumerate(source.split("\n"), start=1):  # as TOML counts them: U+2028 and its like end no line
        if header := _TABLE.fullmatch(line):
            table = _parts(header[1])
            here = table
        elif header := _LISTED_TABLE.fullmatch(line):
            name = _parts(header[1])
            table = here = (*name, str(listed[name]))
            listed[name] += 1
        elif entry := _KEY.match(line):
            here = table + _parts(entry[1])
        else:
            continue
        if len(here) > best_depth and key[: len(here)] == here:
            best, best_depth = number, len(here)
    return best


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def parse(source: str, name: str) -> Config:
    """Return the configuration that ``source`` holds; raise ConfigurationError with every problem of form and value."""
    try:
        tree = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        at = _TOML_PLACE.search(str(error))
        text = _TOML_PLACE.sub("", str(error)).strip()
        raise ConfigurationError((Problem(place=f"{name}:{at[1] if at else 1}", key="", text=text),)) from None
    except (ValueError, RecursionError):
        raise ConfigurationError((Problem(place=name, key="", text="holds a number or a nesting that no configuration has"),)) from None
    config, found = None, []
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        found += [_problem(source, name, dict(item)) for item in error.errors(include_input=False)]
        found += _across(source, name, tree, found)
    found += [Problem(place=f"{name}:{locate(source, key)}", key=".".join(key), text=text) for key, text in policy_problems(tree)]
    if config is None or found:
        raise ConfigurationError(tuple(found), _parts_of(tree))
    return config


def _across(source: str, name: str, tree: dict[str, Any], found: list[Problem]) -> list[Problem]:
    """Return what is wrong between sections, which pydantic asks about only once each is right in itself."""
    slurm, clusters = tree.get("slurm"), tree.get("clusters")
    wanted = slurm.get("default_cluster") if isinstance(slurm, dict) else None
    said = any("default_cluster" in f"{problem.key} {problem.text}" for problem in found)
    if said or not isinstance(wanted, str) or not isinstance(clusters, dict) or wanted in clusters:
        return []
    place = f"{name}:{locate(source, ('slurm', 'default_cluster'))}"
    return [Problem(place=place, key="slurm.default_cluster", text=f"names none of the clusters: {', '.join(sorted(clusters))}")]


def _parts_of(tree: dict[str, Any]) -> Parts:
    """Return the sections that are right in themselves."""
    clusters = tree.get("clusters")
    valid = {name: _section(Cluster, values) for name, values in clusters.items()} if isinstance(clusters, dict) else {}
    return Parts(
        server=_section(Server, tree.get("server")),
        store=_section(Store, tree.get("store")),
        directory=_section(Directory, tree.get("directory")),
        audit=_section(Audit, tree.get("audit", {})),
        radius=_section(Radius, tree.get("radius", {})),
        clusters={name: cluster for name, cluster in valid.items() if cluster is not None},
    )


def _section(model: type[_S], values: object) -> _S | None:
    try:
        return model.model_validate(values)
    except ValidationError:
        return None


def _problem(source: str, name: str, item: dict[str, object]) -> Problem:
    location = item["loc"]
    key = tuple(str(part) for part in location) if isinstance(location, tuple) else ()
    shown = tuple(part for part in key if not part.startswith(("function-", "[")))
    text = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        text = "there is no such setting; README.md lists them all"
    elif item["type"] == "missing":
        text = "is missing"
    return Problem(place=f"{name}:{locate(source, shown)}", key=".".join(shown), text=_uncapitalised(text))


def _uncapitalised(text: str) -> str:
    """Return ``text`` with a small initial, but for words like RS256."""
    return text[0].lower() + text[1:] if text[1:2].islower() else text


def load(path: Path) -> Config:
    """Read and parse ``path``; raise ConfigurationError when it cannot be read or is wrong."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_FILE + 1)
        if len(raw) > _MAX_FILE:
            raise ConfigurationError((Problem(place=str(path), key="", text="is larger than 1 MiB, which no configuration is"),))
        source = raw.decode()
    except OSError as error:
        raise ConfigurationError((Problem(place=str(path), key="", text=f"cannot be read: {error.strerror}"),)) from None
    except UnicodeDecodeError:
        raise ConfigurationError((Problem(place=str(path), key="", text="is not UTF-8"),)) from None
    return parse(source, str(path))
