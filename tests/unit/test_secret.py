from __future__ import annotations

import copy
import pickle

import pytest

from gateway.secret import Secret


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format, lambda secret: f"{[secret]}"])
def test_a_secret_does_not_show_itself(show: object) -> None:
    assert callable(show)
    assert "hunter2" not in show(Secret(b"hunter2"))


def test_a_secret_is_revealed_when_asked() -> None:
    assert Secret(b"hunter2").reveal() == b"hunter2"


def test_a_secret_tells_its_length() -> None:
    assert len(Secret(b"hunter2")) == 7


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_neither_pickled_nor_copied(take: object) -> None:
    assert callable(take)
    with pytest.raises(TypeError, match="not pickled"):
        take(Secret(b"hunter2"))


def test_a_secret_takes_no_further_attributes() -> None:
    with pytest.raises(AttributeError):
        Secret(b"hunter2").note = 1  # type: ignore[attr-defined]
