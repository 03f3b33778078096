"""Job files in JSON and in YAML become trees, with the place of what is wrong with them (pure).

JSON is RFC 8259, with no name twice in an object. YAML is one document of the 1.2 core schema: ``yes``, ``1:30`` and ``2027-01-01`` are texts.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from gateway.client.errors import JobFileError
from gateway.client.jobfile.fields import TEXTS

DEEPEST = 100
"""Levels of lists and objects in a YAML file; Slurm's jobs have four."""
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"')
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\],:]|[^\s"{}\[\],:]+')
_CORE = "tag:yaml.org,2002:"
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE, _FALSE = frozenset({"true", "True", "TRUE"}), frozenset({"false", "False", "FALSE"})
_INTEGER = re.compile(r"[-+]?[0-9]{1,400}")
_OCTAL, _HEXADECIMAL = re.compile(r"0o[0-7]{1,400}"), re.compile(r"0x[0-9a-fA-F]{1,400}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,4})?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


class _TwiceError(ValueError):
    """A name stands twice in one object."""


def of_json(text: str, filename: str) -> Any:  # noqa: ANN401 - JSON is what it is
    """Return what a JSON text says; raise JobFileError."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number, parse_int=_integer)
    except json.JSONDecodeError as error:
        where = f"{filename}:{error.lineno}:{error.colno}"
        raise JobFileError(f"{where}: no JSON: {error.msg}", hint=_hint(text, error.pos), line=error.lineno, column=error.colno) from error
    except _TwiceError as error:
        line, column = _second(text, str(error))
        raise JobFileError(
            f"{filename}:{line}:{column}: {json.dumps(str(error))} stands twice in one object",
            hint="Keep one of them.",
            line=line,
            column=column,
        ) from error
    except RecursionError as error:
        raise JobFileError(f"{filename} is nested too deeply", hint="A job file has four levels or five.") from error
    except ValueError as error:
        raise JobFileError(f"{filename}: {error}", hint="Correct the number.") from error


def _hint(text: str, position: int) -> str:
    before = text[:position].rstrip()
    if before.endswith(","):
        return "Is there a comma too many before it?"
    if text[position : position + 1] == "'":
        return "JSON takes double quotes only."
    if text[position : position + 1] in {"#", "/"}:
        return "JSON has no comments; YAML has: call the file NAME.yaml."
    return "Correct that place; a comma, a quote or a brace may be missing just before it."


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for at, name in enumerate(names) if name in names[:at]))
    return members


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _integer(digits: str) -> int:
    if len(digits) > 400:  # noqa: PLR2004 - what Slurm takes has 20 at most
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _second(text: str, name: str) -> tuple[int, int]:
    """Return line and column of the first name that is ``name`` for the second time in its object."""
    seen: list[set[str]] = []
    tokens = list(_TOKEN.finditer(text))
    for token, after in itertools.pairwise(tokens):
        if token[0] in "{[":
            seen.append(set())
        elif token[0] in "}]":
            seen.pop()
        elif after[0] == ":" and seen and token[0].startswith('"'):
            said = json.loads(token[0])
            if said == name and said in seen[-1]:
                return text.count("\n", 0, token.start()) + 1, token.start() - text.rfind("\n", 0, token.start())
            seen[-1].add(said)
    return 1, 1


def of_yaml(text: str, filename: str, *, most: int) -> Any:  # noqa: ANN401 - a tree is what it is
    """Return what a YAML text says, of ``most`` characters when all its aliases are written out; raise JobFileError."""
    return _Yaml(text, filename, most).read()


class _Yaml:
    """Reads one document from libyaml's events: nothing is built that the file does not say, whatever its tags and aliases ask for."""

    def __init__(self, text: str, filename: str, most: int) -> None:
        import yaml  # noqa: PLC0415 - a job file in JSON needs none of it

        self._yaml = yaml
        self._filename = filename
        self._left = most
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._open: list[str] = []
        self._events = self._parsed(text)

    def read(self) -> Any:  # noqa: ANN401 - see above
        yaml = self._yaml
        tree: Any = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._error(event, "a second document begins", "Put each job into a file of its own.")
                tree, _ = self._node(next(self._events), ())
        if not documents:
            raise JobFileError(f"{self._filename} says nothing", hint="Write a job into it.")
        return tree

    def _parsed(self, text: str) -> Iterator[Any]:
        yaml = self._yaml
        loader = getattr(yaml, "CLoader", yaml.Loader)
        try:
            yield from yaml.parse(text, Loader=loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
            raise JobFileError(
                f"{self._filename}:{line}:{column}: no YAML: {error.problem or error.context}",
                hint="Look at the indentation; no tabs in it, and quotes around texts with ': ' or ' #' in them.",
                line=line,
                column=column,
            ) from error
        except yaml.YAMLError as error:
            raise JobFileError(f"{self._filename}: no YAML: {' '.join(str(error).split())}", hint="Take the odd character out.") from error

    def _node(self, event: Any, path: tuple[str, ...]) -> tuple[Any, int]:  # noqa: ANN401 - yaml's events share no public type
        """Return what begins with ``event``, and how many characters it has with all aliases written out."""
        yaml = self._yaml
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if len(path) > DEEPEST:
            raise self._error(event, "it is nested too deeply", "A job file has four levels or five.")
        if event.anchor is not None:
            self._open.append(event.anchor)
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, path), self._spend(event, len(event.value) + 1)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, path)
        else:
            node = self._mapping(event, path)
        if event.anchor is not None:
            self._open.remove(event.anchor)
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> tuple[Any, int]:  # noqa: ANN401 - see _node
        if event.anchor in self._open:
            raise self._error(event, f"*{event.anchor} stands inside what it is an alias of", "Write it out.")
        if event.anchor not in self._anchors:
            raise self._error(event, f"there is no anchor &{event.anchor} before this alias", "Write the anchor before it.")
        tree, size = self._anchors[event.anchor]
        return tree, self._spend(event, size)

    def _spend(self, event: Any, size: int) -> int:  # noqa: ANN401 - see _node
        self._left -= size
        if self._left < 0:
            raise self._error(event, "with its aliases written out it is too large", "Use fewer aliases.")
        return size

    def _sequence(self, event: Any, path: tuple[str, ...]) -> tuple[list[Any], int]:  # noqa: ANN401 - see _node
        self._plain_tag(event, "seq")
        items, total = [], self._spend(event, 2)
        for inner in self._events:
            if isinstance(inner, self._yaml.SequenceEndEvent):
                break
            item, size = self._node(inner, (*path, "-"))
            items.append(item)
            total += size
        return items, total

    def _mapping(self, event: Any, path: tuple[str, ...]) -> tuple[dict[str, Any], int]:  # noqa: ANN401 - see _node
        self._plain_tag(event, "map")
        members: dict[str, Any] = {}
        total = self._spend(event, 2)
        for key in self._events:
            if isinstance(key, self._yaml.MappingEndEvent):
                break
            name = self._name(key)
            if name in members:
                raise self._error(key, f"{json.dumps(name)} stands twice in one mapping", "Keep one of them.")
            members[name], size = self._node(next(self._events), (*path, name))
            total += size + self._spend(key, len(name) + 1)
        return members, total

    def _name(self, event: Any) -> str:  # noqa: ANN401 - see _node
        if not isinstance(event, self._yaml.ScalarEvent):
            raise self._error(event, "a name in a mapping must be a text", "Write a plain name before the ':'.")
        if event.value == "<<" and event.implicit[0]:
            raise self._error(event, "<< is no part of YAML 1.2", "Write out what is to be merged.")
        self._plain_tag(event, "str")
        return str(event.value)

    def _plain_tag(self, event: Any, kind: str) -> None:  # noqa: ANN401 - see _node
        if event.tag not in {None, "!", _CORE + kind}:
            raise self._error(event, f"the tag {event.tag} means nothing here", "Take it away.")

    def _scalar(self, event: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401 - see _node
        said = str(event.value)
        if event.tag == _CORE + "str" or event.tag == "!" or (not event.implicit[0] and event.tag is None):
            return said
        if event.tag is not None and event.tag not in {_CORE + kind for kind in ("int", "float", "bool", "null")}:
            self._plain_tag(event, "str")
        if said not in _NULL and self._is_text(path):
            return said
        return said if said in _NULL and path[-2:-1] == ("environment",) else self._plain(event, said)

    @staticmethod
    def _is_text(path: tuple[str, ...]) -> bool:
        """Tell whether a text is meant, whatever it looks like: ``name: 1.10`` is not 1.1, and variables are texts."""
        return "environment" in path[-2:] or bool(path and path[-1] in TEXTS)

    def _plain(self, event: Any, said: str) -> Any:  # noqa: ANN401 - see _node
        if said in _NULL:
            return None
        if said in _TRUE or said in _FALSE:
            return said in _TRUE
        if _INTEGER.fullmatch(said):
            return int(said)
        if _OCTAL.fullmatch(said) or _HEXADECIMAL.fullmatch(said):
            return int(said, 0)
        if _FLOAT.fullmatch(said):
            number = float(said)
            if abs(number) != float("inf"):
                return number
        if _FLOAT.fullmatch(said) or _NO_NUMBER.fullmatch(said):
            raise self._error(event, f"JSON has no number for {said}", "Write a number, or put it into quotes.")
        return said

    def _error(self, event: Any, what: str, hint: str) -> JobFileError:  # noqa: ANN401 - see _node
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        return JobFileError(f"{self._filename}:{line}:{column}: {what}", hint=hint, line=line, column=column)
