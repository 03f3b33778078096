from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Secret, Throttle
from gateway.errors import CredentialsRefused, DirectoryUnavailable, Refusal, Throttled
from gateway.signin.account import REQUIRED, Account, Candidate, Denied
from gateway.signin.credentials import credentials
from gateway.signin.directory import LdapDirectory
from gateway.signin.directory.states import POLICY
from gateway.signin.factor import Proved
from gateway.signin.gate import Gate
from gateway.signin.login import Login
from gateway.slurm.names import NameRules
from gateway.store.attempts import AttemptStore
from gateway.store.engine import Database
from gateway.store.known import KnownAddressStore
from tests.unit.fakes import FakeFactor, no_turns
from tests.unit.signin.directory import slapd
from tests.unit.signin.directory.conftest import Make, Stranger, settings
from tests.unit.signin.directory.slapd import GUESTS, PASSWORD, PEOPLE, POSIX_USERS, SERVICE, USERS, Slapd

RIGHT, WRONG = Secret(PASSWORD.encode()), Secret(b"wrong")
ALICE = Account(username="alice", uid=1001, groups=frozenset({REQUIRED}))
# BindResponse with resultCode success (RFC 4511 section 4.2.2) to the first and to the second message of a connection.
BOUND, BOUND_AGAIN = (bytes.fromhex(f"300c0201{number:02x}61070a010004000400") for number in (1, 2))
# SearchResultDone with resultCode success (section 4.5.2) to the second message: nobody was found.
SOMEBODY = Candidate(key="alice", account=ALICE, entry="uid=alice")
NOBODY = bytes.fromhex("300c02010265070a010004000400")


async def authenticate(directory: LdapDirectory, typed: str, password: Secret) -> Account | Denied:
    """Do what signing in does of it: find, then prove, whoever was found."""
    candidate = await directory.find(typed)
    cause = await directory.prove(candidate, password)
    return Denied(cause) if cause and isinstance(candidate.account, Account) else candidate.account


# Search, then bind.


async def test_the_right_password_tells_who_somebody_is(make: Make) -> None:
    assert await authenticate(make(), "alice", RIGHT) == ALICE


@pytest.mark.parametrize(("typed", "username"), [("ALICE", "alice"), ("Alice", "alice"), ("dave", "Dave"), ("DAVE", "Dave")])
async def test_the_name_is_in_the_directorys_own_spelling(make: Make, typed: str, username: str) -> None:
    person = await authenticate(make(), typed, RIGHT)
    assert isinstance(person, Account)
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
        ("erin", RIGHT, "account_locked"),
        ("guessed", RIGHT, "account_locked"),
        ("old", RIGHT, "password_expired"),
        ("graced", RIGHT, "password_expired"),
        ("reset", RIGHT, "password_must_change"),
        ("reset", WRONG, "password_refused"),
        ("robot", RIGHT, "uid_missing_or_malformed"),
        ("manny", RIGHT, "name_missing_or_ambiguous"),
        ("emmanuel", RIGHT, "name_missing_or_ambiguous"),
    ],
)
async def test_somebody_else_is_denied_for_a_cause(make: Make, typed: str, password: Secret, cause: str) -> None:
    assert await authenticate(make(), typed, password) == Denied(cause)


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
    assert await authenticate(make(**changes), "alice", RIGHT) == Denied(cause)


@pytest.mark.parametrize(
    "typed",
    ["*", "al*", "a*e", "alice)(uid=*", "alice)(|(uid=*)", "*)(objectClass=*", "2a", "alice\0", "(", ")", "&", "uid=alice", ""],
)
async def test_what_would_be_a_filter_is_a_name_that_nobody_has(make: Make, typed: str) -> None:
    assert await authenticate(make(), typed, RIGHT) == Denied("user_unknown")


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])))
def test_whatever_is_typed_is_a_name_and_nothing_else(server: Slapd, typed: str) -> None:
    async def attempt() -> Account | Denied:
        directory = LdapDirectory(settings(server))
        outcome = await authenticate(directory, typed, WRONG)
        directory.close()
        await asyncio.sleep(0)
        return outcome

    assert asyncio.run(attempt()) in {Denied("user_unknown"), Denied("password_refused"), Denied("domain_foreign")}


async def test_a_name_with_characters_of_a_dn_can_sign_in(make: Make) -> None:
    assert await authenticate(make(name_attribute="sn"), "odd", RIGHT) == Account(username="x", uid=1009, groups=frozenset({REQUIRED}))


