"""Getting in without what it takes, through real nginx and the gateway down to the real directory.

Each table is tried with everything else right, so that what it holds is all that stands in the way; and afterwards the one-time code still opens
the door, which it would not had any of the attempts got as far as to use it.
"""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import pytest

from tests.system.chain import SENT_ON, Chain, at_once, chain, new_address
from tests.system.support import Answer, HeaderList, Site, one_time_code

V = TypeVar("V")
PING = "/slurm/v0.0.36/ping"
LOGIN = "/auth/login"
REFUSED, MALFORMED = (401, "credentials_refused"), (400, "bad_request")
# Nothing is counted here, so that all of many attempts are looked at.
UNCOUNTED = "".join(f"{name} = 1000\n" for name in ("account_address", "account", "address", "codes", "codes_hour", "codes_day"))


def basic(pair: str | bytes, otp: str | bytes) -> HeaderList:
    raw = pair.encode("utf-8", "surrogatepass") if isinstance(pair, str) else pair
    header = otp if isinstance(otp, str) else otp.decode("latin-1")
    return [("Authorization", f"Basic {base64.b64encode(raw).decode()}"), ("X-OTP", header)]


def by_json(site: Site, username: object, password: object, otp: object) -> Answer:
    body = json.dumps({"username": username, "password": password, "otp": otp}).encode()
    return site.ask("POST", LOGIN, headers=[("Content-Type", "application/json")], body=body, source=new_address())


def by_basic(site: Site, method: str, path: str, pair: str | bytes, otp: str | bytes) -> Answer:
    return site.ask(method, path, headers=basic(pair, otp), body=b"" if method == "POST" else None, source=new_address())


def outcomes(call: Callable[[V], Answer], cases: Mapping[str, V]) -> dict[str, tuple[int, str | None]]:
    answers = at_once(call, cases)
    assert not any(b"sgw_" in answer.body for answer in answers.values())
    return {name: (answer.status, answer.reason) for name, answer in answers.items()}


def opens(site: Site, user: str, code: str) -> bool:
    """Whether the code was left unused by what was tried with it."""
    return site.login(user, code, source=new_address()).status == 200


@pytest.fixture(scope="module")
def uncounted(site: Site) -> Iterator[Chain]:
    """nginx and two workers on the site's store, where no number of failures is too many."""
    with chain(site, settings={"throttle": UNCOUNTED, **SENT_ON}, workers=2, nginx={"burst=50": "burst=5000"}) as started:
        yield started


# ---- Passwords that a directory might take for none (RFC 4513 section 5.1.2) -----------------------------------------------------------------


def bad_passwords(right: str) -> dict[str, tuple[object, tuple[int, str]]]:
    return {
        "empty": ("", REFUSED),
        "a space": (" ", REFUSED),
        "white space": ("\t\r\n\v\f", REFUSED),
        "a space of another alphabet": ("\u00a0\u3000", REFUSED),
        "NUL": ("\0", REFUSED),
        "NUL before the right one": ("\0" + right, REFUSED),
        "NUL behind the right one": (right + "\0", REFUSED),
        "NUL within": (right[:4] + "\0" + right[4:], REFUSED),
        "longer than any": ("x" * 2000, REFUSED),
        "half a character": ("\ud800", REFUSED),
        "null": (None, MALFORMED),
        "true": (True, MALFORMED),
        "nought": (0, MALFORMED),
        "a list": ([right], MALFORMED),
        "an empty list": ([], MALFORMED),
        "an object": ({"": right}, MALFORMED),
    }


def test_a_password_that_is_none_opens_nothing(site: Site) -> None:
    code, cases = site.fresh_code("bob"), bad_passwords(site.password("bob"))
    before = len(site.audit_lines(cause="password_malformed"))
    got = outcomes(lambda case: by_json(site, "bob", case[0], code), cases)
    assert got == {name: expected for name, (_, expected) in cases.items()}
    # None of them came as far as the directory, which has its own ideas of an empty one.
    assert len(site.audit_lines(cause="password_malformed")) - before == list(got.values()).count(REFUSED)
    assert opens(site, "bob", code)


