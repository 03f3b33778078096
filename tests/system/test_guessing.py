"""Guessing at passwords and codes on the real site, from many addresses of loopback, and not locking the owner out by it."""

from __future__ import annotations

import itertools
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.system.second_gateway import second_gateway
from tests.system.support import Site, one_time_code, wait_for
from tests.system.test_sign_in import basic

# Others may have been here before, in another run on the same site.
_numbers = itertools.count(secrets.randbelow(50_000))


@pytest.fixture
def address() -> str:
    """An address of loopback that nobody else has."""
    number = next(_numbers)
    return f"127.66.{number // 250}.{number % 250 + 1}"


another_address = address


@pytest.fixture(autouse=True)
def _unlocked(site: Site) -> Iterator[None]:
    yield
    for user in ("alice", "bob"):
        site.gateway("users", "unlock", user, check=False)


def wrong(code: str) -> str:
    return f"{(int(code) + 500_000) % 10**6:06d}"


def evaluated(site: Site, address: str, cause: str) -> int:
    return len(site.audit_lines(address=address, cause=cause))


def test_after_ten_wrong_passwords_the_right_one_has_to_wait_as_well(site: Site, address: str) -> None:
    code = site.fresh_code("bob")
    for _ in range(10):
        assert site.login("bob", code, password="wrong", source=address).status == 401
    answer = site.login("bob", code, source=address)
    assert (answer.status, answer.reason) == (429, "throttled")
    assert 0 < int(answer.headers["Retry-After"]) <= 300
    assert answer.json["hint"]


def test_nobody_without_the_password_locks_the_owner_out(site: Site, address: str) -> None:
    assert site.login("bob", site.fresh_code("bob")).status == 200
    for _ in range(11):
        site.login("bob", "123456", password="wrong", source=address)
    assert site.login("bob", "123456", password="wrong", source=address).status == 429
    assert site.login("bob", one_time_code(site.secret("bob"), int(time.time() // 30) + 1)).status == 200


def test_every_spelling_of_a_name_has_one_counter(site: Site, address: str) -> None:
    spellings = itertools.cycle(["bob", "BOB", "Bob", "bOb"])
    statuses = [
        site.ask("POST", "/auth/login", body=f'{{"username":"{name}","password":"wrong","otp":"123456"}}'.encode(), source=address).status
        for name, _ in zip(spellings, range(11), strict=False)
    ]
    assert statuses == [401] * 10 + [429]


def test_of_two_hundred_guesses_at_once_no_more_than_the_limit_are_evaluated(site: Site, address: str) -> None:
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda _: site.login("bob", "123456", password="wrong", source=address), range(200)))
    assert {answer.status for answer in answers} == {401, 429}
    assert evaluated(site, address, "password_refused") == sum(answer.status == 401 for answer in answers) <= 10


def test_guesses_at_three_workers_at_once_share_one_limit(site: Site, address: str) -> None:
    with second_gateway(site) as second, ThreadPoolExecutor(16) as threads:

        def guess(number: int) -> int:
            fields = [*basic(site, "bob", "123456", password="wrong"), ("X-Forwarded-For", address)]
            if number % 3:
                return second.ask("POST", "/auth/login", headers=fields).status
            return site.login("bob", "123456", password="wrong", source=address).status

        statuses = Counter(threads.map(guess, range(200)))
    assert set(statuses) == {401, 429}
    assert statuses[401] <= 10


def test_of_one_code_at_three_workers_two_hundred_times_at_once_one_is_good(site: Site) -> None:
    good = site.fresh_code("bob")
    with second_gateway(site) as second, ThreadPoolExecutor(16) as threads:

        def sign_in(number: int) -> int:
            if number % 3:
                return second.ask("POST", "/auth/login", headers=basic(site, "bob", good)).status
            return site.login("bob", good).status

        statuses = Counter(threads.map(sign_in, range(200)))
    assert statuses[200] == 1
    assert set(statuses) <= {200, 401, 429}


def test_after_five_wrong_codes_the_right_one_has_to_wait_as_well_whichever_way_it_comes(site: Site, address: str, another_address: str) -> None:
    good = site.fresh_code("bob")
    for _ in range(5):
        assert site.login("bob", wrong(good), source=address).status == 401
    for answer in (
        site.login("bob", good, source=another_address),
        site.ask("GET", "/slurm/v0.0.36/ping", headers=basic(site, "bob", good), source=another_address),
        site.login("bob", "aaaa-bbbb-cccc-dddd", source=another_address),
    ):
        assert (answer.status, answer.reason) == (429, "throttled")
        assert 0 < int(answer.headers["Retry-After"]) <= 300


def test_of_two_hundred_codes_at_once_no_more_than_the_limit_are_evaluated(site: Site) -> None:
    good, before = site.fresh_code("bob"), len(site.audit_lines(user="bob", cause="code_wrong"))
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda number: site.login("bob", wrong(good), source=f"127.67.0.{number % 40 + 1}"), range(200)))
    assert {answer.status for answer in answers} == {401, 429}
    assert len(site.audit_lines(user="bob", cause="code_wrong")) - before == 5


def test_wrong_codes_count_only_after_a_right_password(site: Site, address: str, another_address: str) -> None:
    good = site.fresh_code("bob")
    for _ in range(6):
        site.login("bob", wrong(good), password="wrong", source=address)
    assert site.login("bob", good, source=another_address).status == 200


def test_a_restart_forgets_no_failure(site: Site, address: str) -> None:
    for _ in range(10):
        site.login("bob", "123456", password="wrong", source=address)
    site.demo("restart", "gateway")
    wait_for(lambda: site.ask("GET", "/health/live").status == 200, 10, "the gateway")
    assert site.login("bob", "123456", source=address).status == 429


def test_an_administrator_unlocks_an_account(site: Site, address: str) -> None:
    good = site.fresh_code("bob")
    for _ in range(5):
        site.login("bob", wrong(good), source=address)
    assert site.login("bob", good, source=address).status == 429
    assert "5" in site.gateway("users", "unlock", "bob").stdout
    assert site.login("bob", good, source=address).status == 200


def test_somebody_whose_clock_is_off_is_told_so_once_the_password_was_right(site: Site, address: str) -> None:
    site.fresh_code("bob")
    ahead = one_time_code(site.secret("bob"), int(time.time() // 30) + 10)
    answer = site.login("bob", ahead, source=address)
    assert (answer.status, answer.reason, answer.json["title"]) == (401, "credentials_refused", "The code belongs to another time")
    told = site.login("bob", ahead, password="wrong", source=address).json
    assert told["title"] != answer.json["title"]