async def test_people_are_searched_for_below_the_base_alone(make: Make) -> None:
    assert await authenticate(make(user_base=GUESTS), "alice", RIGHT) == Denied("user_unknown")


async def test_people_have_to_match_the_filter(make: Make) -> None:
    assert await authenticate(make(user_filter="(objectClass=posixGroup)"), "alice", RIGHT) == Denied("user_unknown")


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
    person = await authenticate(make(required_group=group, group_member_attribute=attribute), typed, RIGHT)
    assert isinstance(person, Account)
    assert person.member is member


@pytest.mark.parametrize("typed", ["alice", "mallory"])
async def test_a_group_that_does_not_exist_lets_nobody_in(make: Make, typed: str) -> None:
    with pytest.raises(DirectoryUnavailable, match="the group required does not exist"):
        await authenticate(make(required_group=f"cn=absent,{slapd.BASE}"), typed, RIGHT)


# What the server sees.


@pytest.mark.parametrize(("typed", "password"), [("alice", RIGHT), ("alice", WRONG), ("mallory", RIGHT), ("twin", RIGHT)])
async def test_one_bind_is_made_and_as_many_questions_are_asked_for_everybody(make: Make, server: Slapd, typed: str, password: Secret) -> None:
    start = server.log.stat().st_size
    await authenticate(make(required_group=USERS), typed, password)
    assert [line.partition(" ")[0] for line in server.operations(start)] == ["BIND", "SRCH", "SRCH", "BIND"]


@pytest.mark.parametrize("typed", ["alice", "mallory"])
async def test_each_attempt_is_one_bind_and_a_throttled_one_none(make: Make, server: Slapd, database: Database, typed: str) -> None:
    gate = Gate(AttemptStore(database), KnownAddressStore(database), Throttle.model_validate({"account_address": 3}))
    login = Login(
        directory=make(required_group=USERS), factor=FakeFactor(Proved("totp")), gate=gate, names=NameRules.of("slurm", (), 1000), turns=no_turns()
    )
    refusals, start = [], server.log.stat().st_size
    for _ in range(5):
        with pytest.raises(Refusal) as caught:
            await login.sign_in(credentials(typed, "wrong", "123456"), "192.0.2.7", time.time())
        refusals.append(type(caught.value))
    assert refusals == [CredentialsRefused] * 3 + [Throttled] * 2
    binds = [line for line in server.operations(start) if line.startswith("BIND")]
    assert [line for line in binds if SERVICE not in line] == binds[1:]
    assert len(binds[1:]) == 3


async def test_the_password_goes_to_the_one_who_was_found(make: Make, server: Slapd) -> None:
    start = server.log.stat().st_size
    await authenticate(make(), "ALICE", RIGHT)
    assert server.operations(start) == [f'BIND dn="{SERVICE}"', f'SRCH base="{slapd.BASE}"', f'BIND dn="uid=alice,{PEOPLE}"']


async def test_the_password_of_a_name_that_nobody_has_goes_to_nobody(make: Make, server: Slapd) -> None:
    start = server.log.stat().st_size
    await authenticate(make(), "mallory", RIGHT)
    assert server.operations(start)[-1].endswith(f',{slapd.BASE}"')
    assert "mallory" not in server.operations(start)[-1]


# The wire.


async def test_ldaps_with_the_servers_authority_is_spoken(make: Make, server: Slapd) -> None:
    assert await authenticate(make(urls=[server.secure_url], ca_file=str(server.ca_file)), "alice", RIGHT) == ALICE


async def test_start_tls_with_the_servers_authority_is_spoken(make: Make, server: Slapd) -> None:
    assert await authenticate(make(start_tls=True, ca_file=str(server.ca_file)), "alice", RIGHT) == ALICE


@pytest.mark.parametrize("secure", [True, False], ids=["ldaps", "start_tls"])
@pytest.mark.parametrize("known", [True, False], ids=["another authority", "the system's authorities"])
async def test_a_server_that_cannot_prove_itself_is_told_nothing(make: Make, server: Slapd, secure: bool, known: bool) -> None:
    changes: dict[str, object] = {"urls": [server.secure_url]} if secure else {"start_tls": True}
    start = server.log.stat().st_size
    with pytest.raises(DirectoryUnavailable):
        await authenticate(make(**changes, ca_file=str(server.other_ca_file) if known else None), "alice", RIGHT)
    assert server.operations(start) == []