def test_a_sign_in_that_says_two_things_or_one_too_few_opens_nothing(site: Site) -> None:
    code, right = site.fresh_code("bob"), json.dumps(site.password("bob"))
    bodies = {
        "two passwords, the empty one last": f'{{"username":"bob","password":{right},"password":"","otp":"{code}"}}',
        "two passwords, the empty one first": f'{{"username":"bob","password":"","password":{right},"otp":"{code}"}}',
        "two names": f'{{"username":"root","username":"bob","password":{right},"otp":"{code}"}}',
        "no password": f'{{"username":"bob","otp":"{code}"}}',
        "no code": f'{{"username":"bob","password":{right}}}',
        "one key more": f'{{"username":"bob","password":{right},"otp":"{code}","admin":true}}',
        "a list": f'["bob",{right},"{code}"]',
        "a list of one": f'[{{"username":"bob","password":{right},"otp":"{code}"}}]',
        "a form": f"username=bob&password={site.password('bob')}&otp={code}",
        "two documents": f'{{"username":"bob","password":{right},"otp":"{code}"}}{{}}',
    }
    got = outcomes(lambda body: site.ask("POST", LOGIN, body=body.encode(), source=new_address()), bodies)
    assert got == dict.fromkeys(bodies, MALFORMED)
    assert opens(site, "bob", code)


def test_basic_credentials_that_are_none_open_nothing(site: Site) -> None:
    code, right = site.fresh_code("bob"), site.password("bob")
    pairs: dict[str, tuple[str | bytes, tuple[int, str]]] = {
        "no password": ("bob:", REFUSED),
        "a space": ("bob: ", REFUSED),
        "NUL": ("bob:\0", REFUSED),
        "NUL behind the right one": (f"bob:{right}\0", REFUSED),
        "no name": (f":{right}", REFUSED),
        "nothing but the colon": (":", REFUSED),
        "NUL behind the name": (f"bob\0:{right}", REFUSED),
        "no colon": ("bob", MALFORMED),
        "nothing": ("", MALFORMED),
        "no UTF-8": (b"bob:\xff\xfe", MALFORMED),
    }
    cases = {f"{method} {name}": (method, path, pair) for method, path in (("POST", LOGIN), ("GET", PING)) for name, (pair, _) in pairs.items()}
    expected = {f"{method} {name}": outcome for method in ("POST", "GET") for name, (_, outcome) in pairs.items()}
    assert outcomes(lambda case: by_basic(site, *case, code), cases) == expected
    assert opens(site, "bob", code)


# ---- Names that mean more, or somebody else ----------------------------------------------------------------------------------------------------

FILTERS = ["*", "b*", "b*b", "bob*", "(bob)", "bob)(uid=*", "*)(|(uid=*", "bob)(&(objectClass=*)", "bob)(!(uid=x", "\\62ob", "bob\\2a", "&", "|", "!"]
DNS = ["uid=bob", "uid=bob,ou=people,dc=demo,dc=example", "bob,ou=people", "uid=bob+cn=x", "bob;x", 'b"ob', "bob#", "<bob>", "bob=", "bob/", "", "."]
WITH_NUL = ["\0", "\0bob", "bob\0", "b\0ob", "bob\0)(uid=*"]
SPACES = [" bob", "bob ", " bob ", "bob\t", "bob\n", "\r\nbob", "\u00a0bob", "bob\u3000"]
LOOK_ALIKES = [
    "b\u043eb",  # a Cyrillic o
    "\uff42\uff4f\uff42",  # full-width
    "\u1d47\u1d52\u1d47",  # superscript
    "\U0001d41b\U0001d428\U0001d41b",  # mathematical bold
    "\u24d1\u24de\u24d1",  # in circles
    "b\u00bab",  # the ordinal's o, which compatibility folds into one
    "bo\u0062\u0301",
    "b\u00f6b",
]
ZERO_WIDTH = [
    "\u200bbob",
    "bo\u200bb",
    "bob\u200d",
    "bob\u00ad",
    "\ufeffbob",
    "bob\u2060",
    "bob\u202e",
    "\u202abob\u202c",
    "bob\ufe0f",
    "bob\U000e0020",
]


