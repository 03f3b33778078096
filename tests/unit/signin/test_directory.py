from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import ldap
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Directory as Settings
from gateway.config import Secret
from gateway.errors import DirectoryUnavailable
from gateway.signin.directory import Denied, LdapDirectory, Person, _describe
from tests.unit.signin import slapd
from tests.unit.signin.slapd import GUESTS, PASSWORD, PEOPLE, POSIX_USERS, SERVICE, USERS, Slapd

RIGHT, WRONG = Secret(PASSWORD.encode()), Secret(b"wrong")
ALICE = Person(username="alice", uid=1001, member=True)
# BindResponse with resultCode success (RFC 4511 section 4.2.2) to the first and to the second message of a connection.
BOUND, BOUND_AGAIN = (bytes.fromhex(f"300c0201{number:02x}61070a010004000400") for number in (1, 2))
Make = Callable[..., LdapDirectory]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    process, server = slapd.start(tmp_path_factory.mktemp("slapd"))
    yield server
    process.terminate()
    process.wait(10)


@pytest.fixture
async def make(server: Slapd) -> AsyncIterator[Make]:
    """Makes directories on the server, closed at the end of the test; what is given is laid over the settings."""
    made: list[LdapDirectory] = []

    def directory(**changes: object) -> LdapDirectory:
        made.append(LdapDirectory(settings(server, **changes)))
        return made[-1]

    yield directory
    for one in made:
        one.close()


def settings(server: Slapd, **changes: object) -> Settings:
    return Settings.model_validate(
        {
            "urls": [server.url],
            "allow_plaintext": True,
            "bind_dn": SERVICE,
            "bind_password_file": str(server.password_file),
            "user_base": slapd.BASE,
            "timeout": "5s",
            **changes,
        }
    )


@dataclass(slots=True)
class Stranger:
    """A server that answers each message with the next of ``answers`` and then falls silent, or hangs up when told so."""

    answers: tuple[bytes, ...] = ()
    hangs_up: bool = False
    connections: int = 0
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as open_ones:
            while True:
                connection = open_ones.enter_context(self.listener.accept()[0])
                self.connections += 1
                for answer in self.answers:
                    connection.recv(4096)
                    connection.sendall(answer)
                if self.hangs_up:
                    connection.close()


@pytest.fixture
def strangers() -> Iterator[Callable[..., Stranger]]:
    started: list[tuple[Stranger, threading.Thread]] = []

    def start(*answers: bytes, hangs_up: bool = False) -> Stranger:
        stranger = Stranger(answers, hangs_up)
        thread = threading.Thread(target=stranger.serve)
        thread.start()
        started.append((stranger, thread))
        return stranger

    yield start
    for stranger, thread in started:
        stranger.listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        stranger.listener.close()


# Search, then bind.


async def test_the_right_password_tells_who_somebody_is(make: Make) -> None:
    assert await make().authenticate("alice", RIGHT) == ALICE


@pytest.mark.parametrize(("typed", "username"), [("ALICE", "alice"), ("Alice", "alice"), ("dave", "Dave"), ("DAVE", "Dave")])
async def test_the_name_is_in_the_directorys_own_spelling(make: Make, typed: str, username: str) -> None:
    person = await make().authenticate(typed, RIGHT)
    assert isinstance(person, Person)
    assert person.username == username


