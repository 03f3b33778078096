from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import ldap
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import SecretFileError
from gateway.signin.ber import elements
from gateway.signin.directory.ldap_directory import connect
from gateway.signin.directory.link import Link, Search, describe, details
from gateway.signin.directory.states import POLICY
from gateway.signin.wire import Wire, WireError
from tests.unit.signin.directory import slapd
from tests.unit.signin.directory.conftest import Stranger, settings
from tests.unit.signin.directory.slapd import GROUPS, PEOPLE, Slapd

BOUND = bytes.fromhex("300c02010161070a010004000400")


async def test_several_searches_are_answered_each_by_its_own(link: Link) -> None:
    searches = [Search(base=f"uid={name},{PEOPLE}", filter="(objectClass=*)", attributes=("uid",)) for name in ("alice", "absent", "Dave")]
    alice, absent, dave = await link.search(searches)
    assert not isinstance(alice, ldap.LDAPError)
    assert not isinstance(dave, ldap.LDAPError)
    assert [entry.attributes["uid"] for entry in (*alice, *dave)] == [[b"alice"], [b"Dave"]]
    assert isinstance(absent, ldap.NO_SUCH_OBJECT)


async def test_more_than_was_asked_for_is_said_to_be(link: Link) -> None:
    (answer,) = await link.search([Search(base=GROUPS, filter="(objectClass=*)", scope=ldap.SCOPE_SUBTREE, limit=2)])
    assert isinstance(answer, ldap.SIZELIMIT_EXCEEDED)


async def test_many_entries_come_in_one_answer(link: Link) -> None:
    (answer,) = await link.search([Search(base=GROUPS, filter="(objectClass=groupOfNames)", scope=ldap.SCOPE_SUBTREE)])
    assert not isinstance(answer, ldap.LDAPError)
    assert len(answer) == slapd.CHAIN + 2


async def test_an_answer_that_ends_in_an_error_is_one_whatever_came_before(link: Link) -> None:
    searches = [Search(base=GROUPS, filter="(objectClass=*)", scope=ldap.SCOPE_SUBTREE, limit=limit) for limit in (1, 2, 3, 4)]
    for _ in range(20):
        assert [type(answer) for answer in await link.search(searches)] == [ldap.SIZELIMIT_EXCEEDED] * 4


async def test_a_bind_says_what_the_policy_says(link: Link) -> None:
    assert await link.bind(f"uid=reset,{PEOPLE}", slapd.PASSWORD.encode()) == {POLICY: bytes.fromhex("3003810102")}


async def test_a_refused_bind_is_the_servers_error_and_the_link_goes_on(link: Link) -> None:
    with pytest.raises(ldap.INVALID_CREDENTIALS):
        await link.bind(f"uid=alice,{PEOPLE}", b"wrong")
    assert link.usable
    await link.bind(f"uid=alice,{PEOPLE}", slapd.PASSWORD.encode())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400\r\n",
        b"\x30\x03\x02\x01\x01",
        b"\x30\x00",
        bytes.fromhex("300c02010165070a010004000400"),
        bytes.fromhex("300c02010078070a013404000400"),
        bytes.fromhex("300c02010161070a010e04000400"),
        bytes.fromhex("300c02010161070a010a04000400"),
    ],
    ids=["HTTP", "no operation", "nothing", "a search's answer", "a farewell", "more SASL", "a referral"],
)
async def test_what_is_no_yes_to_a_bind_is_never_taken_for_one(server: Slapd, strangers: Callable[..., Stranger], answer: bytes) -> None:
    link = await connect(strangers(answer).url, settings(server, timeout="100ms"))
    with pytest.raises((ldap.LDAPError, WireError, OSError, ValueError)):
        await link.bind("uid=alice", b"password")
    link.close()


@dataclass(slots=True)
class Script(Wire):
    """A wire from which the messages that it was given come, however malformed, and then no more."""

    messages: list[bytes]

    def send(self, data: bytes) -> None:
        """Take no notice."""

    async def message(self) -> bytes:
        if not self.messages:
            raise WireError("no more")
        return self.messages.pop(0)

    def close(self) -> None:
        """Do nothing: there is nothing open."""


def _spoilt(positions: list[tuple[int, int]]) -> bytes:
    answer = bytearray(BOUND)
    for position, byte in positions:
        answer[position] = byte
    return bytes(answer)


@given(
    st.lists(st.tuples(st.integers(0, len(BOUND) - 1), st.integers(0, 255)), max_size=3).map(_spoilt)
    | st.binary(max_size=32).map(lambda rest: BOUND[:5] + rest)
)
def test_a_bind_succeeds_by_a_success_alone(answer: bytes) -> None:
    async def attempt() -> bool:
        link = Link(Script([answer]), 5)
        try:
            await link.bind("uid=alice", b"password")
        except (ldap.LDAPError, WireError, OSError, ValueError):
            return False
        finally:
            link.close()
        return True

    if asyncio.run(attempt()):
        ((_, content),) = elements(answer)
        (_, (operation, response), *_) = elements(content)
        assert operation == 0x61
        assert int.from_bytes(elements(response)[0][1], "big") == 0


async def test_a_silent_server_is_not_waited_for(server: Slapd, strangers: Callable[..., Stranger]) -> None:
    link = await connect(strangers().url, settings(server, timeout="50ms"))
    with pytest.raises(TimeoutError):
        await link.bind("uid=alice", b"password")
    link.close()


async def test_waiting_for_an_answer_holds_no_thread_and_ends_when_cancelled(server: Slapd, strangers: Callable[..., Stranger]) -> None:
    stranger = strangers()
    link = await connect(stranger.url, settings(server))
    waiting = asyncio.create_task(link.bind("uid=alice", b"password"))
    async with asyncio.timeout(5):
        while not stranger.heard:  # noqa: ASYNC110 - it is heard on another thread
            await asyncio.sleep(0.002)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    link.close()


async def test_libldap_cannot_wait_for_anything(link: Link) -> None:
    assert not os.get_blocking(link._connection.fileno())
    assert link._connection.result4(ldap.RES_ANY, timeout=0)[0] is None


async def test_a_closed_link_can_be_closed_again(link: Link) -> None:
    link.close()
    link.close()
    assert not link.usable


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ldap.SERVER_DOWN({"desc": "Can't contact LDAP server", "info": "timed out"}), "SERVER_DOWN Can't contact LDAP server / timed out"),
        (ldap.TIMEOUT({"desc": "Timed out"}), "TIMEOUT Timed out"),
        (ldap.LDAPError(0, "Error"), "LDAPError"),
        (OSError(2, "hunter2"), "FileNotFoundError No such file or directory"),
        (OSError("hunter2"), "OSError"),
        (TimeoutError(), "no answer in time"),
        (TimeoutError(110, "hunter2"), "TimeoutError Connection timed out"),
        (ssl.SSLError(1, "hunter2"), "SSLError"),
        (ldap.SERVER_DOWN(), "SERVER_DOWN"),
        (WireError("the server hung up"), "the server hung up"),
        (SecretFileError("/etc/password is empty"), "/etc/password is empty"),
        (ValueError("hunter2"), "ValueError"),
    ],
)
def test_a_failure_is_described_by_its_class_and_what_the_library_says_of_it(error: Exception, text: str) -> None:
    assert describe(error) == text


def test_an_error_without_details_has_none() -> None:
    assert details(ldap.LDAPError("text")) == {}
