from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, CredentialsRefused, CredentialsRequired, Refusal
from gateway.sessions.tokens import make_token
from gateway.signin.credentials import Presented, could_be_a_user, credentials, from_basic, from_json, presented

TOKEN = make_token(bytes(32))
RECOVERY = "abcd-efgh-2345-zyxw"
HEADERS = ("Authorization", "X-SLURM-USER-TOKEN", "X-SLURM-USER-NAME", "X-OTP")
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.text()), st.dictionaries(st.text(), st.text())
)
NAMES = ["alice", "ALICE", "a", "_alice", "a.b-c_d", "33", "root", "x" * 64]
NAMES += ["alice@demo.example", "a.b@demo", "alice@3.example", "DEMO\\alice", "demo.example\\alice", "x" * 64 + "@" + "d" * 64]
NO_NAMES = [
    "",
    " ",
    " alice",
    "alice ",
    "alice\n",
    "alice\0",
    "al ice",
    "-alice",
    ".alice",
    "x" * 65,
    "alice@",
    "@demo.example",
    "alice@@demo.example",
    "alice@demo@demo",
    "alice@demo..example",
    "alice@.example",
    "alice@demo.",
    "alice@-demo",
    "alice@demo-",
    "alice@demo_example",
    "alice @demo.example",
    "alice@demo .example",
    "alice@dem\u043e.example",
    "alice@demo\u200b.example",
    "alice@[127.0.0.1]",
    "alice@" + "d" * 65,
    "alice@" + "d." * 16 + "d",
    "a@" + "d" * 63 + "." + "d" * 63 + "." + "d" * 63 + "." + "d" * 63,
    "x" * 65 + "@demo.example",
    "\\alice",
    "DEMO\\",
    "DEMO\\\\alice",
    "DEMO\\al\\ice",
    "DEMO\\alice@demo.example",
    "DEMO/alice",
    "DEMO\\-alice",
    "DEMO\\alice\n",
    "DEMO\\DC1$",
    "uid=alice,ou=people,dc=demo,dc=example",
    "*",
    "al*",
    "alice)(uid=*",
    "(alice)",
    "alice|bob",
    "alice&",
    "alice\\2a*",
    "аlice",  # noqa: RUF001 - a Cyrillic letter
    "ａlice",  # noqa: RUF001 - a full-width letter
    "ali\u200bce",
    "ali\u00adce",
    "alıce",  # noqa: RUF001 - a dotless i
    "älice",
    "\ud800",
]
NO_PASSWORDS = ["", " ", "\t", "\r\n", "        ", "\u00a0", "\u3000", "\0", "pass\0word", "\0\0", "\ud800", "x" * 1025, "é" * 513]
NO_CODES = [
    "",
    "1" * 65,
    " 123456",
    "123456 ",
    "123 456",
    "123456\n",
    "123456\0",
    "１２３４５６",  # noqa: RUF001 - full-width digits
    "¹²³⁴⁵⁶",
    "٠١٢٣٤٥",
    "१२३४५६",
    RECOVERY + "\n",
]