@pytest.mark.parametrize(
    ("typed", "password", "cause"),
    [
        ("alice", WRONG, "password_refused"),
        ("alice", Secret(PASSWORD.upper().encode()), "password_refused"),
        ("alice", Secret(PASSWORD.encode() + b" "), "password_refused"),
        ("mallory", RIGHT, "user_unknown"),
        ("gateway", Secret(slapd.SERVICE_PASSWORD.encode()), "user_unknown"),
        ("twin", RIGHT, "user_ambiguous"),
        ("erin", RIGHT, "password_refused"),
        ("robot", RIGHT, "uid_missing_or_malformed"),
        ("manny", RIGHT, "name_missing_or_ambiguous"),
        ("emmanuel", RIGHT, "name_missing_or_ambiguous"),
    ],
)
async def test_somebody_else_is_denied_for_a_cause(make: Make, typed: str, password: Secret, cause: str) -> None:
    assert await make().authenticate(typed, password) == Denied(cause)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"name_attribute": "employeeType"}, "name_missing_or_ambiguous"),
        ({"name_attribute": "title"}, "name_missing_or_ambiguous"),
        ({"name_attribute": "mobile"}, "name_missing_or_ambiguous"),
        ({"uid_attribute": "description"}, "uid_missing_or_malformed"),
        ({"uid_attribute": "initials"}, "uid_missing_or_malformed"),
        ({"uid_attribute": "title"}, "uid_missing_or_malformed"),
    ],
    ids=["name not ASCII", "two names", "no name", "uid with a letter", "uid of -1", "two uids"],
)
async def test_somebody_whom_slurm_could_mistake_is_denied(make: Make, changes: dict[str, str], cause: str) -> None:
    assert await make(**changes).authenticate("alice", RIGHT) == Denied(cause)


@pytest.mark.parametrize(
    "typed",
    ["*", "al*", "a*e", "alice)(uid=*", "alice)(|(uid=*)", "*)(objectClass=*", "\\2a", "alice\\00", "alice\0", "(", ")", "&", "uid=alice", ""],
)
async def test_what_would_be_a_filter_is_a_name_that_nobody_has(make: Make, typed: str) -> None:
    assert await make().authenticate(typed, RIGHT) == Denied("user_unknown")


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])))
def test_whatever_is_typed_is_a_name_and_nothing_else(server: Slapd, typed: str) -> None:
    directory = LdapDirectory(settings(server))
    outcome = asyncio.run(directory.authenticate(typed, WRONG))
    directory.close()
    assert outcome in {Denied("user_unknown"), Denied("password_refused")}


async def test_a_name_with_characters_of_a_dn_can_sign_in(make: Make) -> None:
    assert await make(name_attribute="sn").authenticate("odd", RIGHT) == Person(username="x", uid=1009, member=True)


async def test_people_are_searched_for_below_the_base_alone(make: Make) -> None:
    assert await make(user_base=GUESTS).authenticate("alice", RIGHT) == Denied("user_unknown")


async def test_people_have_to_match_the_filter(make: Make) -> None:
    assert await make(user_filter="(objectClass=posixGroup)").authenticate("alice", RIGHT) == Denied("user_unknown")


# The group.


@pytest.mark.parametrize(
    ("group", "attribute", "typed", "member"),
    [
        (None, "member", "dave", True),
        (USERS, "member", "alice", True),
        (USERS, "member", "ALICE", True),
        (USERS, "member", "dave", False),
        (POSIX_USERS, "memberUid", "alice", True),
        (POSIX_USERS, "memberUid", "ALICE", True),
        (POSIX_USERS, "memberuid", "dave", False),
        (USERS, "memberUid", "alice", False),
    ],
)
async def test_somebody_is_in_the_group_that_names_them(make: Make, group: str | None, attribute: str, typed: str, member: bool) -> None:
    person = await make(required_group=group, group_member_attribute=attribute).authenticate(typed, RIGHT)
    assert isinstance(person, Person)
    assert person.member is member


@pytest.mark.parametrize("typed", ["alice", "mallory"])
async def test_a_group_that_does_not_exist_lets_nobody_in(make: Make, typed: str) -> None:
    with pytest.raises(DirectoryUnavailable, match="group does not exist"):
        await make(required_group=f"cn=absent,{slapd.BASE}").authenticate(typed, RIGHT)


# What the server sees.


@pytest.mark.parametrize(("typed", "password"), [("alice", RIGHT), ("alice", WRONG), ("mallory", RIGHT), ("twin", RIGHT)])
async def test_one_bind_is_made_and_as_many_questions_are_asked_for_everybody(make: Make, server: Slapd, typed: str, password: Secret) -> None:
    start = server.log.stat().st_size
    await make(required_group=USERS).authenticate(typed, password)
    assert [line.partition(" ")[0] for line in server.operations(start)] == ["BIND", "SRCH", "SRCH", "BIND"]


