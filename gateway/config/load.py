"""From a TOML file to frozen values: every problem at once, each with its place in the file."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from gateway.config.model import Config

_TABLE = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"'-]+)\s*=")
_TOML_PLACE = re.compile(r"\(at line (\d+), column \d+\)")
_MAX_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a configuration: where (``file:line`` and dotted key) and what."""

    place: str
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.key}: {self.text}" if self.key else f"{self.place}: {self.text}"


class ConfigurationError(Exception):
    """The configuration cannot be used; ``problems`` has everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def locate(source: str, key: tuple[str, ...]) -> int:
    """Return the line (from 1) where the dotted ``key`` or, failing that, the nearest table above it stands; 1 when neither does.

    tomllib tells no positions, so this reads the headers and keys of a file that tomllib has already accepted.
    """
    table: tuple[str, ...] = ()
    best, best_depth = 1, 0
    for number, line in enumerate(source.split("\n"), start=1):  # as TOML counts them: U+2028 and its like end no line
        if header := _TABLE.fullmatch(line):
            table = _parts(header[1])
            here = table
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
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigurationError(tuple(_problem(source, name, dict(item)) for item in error.errors(include_input=False))) from None


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
