"""The house stays in order: each module has its tests, and the map tells every room."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gateway

HERE = Path(__file__).parent
HOUSE = Path(gateway.__file__).parent
MODULES = sorted(path.relative_to(HOUSE) for path in HOUSE.rglob("*.py") if path.name != "__init__.py" and "migrations" not in path.parts)
ROOMS = sorted({path.parts[0].removesuffix(".py") for path in MODULES} - {"__main__"})


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_has_a_file_of_tests_in_the_same_place(module: Path) -> None:
    assert (HERE / module.parent / f"test_{module.name}").is_file()


@pytest.mark.parametrize("room", ROOMS)
def test_the_map_names_every_room(room: str) -> None:
    assert f"``{room}``" in (gateway.__doc__ or "")


def test_the_map_names_no_room_that_is_not_there() -> None:
    told = re.findall(r"^``(\w+)``", gateway.__doc__ or "", re.MULTILINE)
    assert [room for room in told if room not in ROOMS] == []