async def test_the_password_goes_to_the_one_who_was_found(make: Make, server: Slapd) -> None:
    start = server.log.stat().st_size
    await make().authenticate("ALICE", RIGHT)
    assert server.operations(start) == [f'BIND dn="{SERVICE}"', f'SRCH base="{slapd.BASE}"', f'BIND dn="uid=alice,{PEOPLE}"']


async def test_the_password_of_a_name_that_nobody_has_goes_to_nobody(make: Make, server: Slapd) -> None:
    start = server.log.stat().st_size
    await make().authenticate("mallory", RIGHT)
    assert server.operations(start)[-1].endswith(f',{slapd.BASE}"')
    assert "mallory" not in server.operations(start)[-1]


# The wire.


async def test_ldaps_with_the_servers_authority_is_spoken(make: Make, server: Slapd) -> None:
    assert await make(urls=[server.secure_url], ca_file=str(server.ca_file)).authenticate("alice", RIGHT) == ALICE


async def test_start_tls_with_the_servers_authority_is_spoken(make: Make, server: Slapd) -> None:
    assert await make(start_tls=True, ca_file=str(server.ca_file)).authenticate("alice", RIGHT) == ALICE


@pytest.mark.parametrize("secure", [True, False], ids=["ldaps", "start_tls"])
@pytest.mark.parametrize("known", [True, False], ids=["another authority", "the system's authorities"])
async def test_a_server_that_cannot_prove_itself_is_told_nothing(make: Make, server: Slapd, secure: bool, known: bool) -> None:
    changes: dict[str, object] = {"urls": [server.secure_url]} if secure else {"start_tls": True}
    start = server.log.stat().st_size
    with pytest.raises(DirectoryUnavailable):
        await make(**changes, ca_file=str(server.other_ca_file) if known else None).authenticate("alice", RIGHT)
    assert server.operations(start) == []


async def test_a_server_under_another_name_is_told_nothing(make: Make, server: Slapd) -> None:
    start = server.log.stat().st_size
    with pytest.raises(DirectoryUnavailable):
        await make(urls=[server.secure_url.replace("127.0.0.1", "localhost")], ca_file=str(server.ca_file)).authenticate("alice", RIGHT)
    assert server.operations(start) == []


async def test_a_server_without_tls_is_told_nothing(make: Make, server: Slapd) -> None:
    start = server.log.stat().st_size
    with pytest.raises(DirectoryUnavailable):
        await make(urls=[server.url.replace("ldap:", "ldaps:")], ca_file=str(server.ca_file), timeout="200ms").authenticate("alice", RIGHT)
    assert server.operations(start) == []


# Several servers, and none that answers.


async def test_a_server_that_is_down_is_passed_over(make: Make, server: Slapd) -> None:
    assert await make(urls=["ldap://127.0.0.1:1", server.url]).authenticate("alice", RIGHT) == ALICE


async def test_a_server_that_says_nothing_is_passed_over(make: Make, server: Slapd, strangers: Callable[..., Stranger]) -> None:
    silent = strangers()
    assert await make(urls=[f"ldap://127.0.0.1:{silent.port}", server.url], timeout="200ms").authenticate("alice", RIGHT) == ALICE
    assert silent.connections == 1


async def test_the_first_server_that_answers_is_asked_alone(make: Make, server: Slapd, strangers: Callable[..., Stranger]) -> None:
    other = strangers()
    await make(urls=[server.url, f"ldap://127.0.0.1:{other.port}"]).authenticate("alice", WRONG)
    assert other.connections == 0


