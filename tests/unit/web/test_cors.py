"""Which pages are told that they may ask, and may read."""

from __future__ import annotations

import pytest
from aiohttp import web

from gateway.config import Cors as Settings
from gateway.errors import NotPermitted
from gateway.web.cors import Cors
from tests.unit.web.conftest import Make

LISTED = "https://portal.example.org"
OTHERS = [
    "null",
    "",
    "*",
    "http://portal.example.org",
    "https://portal.example.org:443",
    "https://portal.example.org:8443",
    "https://portal.example.org.",
    "https://portal.example.org/",
    "https://Portal.example.org",
    "HTTPS://PORTAL.EXAMPLE.ORG",
    "https://portal.example.org.evil.example",
    "https://evil-portal.example.org",
    "https://a.portal.example.org",
    "https://portal.example.orgs",
    "https://portal.example.org, https://evil.example",
    "https://evil.example https://portal.example.org",
    "https://portal.example.org\x00",
    "https://portal-example.org",
    "https://portal.example.org@evil.example",
]
ASKS = ("Access-Control-Request-Method", "POST")


@pytest.fixture
def cors() -> Cors:
    return Cors(Settings.model_validate({"origins": [LISTED, "http://localhost:3000"], "max_age": "30s"}))


def marked(cors: Cors, request: web.BaseRequest, **headers: str) -> dict[str, str]:
    response = web.Response(headers=headers)
    cors.mark(request, response)
    return {name: value for name, value in response.headers.items() if name.startswith("Access-Control-") or name == "Vary"}


def test_a_listed_page_may_read_an_answer(cors: Cors, make: Make) -> None:
    told = marked(cors, make(fields=[("Origin", LISTED)]))
    exposed = told.pop("Access-Control-Expose-Headers")
    assert told == {"Vary": "Origin", "Access-Control-Allow-Origin": LISTED, "Access-Control-Allow-Credentials": "true"}
    assert {"ETag", "X-Request-ID", "X-Gateway-Repaired", "Sunset"} <= set(exposed.split(", "))


@pytest.mark.parametrize("origin", OTHERS)
def test_no_other_page_is_told_anything(cors: Cors, make: Make, origin: str) -> None:
    assert marked(cors, make(fields=[("Origin", origin)])) == {"Vary": "Origin"}


def test_a_page_that_claims_two_origins_has_none(cors: Cors, make: Make) -> None:
    assert marked(cors, make(fields=[("Origin", LISTED), ("Origin", "https://evil.example")])) == {"Vary": "Origin"}
    assert marked(cors, make(fields=[("Origin", LISTED), ("Origin", LISTED)])) == {"Vary": "Origin"}


def test_what_else_an_answer_depends_on_is_kept(cors: Cors, make: Make) -> None:
    assert marked(cors, make(), Vary="Accept")["Vary"] == "Accept, Origin"


def test_without_any_listed_origin_there_is_no_trace_of_all_this(make: Make) -> None:
    off = Cors(Settings())
    assert off.preflight(make("OPTIONS", fields=[("Origin", LISTED), ASKS])) is None
    assert marked(off, make(fields=[("Origin", LISTED)])) == {}


def test_a_preflight_of_a_listed_page_tells_what_it_may_send(cors: Cors, make: Make) -> None:
    answer = cors.preflight(make("OPTIONS", fields=[("Origin", "http://localhost:3000"), ASKS, ("Access-Control-Request-Headers", "x\r\ny")]))
    assert answer is not None
    told = dict(answer.headers)
    assert (answer.status, told.pop("Access-Control-Allow-Methods"), told.pop("Access-Control-Max-Age")) == (204, "GET, HEAD, POST, DELETE", "30")
    assert told == {
        "Access-Control-Allow-Headers": "Authorization, Content-Type, X-OTP, X-SLURM-USER-NAME, X-SLURM-USER-TOKEN, Idempotency-Key, "
        "If-None-Match, Last-Event-ID, Cache-Control, Accept"
    }


@pytest.mark.parametrize("origin", OTHERS)
def test_a_preflight_of_any_other_page_is_refused(cors: Cors, make: Make, origin: str) -> None:
    with pytest.raises(NotPermitted) as caught:
        cors.preflight(make("OPTIONS", fields=[("Origin", origin), ASKS]))
    assert "cors.origins" in caught.value.hint
    assert origin not in caught.value.detail or origin in {"", "*"}


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("OPTIONS", []),
        ("OPTIONS", [("Origin", LISTED)]),
        ("OPTIONS", [ASKS]),
        ("POST", [("Origin", LISTED), ASKS]),
        ("GET", [("Origin", LISTED), ASKS]),
    ],
)
def test_what_is_no_preflight_is_not_answered_as_one(cors: Cors, make: Make, method: str, fields: list[tuple[str, str]]) -> None:
    assert cors.preflight(make(method, fields=fields)) is None