async def test_a_server_under_another_name_is_told_nothing(make: Make, server: Slapd) -> None:
    start = server.log.stat().st_size
    with pytest.raises(DirectoryUnavailable):
        await authenticate(make(urls=[server.secure_url.replace("127.0.0.1", "localhost")], ca_file=str(server.ca_file)), "alice", RIGHT)
    assert server.operations(start) == []


async def test_a_server_without_tls_is_told_nothing(make: Make, server: Slapd) -> None:
    start = server.log.stat().st_size
    with pytest.raises(DirectoryUnavailable):
        await authenticate(make(urls=[server.url.replace("ldap:", "ldaps:")], ca_file=str(server.ca_file), timeout="200ms"), "alice", RIGHT)
    assert server.operations(start) == []


# Several servers, and none that answers.


async def test_a_server_that_is_down_is_passed_over(make: Make, server: Slapd) -> None:
    assert await authenticate(make(urls=["ldap://127.0.0.1:1", server.url]), "alice", RIGHT) == ALICE


async def test_a_server_that_says_nothing_is_passed_over(make: Make, server: Slapd, strangers: Callable[..., Stranger]) -> None:
    silent = strangers()
    assert await authenticate(make(urls=[f"ldap://127.0.0.1:{silent.port}", server.url], timeout="200ms"), "alice", RIGHT) == ALICE
    assert silent.connections == 1


async def test_the_first_server_that_answers_is_asked_alone(make: Make, server: Slapd, strangers: Callable[..., Stranger]) -> None:
    other = strangers()
    await authenticate(make(urls=[server.url, f"ldap://127.0.0.1:{other.port}"]), "alice", WRONG)
    assert other.connections == 0


async def test_the_inside_is_told_what_each_server_failed_with(make: Make) -> None:
    with pytest.raises(
        DirectoryUnavailable, match=r"^ldap://127\.0\.0\.1:1: ConnectionRefusedError .*; ldap://127\.0\.0\.1:2: ConnectionRefusedError "
    ):
        await authenticate(make(urls=["ldap://127.0.0.1:1", "ldap://127.0.0.1:2"]), "alice", RIGHT)


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
            await authenticate(directory, "alice", RIGHT)
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("answers", [[b"0\x03\x02\x01\x01"], [b"HTTP/1.1 400\r\n"], [TLS_GRANTED.replace(b"\x0a\x01\x00", b"\x0a\x01\x02")]])
async def test_a_server_that_does_not_grant_start_tls_is_told_nothing(make: Make, strangers: Callable[..., Stranger], answers: list[bytes]) -> None:
    with pytest.raises(DirectoryUnavailable):
        await authenticate(make(urls=[f"ldap://127.0.0.1:{strangers(*answers).port}"], timeout="200ms", start_tls=True), "alice", RIGHT)


async def test_an_empty_password_does_not_reach_a_server_that_would_take_it(make: Make, server: Slapd) -> None:
    start = server.log.stat().st_size
    assert await authenticate(make(), "alice", Secret(b"")) == Denied("password_empty")
    assert [line.partition(" ")[0] for line in server.operations(start)] == ["BIND", "SRCH"]


@pytest.mark.parametrize("changes", [{"ca_file": "/nonexistent/ca.pem"}, {"bind_password_file": "/nonexistent/password"}])
async def test_a_file_that_has_gone_missing_makes_the_directory_unavailable(make: Make, server: Slapd, changes: dict[str, str]) -> None:
    with pytest.raises(DirectoryUnavailable):
        await authenticate(make(urls=[server.secure_url], **{"ca_file": str(server.ca_file), **changes}), "alice", RIGHT)


