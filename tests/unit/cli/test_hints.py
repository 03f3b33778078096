"""Every hint of the commands and of the library behind them is shown by a test: its words stand in one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_HINTS_PLACE = {"CommandError": 1}
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Hints:
    """The hints in the source of a module; of one with gaps in it, the longest text between them."""

    def __init__(self, source: str) -> None:
        self._nodes = list(ast.walk(ast.parse(source)))
        self._functions = {node.name: node for node in self._nodes if isinstance(node, Function)}
        self._constants = {
            target.id: node.value for node in self._nodes if isinstance(node, ast.Assign) for target in node.targets if isinstance(target, ast.Name)
        }

    def found(self) -> list[tuple[int, str]]:
        """Return each with its line, in their order."""
        texts = (text for node in self._nodes for value in self._values(node) for text in self._texts(value))
        return sorted({(line, text.strip()) for line, text in texts if any(map(str.isalpha, text))})

    def _values(self, node: ast.AST) -> Iterator[ast.expr]:
        """Yield what is given for a hint: to a call, to a name, by default, or as a line of a longer text."""
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                place = self._place(name)
                yield from (word.value for word in node.keywords if word.arg == "hint")
                yield from node.args[place : place + 1] if place is not None else ()
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                yield from (value for name, value in zip(names, values, strict=False) if isinstance(name, ast.Name) and name.id == "hint")
            case ast.Assign(targets=[ast.Name(id="hint") | ast.Attribute(attr="hint")], value=value):
                yield value
            case ast.arguments():
                yield from (default for word, default in zip(node.kwonlyargs, node.kw_defaults, strict=True) if word.arg == "hint" and default)
            case ast.Constant(value=str(text)) if "\nhint: " in text:
                yield ast.Constant(text.partition("\nhint: ")[2], lineno=node.lineno)

    def _place(self, name: str) -> int | None:
        """Return which argument of a function of the module, or of CommandError, is its hint."""
        function = self._functions.get(name)
        words = [word.arg for word in function.args.args if word.arg != "self"] if function else []
        return words.index("hint") if "hint" in words else _HINTS_PLACE.get(name)

    def _texts(self, value: ast.expr) -> Iterator[tuple[int, str]]:
        """Yield the texts that an expression may be, each with its line."""
        match value:
            case ast.Constant(value=str(text)):
                yield value.lineno, max(text.split("{}"), key=len)
            case ast.JoinedStr(values=parts):
                yield value.lineno, max((str(part.value) for part in parts if isinstance(part, ast.Constant)), key=len, default="")
            case _:
                yield from chain.from_iterable(map(self._texts, self._among(value)))

    def _among(self, value: ast.expr) -> Iterator[ast.expr]:
        """Yield what an expression chooses from."""
        match value:
            case ast.IfExp():
                yield from (value.body, value.orelse)
            case ast.BoolOp(values=values) | ast.Dict(values=values) | ast.Tuple(elts=values):
                yield from values
            case ast.Subscript(value=table):
                yield table
            case ast.Name(id=name) if name.isupper() and name in self._constants:
                yield self._constants[name]
            case ast.Call(func=ast.Name(id=name)) | ast.Attribute(attr=name) if name in self._functions:  # a property has no brackets
                yield from (node.value for node in ast.walk(self._functions[name]) if isinstance(node, ast.Return) and node.value)
            case ast.Call(func=ast.Attribute(value=table)):  # TABLE.get(key, "default"), TEXT.format(value)
                yield from (table, *value.args[1:])
            case ast.Call(func=ast.Name(id="str")):
                yield from value.args


def unshown(source: str, shown: str) -> list[tuple[int, str]]:
    """Return the hints of a module that ``shown`` does not have, with their lines."""
    return [(line, hint) for line, hint in Hints(source).found() if hint not in shown]


def texts_of_tests() -> str:
    """Return every text in the tests but this one."""
    files = (path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))
    nodes = chain.from_iterable(ast.walk(ast.parse(path.read_text())) for path in files)
    return "\0".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_every_hint_stands_in_a_test() -> None:
    shown = texts_of_tests()
    files = sorted(path for room in ("cli", "client") for path in (ROOT / "gateway" / room).rglob("*.py"))
    assert [f"{path.relative_to(ROOT)}:{line} {hint}" for path in files for line, hint in unshown(path.read_text(), shown)] == []


@pytest.mark.parametrize(
    ("source", "hints"),
    [
        ("raise CommandError('no', 'Do so.')", ["Do so."]),
        ("raise GatewayError('no', hint=f'Do {what} so, {name}.')", ["so,"]),
        ("raise GatewayError('no', hint='Do so.' if such else f'Do {it}.')", ["Do so.", "Do"]),
        ("raise GatewayError('no', hint=said.get('hint') or 'Ask.')", ["Ask."]),
        ("raise GatewayError('no', hint=_TEXT.format(name))\n_TEXT = 'Look at {} then.'", ["Look at"]),
        ("raise GatewayError('no', hint=_TABLE[kind])\n_TABLE = {'a': 'Do so.', 'b': 'Do that.'}", ["Do so.", "Do that."]),
        ("raise GatewayError('no', hint=_TABLE.get(kind, 'Do it.'))\n_TABLE = {'a': _TEXT}\n_TEXT = 'Do so.'", ["Do it.", "Do so."]),
        ("raise GatewayError('no', hint=_of(it))\ndef _of(it):\n    if it: return 'Do so.'\n    return 'Do that.'", ["Do so.", "Do that."]),
        ("error.hint = self.way_back\ndef way_back(self): return 'Do so.'", ["Do so."]),
        ("raise self._error('no', 'Do so.')\ndef _error(self, what, hint): ...", ["Do so."]),
        ("def refused(message, *, hint='Do so.'): ...", ["Do so."]),
        ("hint = 'Do so.'\nraise CommandError('no', hint)", ["Do so."]),
        ("what, hint = 'no', 'Do so.'", ["Do so."]),
        ("error.hint = _TEXT\n_TEXT = 'Do so.'", ["Do so."]),
        ("write(f'{what}\\nhint: Do so.')", ["Do so."]),
        ("raise ValueError('no')\nhint = error.hint\nraise CommandError('no', hint or name)", []),
    ],
)
def test_a_hint_is_found_however_it_is_given(source: str, hints: list[str]) -> None:
    assert sorted(hint for _, hint in Hints(source).found()) == sorted(hints)


def test_a_hint_that_no_test_shows_is_told_with_its_line() -> None:
    assert unshown("raise CommandError(\n    'no', 'Do so.')\nraise CommandError('no', 'Do that.')", "hint: Do so.") == [(3, "Do that.")]
