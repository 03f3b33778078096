from __future__ import annotations

import pytest

from gateway.errors import BadRequest
from gateway.policy.scopes import parse_scopes


@pytest.mark.parametrize("given", [["read"], ["submit", "jobs", "admin"], ["GET /slurm/v*/jobs", "* /slurm/**"]])
def test_scopes_that_we_know_are_taken_as_they_are(given: list[str]) -> None:
    assert parse_scopes(given).texts == tuple(given)


@pytest.mark.parametrize("given", [None, [], "read", ["*"], ["all"], ["read", "read"], [1], ["PUT /x"], ["GET x"], ["read"] * 21])
def test_other_scopes_are_refused(given: object) -> None:
    with pytest.raises(BadRequest):
        parse_scopes(given)
