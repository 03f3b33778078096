from __future__ import annotations

import subprocess
import sys

import pytest

from gateway import client


@pytest.mark.parametrize("name", client.__all__)
def test_each_name_of_the_library_is_there_when_it_is_asked_for(name: str) -> None:
    assert getattr(client, name).__name__ == name


def test_a_name_that_is_not_there_is_refused_as_modules_do() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        client.Nonsense  # noqa: B018 - to ask for it is the test


def test_errors_alone_load_nothing_else_of_the_library() -> None:
    program = "import sys, gateway.client.errors; print(*(name for name in sys.modules if name.startswith('gateway.client.')))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == ["gateway.client.errors"]
