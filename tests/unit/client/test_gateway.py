"""Both classes are one: the same questions under the same names, with the same parameters; and starting up costs little."""

from __future__ import annotations

import inspect
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

import gateway.client
from gateway.client import AsyncGateway, Gateway, GatewayError, NotSignedInError, questions
from gateway.client.sites import Site, Sites
from gateway.secret import Secret
from tests.unit.client.misbehaving import Server, always, http, serving

TOKEN = "sgw_" + "a" * 49
_OURS = {"close", "from_site", "queue"}
"""Methods that are no questions."""
_FOR_THREADS = {"hang_up", "sibling"}
"""What an awaiting gateway has no need of."""


def public(of: type) -> dict[str, Any]:
    return {name: found for name, found in inspect.getmembers(of) if not name.startswith("_") and name not in _FOR_THREADS}


def parameters(of: Any) -> list[tuple[str, Any, Any]]:
    told = inspect.signature(of).parameters.values()
    return [(one.name, one.kind, one.default) for one in told if one.name not in {"self", "prove"}]


def test_both_classes_have_the_same_names_with_the_same_parameters() -> None:
    blocking, awaiting = public(Gateway), public(AsyncGateway)
    assert blocking.keys() == awaiting.keys()
    for name, method in blocking.items():
        assert isinstance(method, property) is isinstance(awaiting[name], property), name
        if not isinstance(method, property):
            assert parameters(method) == parameters(awaiting[name]), name
    assert parameters(Gateway) == parameters(AsyncGateway)


def test_each_question_is_a_method_of_both_and_says_what_it_does() -> None:
    asked = {
        name
        for name, found in vars(questions).items()
        if inspect.isfunction(found) and found.__module__ == questions.__name__ and next(iter(inspect.signature(found).parameters), "") == "standing"
    } - {"username"}  # which is a property
    for of in (Gateway, AsyncGateway):
        methods = {name for name, found in public(of).items() if callable(found)}
        assert {name for name in asked if not name.startswith("_")} == methods - _OURS
        assert all(inspect.getdoc(found) for found in public(of).values())


@pytest.mark.parametrize("of", [Gateway, AsyncGateway])
def test_help_shows_what_people_call_and_what_they_get(of: type) -> None:
    shown = {name: inspect.signature(found) for name, found in public(of).items() if name not in _OURS and callable(found)}
    assert [name for name, told in shown.items() if "Standing" in str(told) or "Conversation" in str(told)] == []
    assert str(shown["cancel"]) == "(self, job_id: 'int | str') -> 'None'"
    assert str(shown["wait"]).endswith(" -> 'list[Job]'")
    assert str(shown["events"].return_annotation).partition("[")[0] in {"Generator", "AsyncGenerator"}


def test_the_library_says_that_it_is_typed() -> None:
    assert (Path(gateway.client.__file__).parents[1] / "py.typed").read_text() == ""


def test_everything_that_is_promised_is_there() -> None:
    assert [name for name in gateway.client.__all__ if not hasattr(gateway.client, name)] == []
    with pytest.raises(AttributeError):
        gateway.client.Nothing  # noqa: B018 - that is the question


def test_start_up_loads_nothing_that_takes_long() -> None:
    code = "import sys, gateway.client.gateway; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    slow = {"aiohttp", "asyncio", "rich", "yaml", "jsonschema", "urllib.request", "gateway.client.awaiting", "gateway.errors"}
    assert slow.isdisjoint(loaded)


@pytest.fixture
def server() -> Any:
    with serving(always(http(200, b'{"username": "alice", "jobs": [], "tokens": [], "nodes": [], "partitions": [], "job_id": 7}'))) as found:
        yield found


def ask_everything(server: Server) -> None:
    with Gateway(server.url, token=TOKEN) as found:
        assert found.username == "alice"
        assert [found.jobs(), found.nodes(), found.partitions(), found.tokens()] == [[], [], [], []]
        assert found.submit({"job": {}}).job_id == 7
        found.ping()
        found.cancel(5)


def test_a_gateway_asks_and_keeps_one_connection(server: Server) -> None:
    ask_everything(server)
    assert server.connections == 1
    assert [line.split()[0] for line in server.lines()].count("POST") == 1


async def test_an_awaiting_gateway_asks_the_same(server: Server) -> None:
    async with AsyncGateway(server.url, token=TOKEN) as found:
        assert await found.username == "alice"
        assert [await found.jobs(), await found.nodes(), await found.partitions(), await found.tokens()] == [[], [], [], []]
        assert (await found.submit({"job": {}})).job_id == 7
        await found.ping()
        await found.cancel(5)
    assert server.connections == 1


def test_a_token_is_not_shown_by_anything() -> None:
    found = Gateway("https://gateway.example.org", token=TOKEN)
    assert TOKEN not in repr(found) + repr(found.token) + repr(vars(found)) + repr(vars(found._connection))


@pytest.mark.parametrize("of", [Gateway, AsyncGateway])
async def test_what_it_is_made_with_is_looked_at_first(of: Any) -> None:
    for wrong, reason in (({"token": "a\nb"}, "bad_token"), ({"ca": "/nonexistent"}, "bad_address")):
        with pytest.raises(GatewayError) as caught:
            of("https://gateway.example.org", **wrong)
        assert caught.value.reason == reason
    with pytest.raises(GatewayError) as caught:
        of("http://gateway.example.org")
    assert caught.value.reason == "bad_address"


@pytest.mark.parametrize("of", [Gateway, AsyncGateway])
async def test_a_gateway_of_a_site_is_the_one_that_login_kept(of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(NotSignedInError):
        of.from_site()
    sites = Sites.of({"XDG_CONFIG_HOME": str(tmp_path)})
    sites.keep("hpc", Site(url="https://gateway.example.org"), Secret(TOKEN.encode()))
    for name in (None, "hpc"):
        found = of.from_site(name)
        assert (found.url, found.token.reveal()) == ("https://gateway.example.org", TOKEN.encode())
    sites.forget("hpc")
    with pytest.raises(NotSignedInError) as caught:
        of.from_site("hpc")
    assert "login" in caught.value.hint


def test_a_thousand_questions_leave_nothing_behind(server: Server) -> None:
    with Gateway(server.url, token=TOKEN) as found:
        found.ping()
        tracemalloc.start()
        try:
            for _ in range(300):
                found.ping()
            kept = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    assert kept < 400_000