def test_a_name_that_is_not_bobs_is_not_bob(site: Site) -> None:
    code, right = site.fresh_code("bob"), site.password("bob")
    names = {ascii(name): name for name in FILTERS + DNS + WITH_NUL + SPACES + LOOK_ALIKES + ZERO_WIDTH}
    assert outcomes(lambda name: by_json(site, name, right, code), names) == dict.fromkeys(names, REFUSED)
    assert opens(site, "bob", code)


def test_a_name_that_is_no_text_is_malformed(site: Site) -> None:
    code, right = site.fresh_code("bob"), site.password("bob")
    values: list[object] = [None, True, 0, 33, 1.5, [], ["bob"], ["bob", "root"], {}, {"uid": "bob"}, {"$ne": None}, [["bob"]]]
    got = outcomes(lambda value: by_json(site, value, right, code), {repr(value): value for value in values})
    assert got == {repr(value): MALFORMED for value in values}
    assert opens(site, "bob", code)


def test_a_code_used_under_one_spelling_of_a_name_is_used_under_all(site: Site) -> None:
    site.gateway("users", "unlock", "bob")  # whatever else was tried as bob within five minutes
    code, right = site.fresh_code("bob"), site.password("bob")
    assert by_json(site, "BoB", right, code).json["username"] == "bob"
    got = outcomes(lambda name: by_json(site, name, right, code), {name: name for name in ("bob", "BOB", "BoB", "bOB")})
    assert set(got.values()) == {REFUSED}


# ---- Codes that are none -----------------------------------------------------------------------------------------------------------------------


def in_digits_from(code: str, zero: int) -> str:
    return "".join(chr(zero + int(digit)) for digit in code)


