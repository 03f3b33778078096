"""Second factors of one's own (DESIGN 2.2), over the wire: by ticket, by munge, in a session; and what does not get through there."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyotp
import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.enrolling import new_ticket
from gateway.sessions.sessions import Sessions
from gateway.signin.munge import payload
from gateway.store.engine import open_database
from gateway.store.tickets import TicketStore
from tests.munged import UID, Munged, munged
from tests.web import fakes
from tests.web.conftest import Build, House

HOST = "gateway.example.org"  # what fakes.encode asks for
ALL = {"ways": ["administrator", "ticket", "munge", "session"]}
OTHER_SCRIPTS = ["\uff11\uff12\uff13\uff14\uff15\uff16", "\u00b9\u00b2\u00b3\u2074\u2075\u2076", "\u0661\u0662\u0663\u0664\u0665\u0666"]
NO_STRINGS: list[object] = [123456, None, True, 1.5, ["123456"], {"otp": "123456"}]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Munged]:
    with munged() as running:
        yield running


@pytest.fixture
async def house(build: Build, daemon: Munged) -> House:
    made = await build(enrolment={**ALL, "munge_socket": str(daemon.socket)})
    made.directory.people["carol"] = replace(made.directory.people["carol"], uid=UID)
    return made


async def ticket(house: House, username: str = "carol", *, lifetime: float = 60.0) -> str:
    """Issue a ticket, as the administrator does."""
    database = await asyncio.to_thread(open_database, house.config.store)
    made = new_ticket(username, lifetime=lifetime, now=time.time())
    try:
        await TicketStore(database).add(made.row)
    finally:
        await database.close()
    house.said.append(made.text)
    return made.text


async def post(house: House, path: str, tree: object, fields: fakes.Fields = ()) -> fakes.Answer:
    return await house.ask("POST", path, fields, json.dumps(tree).encode())


async def redeem(house: House, text: str, username: str = "carol", password: str = fakes.PASSWORD, **more: object) -> fakes.Answer:
    return await post(house, "/auth/totp", {"username": username, "password": password, "ticket": text, **more})


async def munge(house: House, daemon: Munged, **more: object) -> fakes.Answer:
    credential = await asyncio.to_thread(daemon.credential, payload(HOST))
    return await post(house, "/auth/totp", {"munge": credential, **more})


def code_of(answer: fakes.Answer, off: int = 0) -> str:
    return pyotp.TOTP(str(answer.json["secret"])).generate_otp(int(time.time() // 30) + off)


async def confirm(house: House, answer: fakes.Answer, code: str | None = None, token: str | None = None, **more: object) -> fakes.Answer:
    sender = fakes.bearer(str(answer.json["token"]) if token is None else token)
    return await post(house, "/auth/totp/confirm", {"otp": code_of(answer) if code is None else code, **more}, sender)


async def login(house: House, code: str, username: str = "carol") -> fakes.Answer:
    return await house.ask("POST", "/auth/login", body=json.dumps({"username": username, "password": fakes.PASSWORD, "otp": code}).encode())


async def fresh_session(house: House, username: str = "alice") -> str:
    return str((await house.ask("POST", "/auth/login", fakes.basic(username, otp=await house.code(username)))).json["token"])


# With a ticket.


async def test_a_ticket_and_the_password_begin_and_the_first_code_ends_it(house: House) -> None:
    begun = await redeem(house, await ticket(house))
    assert begun.status == 200
    assert set(begun.json) == {"id", "name", "secret", "otpauth_uri", "qr_svg", "expires_at", "token"}
    assert pyotp.parse_uri(str(begun.json["otpauth_uri"])).secret == begun.json["secret"]
    ended = await confirm(house, begun)
    assert (ended.status, ended.json["id"], ended.json["name"]) == (200, begun.json["id"], "authenticator")
    codes = ended.json["recovery_codes"]
    assert isinstance(codes, list)
    assert len(set(codes)) == 10
    assert (await login(house, code_of(begun, 1))).status == 200
    assert (await login(house, codes[0])).status == 200


async def test_a_ticket_can_come_with_http_basic(house: House) -> None:
    begun = await post(house, "/auth/totp", {"ticket": await ticket(house), "name": "telephone"}, fakes.basic("carol"))
    assert (begun.status, begun.json["name"]) == (200, "telephone")


async def test_a_name_that_is_taken_does_not_waste_the_ticket(house: House) -> None:
    answers = [await redeem(house, await ticket(house), name="telephone") for _ in range(2)]
    assert [answer.json["name"] for answer in answers] == ["telephone", "authenticator"]


async def test_nobody_signs_in_with_what_was_not_confirmed(house: House) -> None:
    begun = await redeem(house, await ticket(house))
    assert (await login(house, code_of(begun))).reason == "enrolment_required"


async def test_the_code_that_confirmed_does_not_sign_in(house: House) -> None:
    begun = await redeem(house, await ticket(house))
    code = code_of(begun)
    assert (await confirm(house, begun, code)).status == 200
    assert (await login(house, code)).reason == "credentials_refused"
    assert (await house.ask("GET", "/slurm/v0.0.41/ping", fakes.basic("carol", otp=code))).reason == "credentials_refused"


async def test_the_code_of_a_sign_in_does_not_confirm_nor_serve_in_any_other_flow(house: House) -> None:
    begun = await redeem(house, await ticket(house))
    await confirm(house, begun)
    code = code_of(begun, 1)
    assert (await login(house, code)).status == 200
    again = [await login(house, code), await house.ask("GET", "/slurm/v0.0.41/ping", fakes.basic("carol", otp=code))]
    assert [answer.reason for answer in again] == ["credentials_refused"] * 2


async def test_recovery_codes_are_shown_even_if_the_token_cannot_be_ended(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = await redeem(house, await ticket(house))

    async def out(*_: object) -> None:
        raise StoreUnavailable("store: busy")

    monkeypatch.setattr(Sessions, "end", out)
    answer = await confirm(house, begun)
    assert (answer.status, len(answer.json["recovery_codes"])) == (200, 10)  # type: ignore[arg-type]  # a list, as told above
    assert (await confirm(house, begun)).status == 404


async def test_of_one_ticket_redeemed_two_hundred_times_at_once_one_is_good(build: Build) -> None:
    house = await build(enrolment=ALL, throttle={"account_address": 1000, "account": 1000, "address": 1000, "refusal_time": "10ms"})
    text = await ticket(house)
    answers = await asyncio.gather(*(redeem(house, text) for _ in range(200)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * 199


async def test_a_used_ticket_is_refused(house: House) -> None:
    text = await ticket(house)
    await redeem(house, text)
    assert (await redeem(house, text)).reason == "credentials_refused"


async def test_whatever_is_wrong_with_a_ticket_the_answer_is_the_same(house: House) -> None:
    good = await ticket(house)
    barred = await ticket(house, "dave")
    expired = await ticket(house, "bob", lifetime=-1.0)
    answers = [
        await redeem(house, good, password="wrong"),
        await redeem(house, good, username="alice"),
        await redeem(house, good, username="nobody"),
        await redeem(house, good[:-1] + ("0" if good[-1] != "0" else "1")),
        await redeem(house, "sgt_"),
        await redeem(house, ""),
        await redeem(house, barred, username="dave"),
        await redeem(house, expired, username="bob"),
    ]
    assert {answer.status for answer in answers} == {401}
    bodies = [{key: value for key, value in answer.json.items() if key != "request_id"} for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert "ticket" in str(bodies[0]["detail"])
    assert (await redeem(house, good)).status == 200


@pytest.mark.parametrize("username", ["root", "slurm", "33", "daemon"])
async def test_nobody_enrols_whom_slurm_takes_for_more(house: House, username: str) -> None:
    assert (await redeem(house, await ticket(house, username), username)).reason == "credentials_refused"


async def test_wrong_tickets_are_counted_as_wrong_passwords_are(house: House) -> None:
    wrong = new_ticket("carol", lifetime=60.0, now=0.0).text
    answers = [await redeem(house, wrong) for _ in range(10)]
    assert {answer.status for answer in answers} == {401}
    assert (await redeem(house, await ticket(house))).reason == "throttled"


async def test_a_good_ticket_is_no_sign_in_and_no_failure(house: House) -> None:
    for number in range(12):
        await redeem(house, await ticket(house), name=f"n{number}")
    assert (await redeem(house, await ticket(house), password="wrong")).status == 401
    assert await house.audit("sign_in") == []


# By munge.


async def test_a_unix_user_enrols_by_munge(house: House, daemon: Munged) -> None:
    begun = await munge(house, daemon, name="telephone")
    assert (begun.status, begun.json["name"]) == (200, "telephone")
    assert (await confirm(house, begun)).status == 200
    assert (await login(house, code_of(begun, 1))).status == 200


async def test_the_same_credential_is_refused_the_second_time(house: House, daemon: Munged) -> None:
    credential = await asyncio.to_thread(daemon.credential, payload(HOST))
    answers = [await post(house, "/auth/totp", {"munge": credential}) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 401]
    assert (answers[1].reason, "munge" in str(answers[1].json["detail"])) == ("credentials_refused", True)


async def test_a_credential_for_another_name_is_refused(house: House, daemon: Munged) -> None:
    credential = await asyncio.to_thread(daemon.credential, payload("evil.example"))
    assert (await post(house, "/auth/totp", {"munge": credential})).reason == "credentials_refused"


async def test_the_name_is_the_hosts_without_its_port(house: House, daemon: Munged) -> None:
    credential = await asyncio.to_thread(daemon.credential, payload(HOST))
    assert (await post(house, "/auth/totp", {"munge": credential}, [("Host", f"{HOST.upper()}:8443")])).status == 200


async def test_a_stolen_shell_adds_no_second_factor(house: House, daemon: Munged) -> None:
    await house.enrol("carol")
    answer = await munge(house, daemon)
    assert (answer.status, answer.reason) == (409, "already_enrolled")


async def test_of_two_that_a_unix_user_began_one_is_confirmed(house: House, daemon: Munged) -> None:
    stolen, own = await munge(house, daemon), await munge(house, daemon)
    assert (await confirm(house, own)).status == 200
    assert (await confirm(house, stolen)).status == 409
    assert (await login(house, code_of(stolen, 1))).reason == "credentials_refused"


@pytest.mark.parametrize(
    ("username", "status", "reason"), [("dave", 403, "not_permitted"), ("slurm", 403, "not_permitted"), ("33", 403, "not_permitted")]
)
async def test_who_may_not_come_in_does_not_enrol_by_munge(house: House, daemon: Munged, username: str, status: int, reason: str) -> None:
    people = house.directory.people
    del people["carol"]
    people[username] = replace(people[username], uid=UID)
    answer = await munge(house, daemon)
    assert (answer.status, answer.reason) == (status, reason)


async def test_a_unix_user_whom_the_directory_does_not_have_is_refused(house: House, daemon: Munged) -> None:
    del house.directory.people["carol"]
    for name, person in house.directory.people.items():
        house.directory.people[name] = replace(person, uid=person.uid + 10_000)
    assert (await munge(house, daemon)).reason == "credentials_refused"


async def test_a_directory_that_is_down_lets_nobody_enrol(house: House, daemon: Munged) -> None:
    house.directory.down = True
    assert (await munge(house, daemon)).reason == "directory_unavailable"


async def test_many_bad_credentials_from_one_address_have_to_wait(build: Build) -> None:
    house = await build(enrolment=ALL, throttle={"tokens": 3})
    answers = [await post(house, "/auth/totp", {"munge": "MUNGE:AAAA:"}) for _ in range(4)]
    assert [answer.status for answer in answers] == [401] * 3 + [429]


async def test_munge_is_not_asked_by_an_address_that_has_to_wait_and_a_good_credential_does_not_count(build: Build, daemon: Munged) -> None:
    house = await build(enrolment={**ALL, "munge_socket": str(daemon.socket)}, throttle={"tokens": 1})
    house.directory.people["carol"] = replace(house.directory.people["carol"], uid=UID)
    assert [(await munge(house, daemon)).status for _ in range(2)] == [200, 200]
    assert (await post(house, "/auth/totp", {"munge": "MUNGE:AAAA:"})).status == 401
    assert (await munge(house, daemon)).reason == "throttled"


# In a session.


async def test_a_fresh_session_adds_one_more_and_removes_it_again(house: House) -> None:
    token = await fresh_session(house)
    begun = await post(house, "/auth/totp", {"name": "tablet"}, fakes.bearer(token))
    assert (begun.status, "token" in begun.json) == (200, False)
    assert (await confirm(house, begun, token=token)).status == 200
    shown = (await house.ask("GET", "/auth/totp", fakes.bearer(token))).json
    assert [(one["name"], one["confirmed"]) for one in shown["authenticators"]] == [("authenticator", True), ("tablet", True)]  # type: ignore[attr-defined]
    assert shown["recovery_codes_left"] == 10
    assert (await house.ask("DELETE", f"/auth/totp/{begun.json['id']}", fakes.bearer(token))).status == 204
    assert (await login(house, code_of(begun, 1), "alice")).reason == "credentials_refused"


async def test_a_body_is_not_needed(house: House) -> None:
    begun = await house.ask("POST", "/auth/totp", fakes.bearer(await fresh_session(house)), b"")
    assert (begun.status, begun.json["name"]) == (200, "authenticator 2")


async def test_what_is_shown_holds_no_secret(house: House) -> None:
    token = await fresh_session(house)
    begun = await post(house, "/auth/totp", {}, fakes.bearer(token))
    shown = await house.ask("GET", "/auth/totp", fakes.bearer(token))
    assert str(begun.json["secret"]).encode() not in shown.body
    assert [sorted(one) for one in shown.json["authenticators"]] == [["confirmed", "created_at", "id", "last_used_at", "name"]] * 2  # type: ignore[attr-defined]


async def test_a_session_whose_second_factor_is_old_changes_nothing(house: House) -> None:
    await house.enrol()
    stale = fakes.bearer(await house.token(age=601.0))
    identifier = (await house.ask("GET", "/auth/totp", stale)).json["authenticators"][0]["id"]  # type: ignore[index]
    answers = [await post(house, "/auth/totp", {}, stale), await house.ask("DELETE", f"/auth/totp/{identifier}", stale)]
    assert [answer.reason for answer in answers] == ["second_factor_stale"] * 2


async def test_the_last_authenticator_stays(house: House) -> None:
    token = fakes.bearer(await fresh_session(house))
    identifier = (await house.ask("GET", "/auth/totp", token)).json["authenticators"][0]["id"]  # type: ignore[index]
    assert (await house.ask("DELETE", f"/auth/totp/{identifier}", token)).status == 409


async def test_nobody_removes_somebody_elses(house: House) -> None:
    await house.enrol("bob")
    bobs = (await house.ask("GET", "/auth/totp", fakes.bearer(await house.token("bob")))).json["authenticators"][0]["id"]  # type: ignore[index]
    assert (await house.ask("DELETE", f"/auth/totp/{bobs}", fakes.bearer(await fresh_session(house)))).status == 404


async def test_a_code_from_one_shot_credentials_is_not_used_up_for_nothing(house: House) -> None:
    code = await house.code()
    assert (await post(house, "/auth/totp", {}, fakes.basic("alice", otp=code))).reason == "not_permitted"
    assert (await login(house, code, "alice")).status == 200


async def test_a_personal_token_neither_looks_nor_changes(house: House) -> None:
    token = await house.token()
    assert house.config.store.url.startswith("sqlite:///")
    await asyncio.to_thread(fakes.execute, house.config.audit.file.parent / "gateway.db", "UPDATE sessions SET kind = 'token'")  # type: ignore[union-attr]
    answers = [
        await house.ask("GET", "/auth/totp", fakes.bearer(token)),
        await post(house, "/auth/totp", {}, fakes.bearer(token)),
        await post(house, "/auth/totp/confirm", {"otp": "123456"}, fakes.bearer(token)),
    ]
    assert [answer.status for answer in answers] == [403] * 3


async def test_several_that_wait_in_a_session_are_told_apart_by_their_id(house: House) -> None:
    token = await fresh_session(house)
    first, second = [await post(house, "/auth/totp", {}, fakes.bearer(token)) for _ in range(2)]
    assert (await confirm(house, first, token=token)).status == 409
    assert (await confirm(house, first, token=token, id=first.json["id"])).status == 200
    assert (await confirm(house, second, token=token)).status == 200


# The token of an enrolment.


async def test_the_token_of_an_enrolment_opens_nothing_else(house: House) -> None:
    token = fakes.bearer(str((await redeem(house, await ticket(house))).json["token"]))
    paths = [("GET", "/slurm/v0.0.41/ping"), ("GET", "/auth/session"), ("DELETE", "/auth/session"), ("GET", "/auth/totp"), ("POST", "/auth/totp")]
    answers = [await house.ask(method, path, token, b"{}" if method == "POST" else None) for method, path in paths]
    assert [answer.status for answer in answers] == [403] * len(paths)
    assert house.slurm.seen == []


async def test_the_token_of_an_enrolment_ends_with_it(house: House) -> None:
    begun = await redeem(house, await ticket(house))
    await confirm(house, begun)
    assert (await confirm(house, begun, code_of(begun, 1))).reason == "token_refused"


async def test_the_token_of_an_enrolment_confirms_its_own_alone(house: House) -> None:
    first, second = await redeem(house, await ticket(house)), await redeem(house, await ticket(house))
    answer = await confirm(house, second, token=str(first.json["token"]), id=second.json["id"])
    assert answer.reason == "credentials_refused"


async def test_five_wrong_first_codes_are_all(house: House) -> None:
    begun = await redeem(house, await ticket(house))
    wrong = f"{(int(code_of(begun)) + 500_000) % 10**6:06d}"
    answers = [await confirm(house, begun, wrong) for _ in range(6)]
    assert [answer.status for answer in answers] == [401] * 5 + [429]
    assert "password" not in str(answers[0].json["detail"])
    assert (await confirm(house, begun)).status == 429


async def test_guesses_at_once_are_no_more_than_five(house: House) -> None:
    begun = await redeem(house, await ticket(house))
    wrong = f"{(int(code_of(begun)) + 500_000) % 10**6:06d}"
    answers = await asyncio.gather(*(confirm(house, begun, wrong) for _ in range(60)))
    assert sum(answer.status == 401 for answer in answers) <= 5
    assert {answer.status for answer in answers} == {401, 429}


async def test_a_first_code_that_is_out_of_step_is_told_as_such(house: House) -> None:
    begun = await redeem(house, await ticket(house))
    answer = await confirm(house, begun, code_of(begun, -10))
    assert (answer.reason, answer.json["title"]) == ("credentials_refused", "The code belongs to another time")
    assert "5 minutes slow" in str(answer.json["detail"])


async def test_a_sign_in_that_is_out_of_step_is_told_as_such_to_whoever_knew_the_password(house: House) -> None:
    enrolled = await house.enrol()
    code = pyotp.TOTP(enrolled.secret).generate_otp(int(time.time() // 30) + 8)
    body = {"username": "alice", "otp": code}
    right, wrong = [await post(house, "/auth/login", {**body, "password": password}) for password in (fakes.PASSWORD, "wrong")]
    assert (right.json["title"], "4 minutes fast" in str(right.json["detail"])) == ("The code belongs to another time", True)
    assert wrong.json["title"] == "The credentials were refused"


# What is no code, and what is no request.


@pytest.mark.parametrize("code", [*("1" * length for length in range(13) if length != 6), *OTHER_SCRIPTS, "12345\u0660", " 12345", "123456\n"])
async def test_what_cannot_be_a_code_confirms_nothing(house: House, code: str) -> None:
    begun = await redeem(house, await ticket(house))
    assert (await confirm(house, begun, code)).reason == "credentials_refused"


@pytest.mark.parametrize("code", NO_STRINGS)
async def test_a_code_that_is_no_string_is_malformed(house: House, code: object) -> None:
    token = fakes.bearer(str((await redeem(house, await ticket(house))).json["token"]))
    assert (await post(house, "/auth/totp/confirm", {"otp": code}, token)).reason == "bad_request"


@pytest.mark.parametrize("tree", [{}, {"otp": "1", "more": 1}, {"id": "x"}, {"otp": "123456", "id": 1}, {"otp": "123456", "id": ["x"]}])
async def test_a_confirmation_with_other_keys_is_malformed(house: House, tree: object) -> None:
    token = fakes.bearer(str((await redeem(house, await ticket(house))).json["token"]))
    assert (await post(house, "/auth/totp/confirm", tree, token)).reason == "bad_request"


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"username": "carol", "password": fakes.PASSWORD},
        {"username": "carol", "password": fakes.PASSWORD, "otp": "123456"},
        {"username": "carol", "password": fakes.PASSWORD, "ticket": "x", "munge": "y"},
        {"username": "carol", "password": fakes.PASSWORD, "ticket": 1},
        {"username": ["carol"], "password": fakes.PASSWORD, "ticket": "x"},
        {"username": "carol", "password": None, "ticket": "x"},
        {"munge": 1},
        {"munge": ["MUNGE:"]},
        {"munge": "x", "name": "<script>"},
        {"munge": "x", "name": 1},
        [],
        "munge",
        None,
    ],
)
async def test_a_beginning_that_makes_no_sense_is_malformed(house: House, tree: object) -> None:
    assert (await post(house, "/auth/totp", tree)).reason == "bad_request"


@pytest.mark.parametrize("body", [b"{", b'{"munge": "a", "munge": "b"}', b"[" * 6000, b"\xff"])
async def test_what_is_no_json_is_malformed(house: House, body: bytes) -> None:
    assert (await house.ask("POST", "/auth/totp", body=body)).reason == "bad_request"


async def test_a_beginning_that_is_too_large_is_refused(house: House) -> None:
    assert (await post(house, "/auth/totp", {"munge": "x" * 9000})).reason == "too_large"


@pytest.mark.parametrize("password", ["", " ", "\0", "x\0y", "p" * 2000])
async def test_a_password_that_cannot_be_right_never_reaches_the_directory(house: House, password: str) -> None:
    assert (await redeem(house, await ticket(house), password=password)).reason == "credentials_refused"
    assert house.directory.asked == []


@pytest.mark.parametrize("fields", [fakes.basic("carol") * 2, [*fakes.basic("carol"), ("X-SLURM-USER-TOKEN", "sgw_x")]])
async def test_whoever_comes_twice_is_malformed(house: House, fields: Sequence[tuple[str, str]]) -> None:
    assert (await post(house, "/auth/totp", {"ticket": await ticket(house)}, fields)).reason == "bad_request"


# Which ways are open.


@pytest.mark.parametrize(
    ("tree", "closed"), [({"munge": "x"}, ["ticket", "session"]), ({"username": "a", "password": "b", "ticket": "c"}, ["munge"])]
)
async def test_a_closed_way_says_which_are_open(build: Build, tree: object, closed: list[str]) -> None:
    house = await build(enrolment={"ways": closed})
    answer = await post(house, "/auth/totp", tree)
    assert (answer.status, answer.reason) == (403, "not_permitted")
    assert {"ticket": "a ticket", "munge": "enroll-me"}[closed[0]] in str(answer.json["hint"])


async def test_a_session_that_may_add_none_is_told(build: Build) -> None:
    house = await build(enrolment={"ways": ["administrator"]})
    assert (await post(house, "/auth/totp", {}, fakes.bearer(await house.token()))).reason == "not_permitted"


@pytest.mark.parametrize(("ways", "hint"), [(["munge"], "enroll-me"), (["ticket"], "--ticket"), (["administrator"], "enroll USER")])
async def test_somebody_without_a_second_factor_is_told_the_open_way(build: Build, ways: list[str], hint: str) -> None:
    house = await build(enrolment={"ways": ways})
    answer = await login(house, "123456")
    assert (answer.reason, hint in str(answer.json["hint"])) == ("enrolment_required", True)


# What stays behind.


async def test_the_trail_has_who_enrolled_how_and_no_secret(house: House) -> None:
    begun = await redeem(house, await ticket(house), name="telephone")
    ended = await confirm(house, begun)
    lines = await house.audit()
    assert [(line["event"], line["user"]) for line in lines] == [("enrol_begin", "carol"), ("enrol", "carol")]
    assert all((line["cause"], line["target"], line["name"]) == ("by_ticket", begun.json["id"], "telephone") for line in lines)
    told = json.dumps(lines) + house.log
    codes = ended.json["recovery_codes"]
    assert isinstance(codes, list)
    assert not any(secret in told for secret in (begun.json["secret"], begun.json["token"], *codes, *house.said))


async def test_the_trail_has_why_a_ticket_was_refused(house: House) -> None:
    await redeem(house, await ticket(house, "dave"), "dave")
    await redeem(house, new_ticket("carol", lifetime=1.0, now=0.0).text)
    assert [line["cause"] for line in await house.audit("refusal")] == ["ticket_and_not_in_required_group", "ticket_refused"]


async def test_what_is_removed_is_in_the_trail(house: House) -> None:
    token = await fresh_session(house)
    begun = await post(house, "/auth/totp", {}, fakes.bearer(token))
    await house.ask("DELETE", f"/auth/totp/{begun.json['id']}", fakes.bearer(token))
    (line,) = await house.audit("disenrol")
    assert (line["user"], line["target"]) == ("alice", begun.json["id"])


async def test_the_picture_is_inert(house: House) -> None:
    picture = str((await redeem(house, await ticket(house))).json["qr_svg"])
    assert picture.startswith("<svg ")
    assert "script" not in picture
    assert " on" not in picture


async def test_a_ticket_in_an_address_is_not_logged(house: House) -> None:
    text = await ticket(house)
    assert (await house.ask("POST", f"/auth/totp?ticket={text}", body=b"{}")).reason == "bad_request"
    assert text not in house.log + json.dumps(await house.audit())
