"""What is repaired in a body, and that it is said; how it is repaired has its tests in tests/unit/slurm/repair."""

from __future__ import annotations

from typing import cast

import pytest

from gateway.config import Server
from gateway.web.call import Call
from gateway.web.context import open_context
from gateway.web.mending import HEADER, Mending
from gateway.web.uploads import Upload, once
from tests.unit.web.conftest import Make

SERVER = Server.model_validate({"listen": "127.0.0.1:1"})
FORM = "application/x-www-form-urlencoded"


class Asked:
    """As much of a call as is looked at."""

    def __init__(self, make: Make, method: str = "POST", path: str = "/slurm/v0.0.38/diag") -> None:
        self.context = open_context(make(method, path), SERVER)
        self.method = method
        self.path = path

    @property
    def call(self) -> Call:
        return cast("Call", self)


@pytest.mark.parametrize("size", [0, 100_000])
async def test_json_under_another_name_is_sent_as_json_and_that_is_said(make: Make, size: int) -> None:
    asked, body = Asked(make), Upload.of(b'{"a": "' + b"x" * size + b'"}')
    assert await Mending(enabled=True).mend(asked.call, body, FORM) == (body, "application/json")
    assert asked.context.headers == {HEADER: "content-type"}


async def test_what_is_right_is_left_alone_and_nothing_is_said(make: Make) -> None:
    asked, body = Asked(make), Upload.of(b"{}")
    assert await Mending(enabled=True).mend(asked.call, body, "application/json") == (body, "application/json")
    assert asked.context.headers == {}


@pytest.mark.parametrize("upload", [Upload(length=0, pieces=None), Upload(length=None, pieces=None), Upload.of(b"")])
async def test_no_body_needs_no_type(make: Make, upload: Upload) -> None:
    assert await Mending(enabled=True).mend(Asked(make).call, upload, FORM) == (upload, FORM)


@pytest.mark.parametrize(("given", "sent"), [("application/json; charset=utf-8", "application/json"), (FORM, FORM), (None, None)])
async def test_of_a_body_that_is_not_held_only_the_words_behind_its_name_are_left_out(make: Make, given: str | None, sent: str | None) -> None:
    upload = Upload(length=2, pieces=once(b"{}"))
    assert await Mending(enabled=True).mend(Asked(make).call, upload, given) == (upload, sent)


async def test_switched_off_it_touches_nothing(make: Make) -> None:
    asked, body = Asked(make), Upload.of(b"{}")
    assert await Mending(enabled=False).mend(asked.call, body, FORM) == (body, FORM)
    assert asked.context.headers == {}
