"""What a client says about caches. The way of a read is in tests/web/test_reads.py."""

from __future__ import annotations

import pytest

from gateway.web.reads import _takes_plain, _wants_no_cache
from tests.unit.web.conftest import Make
from tests.unit.web.test_call import call

SAID: list[tuple[str, bool]] = [
    ("no-cache", True),
    ("No-Cache", True),
    ("max-age=0, no-cache", True),
    ("no-store", True),
    ("max-age=0", False),
    ("no-cachefoo", False),
    ("", False),
]


@pytest.mark.parametrize(("said", "insists"), SAID)
def test_slurmrestd_itself_is_asked_where_the_client_insists(make: Make, said: str, insists: bool) -> None:
    assert _wants_no_cache(call(make, ("Cache-Control", said))) is insists


PLAIN: list[tuple[tuple[tuple[str, str], ...], bool]] = [
    ((), True),
    ((("Accept-Encoding", "br"),), True),
    ((("Accept-Encoding", "gzip"),), False),
    ((("If-None-Match", '"x"'),), False),
]


@pytest.mark.parametrize(("fields", "plain"), PLAIN)
def test_an_answer_is_passed_on_as_it_comes_where_nothing_needs_all_of_it_first(make: Make, fields: tuple[tuple[str, str], ...], plain: bool) -> None:
    assert _takes_plain(call(make, *fields)) is plain