def basic(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def sent(*headers: tuple[str, str]) -> Callable[[str], list[str]]:
    return lambda name: [value for key, value in headers if key.casefold() == name.casefold()]


@pytest.mark.parametrize("username", NAMES)
def test_a_name_that_could_be_right_is_kept_as_typed(username: str) -> None:
    assert credentials(username, "secret", "123456").username == username


@pytest.mark.parametrize("username", NO_NAMES)
def test_a_name_that_cannot_be_right_is_refused_like_a_wrong_one(username: str) -> None:
    with pytest.raises(CredentialsRefused, match="username_malformed"):
        credentials(username, "secret", "123456")


@pytest.mark.parametrize("password", ["x", " x", "x ", "pass word", "pässwörd", "密码", "*)(&", "x" * 1024, "é" * 512, "\u200b"])
def test_a_password_is_kept_as_typed(password: str) -> None:
    assert credentials("alice", password, "123456").password.reveal() == password.encode()


@pytest.mark.parametrize("password", NO_PASSWORDS)
def test_a_password_that_a_directory_could_take_for_none_never_gets_there(password: str) -> None:
    with pytest.raises(CredentialsRefused, match="password_malformed"):
        credentials("alice", password, "123456")


@pytest.mark.parametrize("otp", ["123456", "000000", RECOVERY, "1234", "pin!123456", "1" * 64])
def test_what_some_second_factor_may_take_for_a_code_is_handed_on(otp: str) -> None:
    assert credentials("alice", "secret", otp).otp == otp


@pytest.mark.parametrize("otp", NO_CODES)
def test_a_code_that_cannot_be_right_is_refused_like_a_wrong_one(otp: str) -> None:
    with pytest.raises(CredentialsRefused, match="code_malformed"):
        credentials("alice", "secret", otp)


@pytest.mark.parametrize("value", [None, 123456, 0, 1.5, True, [], ["alice"], {}, {"a": 1}, b"alice"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_no_string_is_a_malformed_request(value: object, place: int) -> None:
    values: list[object] = ["alice", "secret", "123456"]
    values[place] = value
    with pytest.raises(BadRequest, match="credentials_not_strings"):
        credentials(*values)


@given(ANYTHING, ANYTHING, ANYTHING)
def test_whatever_is_given_for_credentials_is_taken_or_refused(username: object, password: object, otp: object) -> None:
    try:
        found = credentials(username, password, otp)
    except (BadRequest, CredentialsRefused):
        return
    assert found.username.isascii()
    assert found.password.reveal().strip()
    assert found.otp.isascii()


@given(st.text())
def test_any_text_that_could_be_a_user_is_short_printable_ascii_with_one_domain_at_most(typed: str) -> None:
    if could_be_a_user(typed):
        assert len(typed) <= 255
        assert typed.isascii()
        assert typed.isprintable()
        assert " " not in typed
        assert typed.count("@") + typed.count("\\") <= 1


@given(st.from_regex(r"[A-Za-z0-9_.-]{0,70}[@\\\\]?[A-Za-z0-9.-]{0,80}", fullmatch=True))
def test_whatever_could_be_a_user_has_no_empty_part(typed: str) -> None:
    if could_be_a_user(typed):
        assert all(typed.replace("@", "\\").split("\\"))


def test_credentials_do_not_show_the_password() -> None:
    assert "hunter2" not in repr(credentials("alice", "hunter2", "123456"))


@pytest.mark.parametrize(
    "tree", [{"username": "alice", "password": "secret", "otp": "123456"}, {"otp": "123456", "password": "secret", "username": "alice"}]
)
def test_a_login_is_read_from_json(tree: dict[str, str]) -> None:
    found = from_json(json.dumps(tree).encode())
    assert (found.username, found.password.reveal(), found.otp) == ("alice", b"secret", "123456")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"alice"',
        b"{}",
        b"username=alice&password=secret&otp=123456",
        b'{"username": "alice", "password": "secret"}',
        b'{"username": "alice", "password": "secret", "otp": "123456", "admin": true}',
        b'{"username": "alice", "username": "bob", "password": "secret", "otp": "123456"}',
        b'{"username": "alice", "password": "secret", "otp": "123456", "otp": "123456"}',
        b'{"username": "alice", "password": {"a": 1, "a": 2}, "otp": "123456"}',
        b'{"username": "alice", "password": "secret", "otp": 123456}',
        b'{"username": "alice", "password": null, "otp": "123456"}',
        b'{"username": ["alice"], "password": "secret", "otp": "123456"}',
        b'{"username": "alice", "password": "secret", "otp": ["123456"]}',
        b'{"username": "alice", "password": "secret", "otp": "123456"} x',
        b'{"username": "alice", "password": "secret", "otp": "123456",}',
        b'{"Username": "alice", "password": "secret", "otp": "123456"}',
        b'{"username": "alice", "password": "\xff", "otp": "123456"}',
        b"\xff\xfe\x00",
        b"[" * 8000,
        b'{"username":' * 600,
        b"1" * 8000,
        b"NaN",
    ],
    ids=lambda body: repr(body[:60]),
)
def test_a_body_that_is_no_login_is_a_malformed_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        from_json(body)


@pytest.mark.parametrize("field", [{"username": "alice\0"}, {"password": ""}, {"password": "\0"}, {"password": "\ud800"}, {"otp": "１２３４５６"}])  # noqa: RUF001 - full-width digits
def test_json_escapes_bring_nothing_past_the_checks(field: dict[str, str]) -> None:
    with pytest.raises(CredentialsRefused):
        from_json(json.dumps({"username": "alice", "password": "secret", "otp": "123456", **field}).encode())


@given(
    st.one_of(
        st.binary(),
        ANYTHING.filter(lambda value: not isinstance(value, bytes)).map(lambda value: json.dumps(value).encode()),
        st.dictionaries(st.sampled_from(["username", "password", "otp"]), st.one_of(st.text(), st.integers(), st.none())).map(
            lambda tree: json.dumps(tree).encode()
        ),
    )
)
def test_whatever_is_posted_is_taken_or_refused(body: bytes) -> None:
    try:
        from_json(body)
    except (BadRequest, CredentialsRefused) as refusal:
        assert refusal.status in {400, 401}  # noqa: PT017 - both outcomes are right


@pytest.mark.parametrize(
    ("text", "password"),
    [("alice:secret", b"secret"), ("alice:a:b", b"a:b"), ("alice::", b":"), ("alice: x", b" x"), ("alice:pässwörd", "pässwörd".encode())],
)
def test_basic_is_parted_at_the_first_colon(text: str, password: bytes) -> None:
    found = from_basic(basic(text), "123456")
    assert (found.username, found.password.reveal(), found.otp) == ("alice", password, "123456")


@pytest.mark.parametrize(
    "value", ["", "alice:secret", "YWxp Y2U6c2VjcmV0", "YWxpY2U6c2VjcmV0é", "\udcff", basic("alice"), basic(b"alice:\xff"), "===="]
)
def test_basic_that_is_no_base64_of_a_name_and_a_password_is_malformed(value: str) -> None:
    with pytest.raises(BadRequest, match="basic_malformed"):
        from_basic(value, "123456")


@pytest.mark.parametrize("text", ["alice:", "alice: ", "alice:\0", ":secret", "alice\0:secret", " alice:secret", "*:secret"])
def test_basic_brings_nothing_past_the_checks(text: str) -> None:
    with pytest.raises(CredentialsRefused):
        from_basic(basic(text), "123456")


def test_basic_without_a_code_is_told_the_header() -> None:
    with pytest.raises(CredentialsRequired) as caught:
        from_basic(basic("alice:secret"), None)
    assert "X-OTP" in caught.value.hint


@pytest.mark.parametrize(
    ("headers", "who"),
    [
        ([("Authorization", f"Bearer {TOKEN}")], Presented(token=TOKEN)),
        ([("authorization", f"bearer  {TOKEN} ")], Presented(token=TOKEN)),
        ([("X-SLURM-USER-TOKEN", TOKEN)], Presented(token=TOKEN)),
        ([("X-SLURM-USER-TOKEN", TOKEN), ("X-SLURM-USER-NAME", "alice")], Presented(token=TOKEN, claimed_name="alice")),
        ([("Authorization", f"Bearer {TOKEN}"), ("X-SLURM-USER-NAME", "bob")], Presented(token=TOKEN, claimed_name="bob")),
        ([("X-SLURM-USER-TOKEN", TOKEN), ("X-SLURM-USER-NAME", "")], Presented(token=TOKEN, claimed_name="")),
        ([("X-SLURM-USER-TOKEN", "")], Presented(token="")),
        ([("Authorization", "Bearer ")], Presented(token="")),
    ],
)
def test_a_request_presents_a_token(headers: list[tuple[str, str]], who: Presented) -> None:
    assert presented(sent(*headers)) == who


def test_a_request_presents_credentials() -> None:
    found = presented(sent(("Authorization", "BASIC " + basic("alice:secret")), ("X-OTP", "123456"), ("X-SLURM-USER-NAME", "alice")))
    assert found.credentials is not None
    assert (found.credentials.username, found.token, found.claimed_name) == ("alice", None, "alice")


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("values", [(TOKEN, TOKEN), (TOKEN, ""), ("", TOKEN), ("a", "b", "c")])
def test_a_header_that_stands_twice_is_a_malformed_request(name: str, values: tuple[str, ...]) -> None:
    with pytest.raises(BadRequest, match="header_twice"):
        presented(sent(*((name, value) for value in values)))


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", f"Bearer {TOKEN}"), ("X-SLURM-USER-TOKEN", TOKEN)],
        [("Authorization", "Basic " + basic("alice:secret")), ("X-OTP", "123456"), ("X-SLURM-USER-TOKEN", TOKEN)],
        [("Authorization", ""), ("X-SLURM-USER-TOKEN", TOKEN)],
        [("Authorization", f"Bearer {TOKEN}"), ("X-SLURM-USER-TOKEN", "")],
        [("Authorization", f"Bearer {TOKEN}"), ("X-OTP", "123456")],
    ],
)
def test_a_request_that_presents_itself_in_two_ways_is_malformed(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(BadRequest):
        presented(sent(*headers))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-OTP", "123456")],
        [("X-SLURM-USER-NAME", "root")],
        [("Authorization", "")],
        [("Authorization", TOKEN)],
        [("Authorization", "Bearer\t" + TOKEN)],
        [("Authorization", "Negotiate YII=")],
        [("Authorization", 'Digest username="alice"')],
        [("X_SLURM_USER_TOKEN", TOKEN)],
        [("Cookie", f"token={TOKEN}")],
        [("Proxy-Authorization", f"Bearer {TOKEN}")],
    ],
)
def test_a_request_that_presents_nothing_we_know_has_to_sign_in(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(CredentialsRequired):
        presented(sent(*headers))


@pytest.mark.parametrize("header", ["X-SLURM-USER-TOKEN", "Authorization"])
@pytest.mark.parametrize("token", ["eyJhbGciOiJIUzI1NiJ9.eyJzdW4iOiJyb290In0.c2ln", "eyJhbGciOiJub25lIn0.eyJzdW4iOiJyb290In0."])
def test_a_slurm_jwt_from_outside_is_told_apart_and_not_taken(header: str, token: str) -> None:
    with pytest.raises(CredentialsRequired, match="slurm_jwt_presented"):
        presented(sent((header, token if header != "Authorization" else f"Bearer {token}")))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(HEADERS), st.one_of(st.text(), st.sampled_from(["Basic ", "Bearer ", "Basic " + basic("alice:x"), "123456", TOKEN]))
        ),
        max_size=5,
    )
)
def test_whatever_the_headers_say_is_one_sender_or_a_refusal(headers: list[tuple[str, str]]) -> None:
    try:
        who = presented(sent(*headers))
    except Refusal as refusal:
        assert refusal.status in {400, 401}  # noqa: PT017 - both outcomes are right
        return
    assert (who.token is None) != (who.credentials is None)