@pytest.mark.parametrize(
    "answers",
    [
        [BOUND],
        [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        [b"\x00" * 64],
        [b"\xff" * 64],
        [BOUND[:-1]],
        [BOUND, BOUND_AGAIN],
        [BOUND, NOBODY, BOUND_AGAIN],
    ],
    ids=["no search", "HTTP", "zeros", "ones", "half an answer", "a bind for a search", "an old answer"],
)
async def test_a_server_that_makes_no_sense_lets_nobody_in(make: Make, strangers: Callable[..., Stranger], answers: list[bytes]) -> None:
    outcome: object
    try:
        outcome = await authenticate(make(urls=[f"ldap://127.0.0.1:{strangers(*answers).port}"], timeout="50ms"), "alice", RIGHT)
    except DirectoryUnavailable as unavailable:
        outcome = unavailable
    assert not isinstance(outcome, Account)


@pytest.mark.parametrize("answers", [[], [BOUND], [b"\x30"]], ids=["at once", "after the first answer", "in an answer"])
async def test_a_server_that_hangs_up_lets_nobody_in(make: Make, strangers: Callable[..., Stranger], answers: list[bytes]) -> None:
    with pytest.raises(DirectoryUnavailable):
        await authenticate(make(urls=[f"ldap://127.0.0.1:{strangers(*answers, hangs_up=True).port}"], timeout="100ms"), "alice", RIGHT)


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
        outcome = await authenticate(make(**changes), "alice", RIGHT)
    except DirectoryUnavailable as unavailable:
        outcome = unavailable
    assert not isinstance(outcome, Account)


async def test_an_empty_password_file_does_not_make_the_service_account_nobody(
    make: Make, server: Slapd, tmp_path_factory: pytest.TempPathFactory
) -> None:
    empty = tmp_path_factory.mktemp("empty") / "password"
    empty.write_bytes(b"\n")
    empty.chmod(0o600)
    start = server.log.stat().st_size
    with pytest.raises(DirectoryUnavailable, match="holds no password"):
        await authenticate(make(bind_password_file=str(empty)), "alice", RIGHT)
    assert server.operations(start) == []


async def test_signing_in_blocks_the_loop_nowhere(make: Make, server: Slapd) -> None:
    directory = make(urls=[server.secure_url], ca_file=str(server.ca_file), required_group=USERS)
    with blockbuster_ctx():
        assert [await authenticate(directory, "alice", RIGHT) for _ in range(2)] == [ALICE] * 2


# Many at once.


async def test_no_more_sign_ins_than_allowed_are_checked_at_once(make: Make, strangers: Callable[..., Stranger]) -> None:
    silent = strangers()
    directory = make(urls=[f"ldap://127.0.0.1:{silent.port}"], max_binds=2, timeout="300ms", queue_timeout="50ms")
    outcomes = await asyncio.gather(*(authenticate(directory, "alice", RIGHT) for _ in range(8)), return_exceptions=True)
    assert sum("too many sign-ins wait" in str(outcome) for outcome in outcomes) == 6
    assert silent.connections == 2


async def test_those_who_wait_get_their_turn(make: Make) -> None:
    directory = make(max_binds=2)
    assert await asyncio.gather(*(authenticate(directory, "alice", RIGHT) for _ in range(12))) == [ALICE] * 12


async def test_a_failure_gives_its_turn_back(make: Make) -> None:
    directory = make(urls=["ldap://127.0.0.1:1"], max_binds=1, queue_timeout="50ms")
    for _ in range(3):
        with pytest.raises(DirectoryUnavailable, match="ConnectionRefusedError"):
            await authenticate(directory, "alice", RIGHT)


# Kept links.


async def test_the_second_sign_in_finds_the_door_open(make: Make, server: Slapd) -> None:
    directory = make(required_group=USERS)
    await authenticate(directory, "alice", RIGHT)
    start = server.log.stat().st_size
    assert await authenticate(directory, "Dave", RIGHT) == Account(username="Dave", uid=1004, groups=frozenset())
    assert server.operations(start) == [f'SRCH base="{slapd.BASE}"', f'SRCH base="{USERS}"', f'BIND dn="uid=Dave,{PEOPLE}"']
    assert b" ACCEPT " not in server.log.read_bytes()[start:]


async def test_nothing_is_searched_for_on_a_link_that_somebody_was_bound_on(make: Make, server: Slapd) -> None:
    directory = make()
    for _ in range(3):
        await authenticate(directory, "alice", RIGHT)
    searching, proving = ({id(link) for link, _ in links._waiting[server.url]} for links in (directory._searching, directory._proving))
    assert (len(searching), len(proving), searching & proving) == (1, 1, set())


async def test_many_wrong_passwords_do_not_spoil_the_link_for_a_right_one(make: Make) -> None:
    directory = make()
    outcomes = [await authenticate(directory, typed, password) for typed, password in [("alice", WRONG), ("nobody", RIGHT), ("alice", RIGHT)] * 3]
    assert outcomes == [Denied("password_refused"), Denied("user_unknown"), ALICE] * 3


async def test_a_search_on_a_link_that_died_unseen_is_repeated_once_on_a_fresh_one(make: Make, strangers: Callable[..., Stranger]) -> None:
    stranger = strangers(BOUND, NOBODY)
    directory = make(urls=[stranger.url], timeout="100ms")
    for _ in range(2):
        assert (await directory.find("alice")).account == Denied("user_unknown")
    assert stranger.connections == 2


async def test_a_bind_is_not_repeated_once_it_may_have_been_sent(make: Make, strangers: Callable[..., Stranger]) -> None:
    stranger, other = strangers(BOUND), strangers(BOUND)
    directory = make(urls=[stranger.url, other.url], timeout="100ms")
    assert await directory.prove(SOMEBODY, RIGHT) is None
    with pytest.raises(DirectoryUnavailable, match="no answer in time"):
        await directory.prove(SOMEBODY, RIGHT)
    assert (stranger.connections, other.connections) == (1, 0)
    assert sum(b"uid=alice" in heard for heard in stranger.heard) == 2


async def test_a_bind_goes_to_the_next_server_while_it_was_not_sent(make: Make, server: Slapd) -> None:
    directory = make(urls=["ldap://127.0.0.1:1", server.url])
    assert await directory.prove(Candidate(key="alice", account=ALICE, entry=f"uid=alice,{PEOPLE}"), RIGHT) is None


@pytest.mark.parametrize(
    "controls", ["a01d301b0419" + POLICY.encode().hex(), "a021301f0419" + POLICY.encode().hex() + "04023081"], ids=["none", "half"]
)
async def test_a_success_whose_control_cannot_be_read_is_none(make: Make, strangers: Callable[..., Stranger], controls: str) -> None:
    content = bytes.fromhex("02010161070a010004000400" + controls)
    directory = make(urls=[strangers(bytes([0x30, len(content)]) + content).url])
    with pytest.raises(DirectoryUnavailable):
        await directory.prove(SOMEBODY, RIGHT)


async def test_a_server_that_failed_is_asked_last_until_its_time_is_over(server: Slapd, strangers: Callable[..., Stranger]) -> None:
    now = 1000.0
    silent = strangers()
    directory = LdapDirectory(settings(server, urls=[silent.url, server.url], timeout="100ms", down_for="30s"), ticks=lambda: now)
    for _ in range(3):
        assert await authenticate(directory, "alice", RIGHT) == ALICE
    assert silent.connections == 1
    now += 31
    assert await authenticate(directory, "alice", RIGHT) == ALICE
    assert silent.connections == 2
    directory.close()
    await asyncio.sleep(0)


async def test_hanging_up_on_one_who_waits_gives_the_turn_and_the_link_back(make: Make, strangers: Callable[..., Stranger]) -> None:
    stranger = strangers()
    directory = make(urls=[stranger.url], max_binds=1, queue_timeout="5s")
    for count in (1, 2):
        waiting = asyncio.create_task(directory.find("alice"))
        async with asyncio.timeout(5):
            while len(stranger.heard) < count:  # noqa: ASYNC110 - it is heard on another thread
                await asyncio.sleep(0.002)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert directory._searching._waiting == {stranger.url: []}


# Names.


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("ALICE", "alice"),
        ("DEMO\\Alice", "alice"),
        ("alice@demo.example", "alice"),
        ("emmanuel", "emmanuel"),
        ("Nobody@demo.example", "nobody"),
        ("Alice@Other.example", "alice@other.example"),
    ],
)
async def test_attempts_count_under_one_name_however_it_is_typed(make: Make, typed: str, key: str) -> None:
    assert (await make(domains=["demo.example", "DEMO"]).find(typed)).key == key


async def test_an_account_is_looked_at_without_a_password(make: Make) -> None:
    directory = make()
    assert await directory.account("alice") == await directory.by_uid(1001) == ALICE
    erin = await directory.account("erin")
    assert isinstance(erin, Account)
    assert erin.barred == "account_locked"


# The probe.


async def test_a_directory_that_answers_passes_the_probe(make: Make) -> None:
    await make().ping()


@pytest.mark.parametrize(
    "changes", [{"urls": ["ldap://127.0.0.1:1"]}, {"bind_dn": f"cn=absent,{slapd.BASE}"}], ids=["down", "service account refused"]
)
async def test_a_directory_that_does_not_answer_fails_it(make: Make, changes: dict[str, object]) -> None:
    with pytest.raises(DirectoryUnavailable):
        await make(**changes).ping()