async def test_the_inside_is_told_what_each_server_failed_with(make: Make) -> None:
    with pytest.raises(
        DirectoryUnavailable, match=r"^ldap://127\.0\.0\.1:1: ConnectionRefusedError .*; ldap://127\.0\.0\.1:2: ConnectionRefusedError "
    ):
        await make(urls=["ldap://127.0.0.1:1", "ldap://127.0.0.1:2"]).authenticate("alice", RIGHT)


# ExtendedResponse with resultCode success (RFC 4511 section 4.14.2), and a message that announces two gigabytes.
TLS_GRANTED = bytes.fromhex("300c02010178070a010004000400")
ENDLESS = bytes.fromhex("30847fffffff")


@pytest.mark.parametrize(
    ("scheme", "start_tls", "answers"),
    [
        ("ldap", False, []),
        ("ldap", False, [ENDLESS]),
        ("ldap", False, [BOUND, ENDLESS]),
        ("ldaps", False, []),
        ("ldap", True, []),
        ("ldap", True, [TLS_GRANTED]),
    ],
    ids=["silent", "endless", "endless later", "silent in the handshake", "silent to StartTLS", "silent in the handshake after StartTLS"],
)
async def test_a_server_that_hangs_is_given_up_within_the_time_out_and_holds_no_thread(
    make: Make,
    strangers: Callable[..., Stranger],
    scheme: str,
    start_tls: bool,
    answers: list[bytes],
) -> None:
    directory = make(urls=[f"{scheme}://127.0.0.1:{strangers(*answers).port}"], timeout="50ms", start_tls=start_tls, max_binds=1)
    started = time.monotonic()
    for _ in range(2):
        with pytest.raises(DirectoryUnavailable):
            await directory.authenticate("alice", RIGHT)
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("answers", [[b"0\x03\x02\x01\x01"], [b"HTTP/1.1 400\r\n"], [TLS_GRANTED.replace(b"\x0a\x01\x00", b"\x0a\x01\x02")]])
async def test_a_server_that_does_not_grant_start_tls_is_told_nothing(make: Make, strangers: Callable[..., Stranger], answers: list[bytes]) -> None:
    with pytest.raises(DirectoryUnavailable):
        await make(urls=[f"ldap://127.0.0.1:{strangers(*answers).port}"], timeout="200ms", start_tls=True).authenticate("alice", RIGHT)


async def test_an_empty_password_does_not_reach_a_server_that_would_take_it(make: Make, server: Slapd) -> None:
    start = server.log.stat().st_size
    assert await make().authenticate("alice", Secret(b"")) == Denied("password_empty")
    assert server.operations(start) == []


@pytest.mark.parametrize("changes", [{"ca_file": "/nonexistent/ca.pem"}, {"bind_password_file": "/nonexistent/password"}])
async def test_a_file_that_has_gone_missing_makes_the_directory_unavailable(make: Make, server: Slapd, changes: dict[str, str]) -> None:
    with pytest.raises(DirectoryUnavailable):
        await make(urls=[server.secure_url], **{"ca_file": str(server.ca_file), **changes}).authenticate("alice", RIGHT)


