"""What is repaired in a body, and that it is said; how it is repaired has its tests in tests/unit/slurm/repair."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from gateway.config import Server, Views
from gateway.errors import Unavailable
from gateway.proxy.workshop import Workshop
from gateway.web.call import Call
from gateway.web.context import open_context
from gateway.web.mending import HEADER, Mending
from gateway.web.uploads import Upload, once
from tests.unit.web.conftest import Make

SERVER = Server.model_validate({"listen": "127.0.0.1:1"})
SUBMIT = "/slurm/v0.0.42/job/submit"
OLD = b'{"job": {"environment": {"PATH": "/bin"}}, "script": "#!/bin/sh"}'
LARGE = OLD[:-2] + b" " * 100_000 + OLD[-2:]
FORM = "application/x-www-form-urlencoded"


class Asked:
    """As much of a call as is looked at."""

    username = "alice"

    def __init__(self, make: Make, method: str = "POST", path: str = "/slurm/v0.0.38/diag") -> None:
        self.context = open_context(make(method, path), SERVER)
        self.method = method
        self.path = path

    @property
    def call(self) -> Call:
        return cast("Call", self)


@pytest.fixture
async def mending() -> AsyncIterator[Mending]:
    workshop = Workshop(Views())
    yield Mending(workshop, enabled=True)
    await workshop.close()


@pytest.mark.parametrize("size", [0, 100_000])
async def test_json_under_another_name_is_sent_as_json_and_that_is_said(mending: Mending, make: Make, size: int) -> None:
    asked, body = Asked(make), Upload.of(b'{"a": "' + b"x" * size + b'"}')
    assert await mending.mend(asked.call, body, FORM) == (body, "application/json")
    assert asked.context.headers == {HEADER: "content-type"}


async def test_what_is_right_is_left_alone_and_nothing_is_said(mending: Mending, make: Make) -> None:
    asked, body = Asked(make), Upload.of(b"{}")
    assert await mending.mend(asked.call, body, "application/json") == (body, "application/json")
    assert asked.context.headers == {}


@pytest.mark.parametrize("upload", [Upload(length=0, pieces=None), Upload(length=None, pieces=None), Upload.of(b"")])
async def test_no_body_needs_no_type(mending: Mending, make: Make, upload: Upload) -> None:
    assert await mending.mend(Asked(make).call, upload, FORM) == (upload, FORM)


@pytest.mark.parametrize(("given", "sent"), [("application/json; charset=utf-8", "application/json"), (FORM, FORM), (None, None)])
async def test_of_a_body_that_is_not_held_only_the_words_behind_its_name_are_left_out(
    mending: Mending, make: Make, given: str | None, sent: str | None
) -> None:
    upload = Upload(length=2, pieces=once(b"{}"))
    assert await mending.mend(Asked(make).call, upload, given) == (upload, sent)


async def test_switched_off_it_touches_nothing(make: Make) -> None:
    asked, body = Asked(make, path=SUBMIT), Upload.of(OLD)
    off = Mending(Workshop(Views()), enabled=False)
    assert off.whole(asked.call) == 0
    assert await off.mend(asked.call, body, FORM) == (body, FORM)
    assert asked.context.headers == {}


@pytest.mark.parametrize("content", [OLD, LARGE], ids=["small", "large"])
async def test_a_submission_is_brought_into_the_form_of_its_version(mending: Mending, make: Make, content: bytes) -> None:
    asked = Asked(make, path=SUBMIT)
    upload, content_type = await mending.mend(asked.call, Upload.of(content), "application/json")
    assert upload.content is not None
    assert (b'"environment":["PATH=/bin"]' in upload.content, upload.length, content_type) == (True, len(upload.content), "application/json")
    assert asked.context.headers == {HEADER: "environment"}


@pytest.mark.parametrize(("method", "path"), [("DELETE", SUBMIT), ("POST", "/slurm/v0.0.42/job/7"), ("POST", "/slurmdb/v0.0.42/job/submit")])
async def test_other_calls_are_not(mending: Mending, make: Make, method: str, path: str) -> None:
    asked, body = Asked(make, method, path), Upload.of(OLD)
    assert (await mending.mend(asked.call, body, "application/json"), mending.whole(asked.call)) == ((body, "application/json"), 0)


async def test_a_job_file_of_four_mebibytes_is_repaired_and_a_larger_one_goes_on_as_it_came(mending: Mending, make: Make) -> None:
    asked = Asked(make, path=SUBMIT)
    most = mending.whole(asked.call)
    assert most == 4 * 1024 * 1024
    larger = Upload.of(OLD + b" " * (most + 1 - len(OLD)))
    assert await mending.mend(asked.call, larger, "application/json") == (larger, "application/json")
    assert (await mending.mend(asked.call, Upload.of(OLD + b" " * (most - len(OLD))), "application/json"))[0].length != most


async def test_a_large_job_file_that_cannot_be_read_is_not_submitted(make: Make) -> None:
    workshop = Workshop(Views())
    await workshop.close()
    with pytest.raises(Unavailable, match="repair: workshop: closed") as caught:
        await Mending(workshop, enabled=True).mend(Asked(make, path=SUBMIT).call, Upload.of(LARGE), "application/json")
    assert "Nothing was submitted" in caught.value.detail


async def test_one_persons_large_job_files_keep_nobody_elses_waiting(make: Make) -> None:
    workshop = Workshop(Views(waiting_per_user=1))
    mending, bobs = Mending(workshop, enabled=True), Asked(make, path=SUBMIT)
    bobs.username = "bob"
    flood = [asyncio.create_task(mending.mend(Asked(make, path=SUBMIT).call, Upload.of(LARGE), "application/json")) for _ in range(5)]
    await asyncio.sleep(0)
    assert (await mending.mend(bobs.call, Upload.of(LARGE), "application/json"))[0].length != len(LARGE)
    refused = [outcome for outcome in await asyncio.gather(*flood, return_exceptions=True) if isinstance(outcome, Unavailable)]
    assert len(refused) == 3
    await workshop.close()


async def test_why_something_was_left_alone_is_remembered(mending: Mending, make: Make) -> None:
    asked, body = Asked(make, path=SUBMIT), Upload.of(b'{"job": {"script": "a"}, "script": "b"}')
    assert await mending.mend(asked.call, body, "application/json") == (body, "application/json")
    assert (asked.context.headers, asked.context.not_repaired) == ({}, "two scripts")