def bad_codes(code: str) -> dict[str, str]:
    other_digits = {
        "full-width": 0xFF10,
        "Arabic-Indic": 0x660,
        "Devanagari": 0x966,
        "mathematical bold": 0x1D7CE,
        "segmented": 0x1FBF0,
        "subscript": 0x2080,
    }
    lengths = {f"{length} digits": (code + code)[:length] for length in range(13) if length != len(code)}
    return {
        **{name: in_digits_from(code, zero) for name, zero in other_digits.items()},
        "superscript": code.translate(str.maketrans("0123456789", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")),
        "one full-width digit": code[:5] + in_digits_from(code[5], 0xFF10),
        **lengths,
        "a nought in front": "0" + code,
        "a space in front": " " + code,
        "a space behind": code + " ",
        "a space within": f"{code[:3]} {code[3:]}",
        "a line's end": code + "\n",
        "NUL": code + "\0",
        "NUL in front": "\0" + code,
        "a sign": "+" + code,
        "a fraction": code + ".0",
        "an underscore": f"{code[:3]}_{code[3:]}",
        "two": f"{code},{code}",
        "a zero-width space": code + "\u200b",
    }


def test_what_only_looks_like_the_code_opens_nothing(site: Site) -> None:
    code, right = site.fresh_code("bob"), site.password("bob")
    cases = bad_codes(code)
    got = outcomes(lambda otp: by_json(site, "bob", right, otp), cases)
    assert got == dict.fromkeys(cases, REFUSED)
    assert opens(site, "bob", code)


def test_what_only_looks_like_the_code_carries_no_request(site: Site) -> None:
    code, pair = site.fresh_code("bob"), f"bob:{site.password('bob')}"
    # White space around a value is no part of it (RFC 9110 section 5.5); what ends a line cannot stand in one.
    cases = {name: value for name, value in bad_codes(code).items() if value == value.strip() and not {"\0", "\n"} & set(value)}
    got = outcomes(lambda otp: by_basic(site, "GET", PING, pair, otp.encode()), cases)
    assert got == dict.fromkeys(cases, REFUSED)
    assert opens(site, "bob", code)


def test_a_code_that_is_no_text_is_malformed(site: Site) -> None:
    code, right = site.fresh_code("bob"), site.password("bob")
    values: list[object] = [int(code), float(code), [code], [code, "000000"], {"": code}, None, True, list(code), [int(code)]]
    got = outcomes(lambda otp: by_json(site, "bob", right, otp), {repr(value): value for value in values})
    assert got == {repr(value): MALFORMED for value in values}
    assert opens(site, "bob", code)


# ---- A used code, whichever way it comes --------------------------------------------------------------------------------------------------------

WAYS: dict[str, Callable[[Site, str], Answer]] = {
    "login": lambda site, code: by_json(site, "bob", site.password("bob"), code),
    "login in capitals": lambda site, code: by_json(site, "BOB", site.password("bob"), code),
    "login by Basic": lambda site, code: by_basic(site, "POST", LOGIN, f"bob:{site.password('bob')}", code),
    "one shot": lambda site, code: by_basic(site, "GET", PING, f"bob:{site.password('bob')}", code),
    "who am I": lambda site, code: by_basic(site, "GET", "/auth/session", f"bob:{site.password('bob')}", code),
}


@pytest.mark.parametrize("first", ["login", "one shot"])
def test_a_code_used_in_one_way_is_used_in_every_other_and_at_every_other_worker(site: Site, uncounted: Chain, first: str) -> None:
    code = site.fresh_code("bob")
    assert WAYS[first](site, code).status == 200
    again = {f"{name}, {time_}": way for name, way in WAYS.items() for time_ in ("once", "twice")}
    assert outcomes(lambda way: way(uncounted.site, code), again) == dict.fromkeys(again, REFUSED)


def test_of_two_hundred_at_once_with_one_code_in_every_way_and_at_every_worker_one_gets_in(site: Site, uncounted: Chain) -> None:
    code = site.fresh_code("bob")
    doors = [uncounted.site, uncounted.site, uncounted.site, site]
    calls = {f"{name} {number}": (way, doors[number % 4]) for number in range(40) for name, way in WAYS.items()}
    assert len(calls) == 200
    answers = Counter(answer.status for answer in at_once(lambda call: call[0](call[1], code), calls, threads=32).values())
    assert answers[200] == 1
    assert answers[401] >= 150  # looked at, and refused: what the site's own throttle stopped is not what is tried here
    assert answers.total() == answers[200] + answers[401] + answers[429] + answers[503]


def test_a_code_older_than_one_that_was_used_is_refused_in_every_way(site: Site, uncounted: Chain) -> None:
    code = site.fresh_code("bob")
    assert by_json(site, "bob", site.password("bob"), one_time_code(site.secret("bob"), int(time.time() // 30) + 1)).status == 200
    assert outcomes(lambda way: way(uncounted.site, code), WAYS) == dict.fromkeys(WAYS, REFUSED)


def test_a_code_that_opened_or_refreshed_a_session_does_neither_again(site: Site, uncounted: Chain) -> None:
    code = site.fresh_code("bob")
    later = one_time_code(site.secret("bob"), int(time.time() // 30) + 1)
    bearer = [("Authorization", f"Bearer {by_json(site, 'bob', site.password('bob'), code).json['token']}")]

    def step_up(otp: str) -> tuple[int, str | None]:
        answer = uncounted.site.ask("POST", "/auth/stepup", headers=bearer, body=json.dumps({"otp": otp}).encode(), source=new_address())
        return answer.status, answer.reason

    assert [step_up(code), step_up(later), step_up(later), step_up(code)] == [REFUSED, (200, None), REFUSED, REFUSED]
    assert outcomes(lambda way: way(uncounted.site, later), WAYS) == dict.fromkeys(WAYS, REFUSED)