@pytest.mark.parametrize(
    "answers",
    [
        [BOUND],
        [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        [b"\x00" * 64],
        [b"\xff" * 64],
        [BOUND[:-1]],
        [BOUND, BOUND_AGAIN],
        [BOUND, bytes.fromhex("300c02010265070a010004000400"), BOUND_AGAIN],
    ],
    ids=["no search", "HTTP", "zeros", "ones", "half an answer", "a bind for a search", "an old answer"],
)
async def test_a_server_that_makes_no_sense_lets_nobody_in(make: Make, strangers: Callable[..., Stranger], answers: list[bytes]) -> None:
    outcome: object
    try:
        outcome = await make(urls=[f"ldap://127.0.0.1:{strangers(*answers).port}"], timeout="50ms").authenticate("alice", RIGHT)
    except DirectoryUnavailable as unavailable:
        outcome = unavailable
    assert not isinstance(outcome, Person)


@pytest.mark.parametrize("answers", [[], [BOUND], [b"\x30"]], ids=["at once", "after the first answer", "in an answer"])
async def test_a_server_that_hangs_up_lets_nobody_in(make: Make, strangers: Callable[..., Stranger], answers: list[bytes]) -> None:
    with pytest.raises(DirectoryUnavailable):
        await make(urls=[f"ldap://127.0.0.1:{strangers(*answers, hangs_up=True).port}"], timeout="100ms").authenticate("alice", RIGHT)


@pytest.mark.parametrize(
    "changes",
    [
        {"bind_dn": f"cn=absent,{slapd.BASE}"},
        {"bind_dn": "no dn"},
        {"bind_dn": "", "bind_password_file": None},
        {"user_base": "dc=absent"},
        {"user_base": "no dn"},
    ],
    ids=["unknown service account", "malformed service account", "anonymous", "absent base", "malformed base"],
)
async def test_a_directory_that_cannot_be_searched_lets_nobody_in(make: Make, changes: dict[str, object]) -> None:
    outcome: object
    try:
        outcome = await make(**changes).authenticate("alice", RIGHT)
    except DirectoryUnavailable as unavailable:
        outcome = unavailable
    assert not isinstance(outcome, Person)


async def test_an_empty_password_file_does_not_make_the_service_account_nobody(
    make: Make, server: Slapd, tmp_path_factory: pytest.TempPathFactory
) -> None:
    empty = tmp_path_factory.mktemp("empty") / "password"
    empty.write_bytes(b"\n")
    empty.chmod(0o600)
    start = server.log.stat().st_size
    with pytest.raises(DirectoryUnavailable, match="holds no password"):
        await make(bind_password_file=str(empty)).authenticate("alice", RIGHT)
    assert server.operations(start) == []


# Many at once.


async def test_no_more_sign_ins_than_allowed_are_checked_at_once(make: Make, strangers: Callable[..., Stranger]) -> None:
    silent = strangers()
    directory = make(urls=[f"ldap://127.0.0.1:{silent.port}"], max_binds=2, timeout="300ms", queue_timeout="50ms")
    outcomes = await asyncio.gather(*(directory.authenticate("alice", RIGHT) for _ in range(8)), return_exceptions=True)
    assert sum("too many sign-ins wait" in str(outcome) for outcome in outcomes) == 6
    assert silent.connections == 2


async def test_those_who_wait_get_their_turn(make: Make) -> None:
    directory = make(max_binds=2)
    assert await asyncio.gather(*(directory.authenticate("alice", RIGHT) for _ in range(12))) == [ALICE] * 12


async def test_a_failure_gives_its_turn_back(make: Make) -> None:
    directory = make(urls=["ldap://127.0.0.1:1"], max_binds=1, queue_timeout="50ms")
    for _ in range(3):
        with pytest.raises(DirectoryUnavailable, match="ConnectionRefusedError"):
            await directory.authenticate("alice", RIGHT)


# The probe.


async def test_a_directory_that_answers_passes_the_probe(make: Make) -> None:
    await make().ping()


@pytest.mark.parametrize(
    "changes", [{"urls": ["ldap://127.0.0.1:1"]}, {"bind_dn": f"cn=absent,{slapd.BASE}"}], ids=["down", "service account refused"]
)
async def test_a_directory_that_does_not_answer_fails_it(make: Make, changes: dict[str, object]) -> None:
    with pytest.raises(DirectoryUnavailable):
        await make(**changes).ping()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ldap.SERVER_DOWN({"desc": "Can't contact LDAP server", "info": "timed out"}), "SERVER_DOWN Can't contact LDAP server / timed out"),
        (ldap.TIMEOUT({"desc": "Timed out"}), "TIMEOUT Timed out"),
        (ldap.LDAPError(0, "Error"), "LDAPError"),
        (OSError(2, "hunter2"), "FileNotFoundError No such file or directory"),
        (ldap.SERVER_DOWN(), "SERVER_DOWN"),
    ],
)
def test_a_failure_is_described_by_its_class_and_what_the_library_says_of_it(error: Exception, text: str) -> None:
    assert _describe(error) == text
