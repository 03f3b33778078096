"""The accounts of the site are in its private /etc, and nowhere else."""

from __future__ import annotations

from pathlib import Path

from deploy.site.accounts import FIRST_PERSON, PEOPLE, SERVICE_USERS, Account, accounts, choose_ids, merged
from deploy.site.layout import Layout

HOST = "root:x:0:0:root:/root:/bin/bash\nslurm:x:64030:64030::/nonexistent:/usr/sbin/nologin\nhan:x:70001:70001::/home/han:/bin/sh\n"


def test_numbers_that_the_host_uses_are_left_to_it() -> None:
    taken = {FIRST_PERSON, FIRST_PERSON + 2}
    ids = choose_ids(lambda number: number in taken)
    assert (ids["alice"], ids["bob"]) == (FIRST_PERSON + 1, FIRST_PERSON + 3)


def test_nobody_shares_a_number() -> None:
    ids = choose_ids(lambda _: False)
    assert len(set(ids.values())) == len(PEOPLE) + len(SERVICE_USERS)


def test_people_whom_a_crowded_host_pushes_on_do_not_meet_the_service_users() -> None:
    ids = choose_ids(lambda number: FIRST_PERSON <= number < FIRST_PERSON + 98)
    assert len(set(ids.values())) == len(ids)


def test_our_lines_replace_the_hosts_of_the_same_name_or_number() -> None:
    assert merged(HOST, ["slurm", "alice"], [70103, 70001], ["alice:…", "slurm:…"]).splitlines() == [
        "root:x:0:0:root:/root:/bin/bash",
        "alice:…",
        "slurm:…",
    ]


def test_an_account_has_a_group_of_its_own() -> None:
    account = Account(name="alice", number=70001, home=Path("/site/home/alice"), login_shell="/bin/sh")
    assert account.passwd_line() == "alice:x:70001:70001::/site/home/alice:/bin/sh"
    assert account.group_line() == "alice:x:70001:"


def test_only_people_can_log_in() -> None:
    everybody = accounts(Layout.at(Path("/site")), choose_ids(lambda _: False))
    assert [account.name for account in everybody if account.login_shell == "/bin/sh"] == list(PEOPLE)
