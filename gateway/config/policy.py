"""What is wrong between the policy's rules and the sections whose names they use. It reads the tree as it came, whatever else is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

REQUIRED = "required"
"""What rules call the group that everybody must be in who may sign in (``directory.required_group``)."""

_DEFAULT = "default"
_Key = tuple[str, ...]


def policy_problems(tree: dict[str, Any]) -> Iterator[tuple[_Key, str]]:
    """Yield the key and the text of each problem: names that are taken, and names of groups and clusters that there are not."""
    groups, clusters = _table(_table(tree, "directory"), "groups"), _table(tree, "clusters")
    places: dict[str, int] = {}
    for index, rule in enumerate(_rules(tree)):
        here = ("policy", "rules", str(index))
        name = rule.get("name")
        if isinstance(name, str):
            if name == _DEFAULT:
                yield (*here, "name"), "is what the no that follows the last rule is called"
            elif name in places:
                yield (*here, "name"), f"is the name of rule {places[name]} already (counted from 0)"
            places.setdefault(name, index)
        yield from _unknown((*here, "groups"), rule, {REQUIRED, *groups}, "directory.groups")
        yield from _unknown((*here, "clusters"), rule, set(clusters), "clusters")


def _unknown(key: _Key, rule: dict[str, Any], known: set[str], where: str) -> Iterator[tuple[_Key, str]]:
    named = rule.get(key[-1])
    for index, name in enumerate(named if isinstance(named, list) else ()):
        if isinstance(name, str) and name not in known:
            yield (*key, str(index)), f"is none of {where}: {', '.join(sorted(known)) or 'there are none'}"


def _rules(tree: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rules; what is no table keeps its place, with nothing in it."""
    rules = _table(tree, "policy").get("rules")
    return [rule if isinstance(rule, dict) else {} for rule in rules] if isinstance(rules, list) else []


def _table(tree: dict[str, Any], name: str) -> dict[str, Any]:
    table = tree.get(name)
    return table if isinstance(table, dict) else {}
