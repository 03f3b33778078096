from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.signin.directory.steps import Step, look
from gateway.slurm.names import NameRules
from tests.unit.signin.directory import slapd
from tests.unit.signin.directory.conftest import Stranger, settings
from tests.unit.signin.directory.slapd import GROUPS, PEOPLE, USERS, Slapd

NAMES = NameRules.of("slurm", ("odd",), 1000)
YEAR = 365 * 86400


async def steps(server: Slapd, typed: str | None = None, *, now: float | None = None, **changes: object) -> dict[str, Step]:
    wanted = {"urls": [server.secure_url], "ca_file": str(server.ca_file), **changes}
    clock = time.time if now is None else lambda: now
    return {step.step: step async for step in look(settings(server, **wanted), NAMES, typed, clock)}


def outcomes(found: dict[str, Step]) -> dict[str, str]:
    return {name: step.outcome for name, step in found.items()}


def said(found: dict[str, Step], step: str) -> str:
    assert found[step].outcome == "ok" or step == "group required" or found[step].hint, f"{step} has no hint"
    return f"{found[step].outcome}: {found[step].found}"


async def test_all_that_is_well_is_told(server: Slapd) -> None:
    found = await steps(server, "alice", required_group=USERS, groups={"chain": f"cn=chain-0,{GROUPS}"})
    assert set(outcomes(found).values()) == {"ok"}
    assert list(found) == [
        f"connect {server.secure_url}",
        f"bind {server.secure_url}",
        "user_base",
        "group required",
        "group chain",
        "entry",
        "user",
        "account",
        "member required",
        "member chain",
        "token",
    ]
    assert found["entry"].found == f"uid=alice,{PEOPLE}"
    assert found["user"].found == "Slurm user alice, uid 1001"
    assert "the certificate expires" in found[f"connect {server.secure_url}"].found


async def test_nobody_is_looked_up_when_nobody_is_named(server: Slapd) -> None:
    assert "user" not in await steps(server)


async def test_a_certificate_that_soon_expires_is_noted(server: Slapd) -> None:
    found = await steps(server, now=time.time() + 45 * 86400)
    assert said(found, f"connect {server.secure_url}").startswith("note: TLS; the certificate expires ")


async def test_a_connection_without_tls_is_noted(server: Slapd) -> None:
    assert said(await steps(server, urls=[server.url]), f"connect {server.url}") == "note: without TLS"


async def test_each_server_is_looked_at_and_one_that_serves_is_asked(server: Slapd, strangers: Callable[..., Stranger]) -> None:
    silent = strangers()
    found = await steps(server, urls=["ldap://127.0.0.1:1", silent.url, server.url, server.secure_url], timeout="200ms")
    assert said(found, "connect ldap://127.0.0.1:1").startswith("failed: ConnectionRefusedError")
    assert said(found, f"bind {silent.url}").endswith("no answer in time")
    assert (found[f"bind {server.url}"].outcome, found[f"bind {server.secure_url}"].outcome, found["user_base"].outcome) == ("ok", "ok", "ok")


async def test_a_server_of_another_authority_is_told_to_be_one(server: Slapd) -> None:
    found = await steps(server, ca_file=str(server.other_ca_file))
    assert "SSLCertVerificationError" in said(found, f"connect {server.secure_url}")
    assert said(found, "directory") == "failed: no server serves"


async def test_a_service_account_that_is_refused_is_told(server: Slapd) -> None:
    found = await steps(server, bind_dn=f"cn=absent,{slapd.BASE}")
    assert "INVALID_CREDENTIALS" in said(found, f"bind {server.secure_url}")
    assert slapd.SERVICE_PASSWORD not in str(found)


async def test_a_password_file_that_others_may_read_is_told(server: Slapd, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(slapd.SERVICE_PASSWORD)
    password.chmod(0o644)
    assert "chmod" in said(await steps(server, bind_password_file=str(password)), f"bind {server.secure_url}")


async def test_searching_as_nobody_is_told(server: Slapd) -> None:
    found = await steps(server, bind_dn="", bind_password_file=None)
    assert said(found, f"bind {server.secure_url}") == "ok: as nobody (anonymously)"
    assert found["user_base"].outcome == "failed"


@pytest.mark.parametrize("changes", [{"user_base": f"ou=absent,{slapd.BASE}"}, {"user_filter": "(objectClass=absent)"}])
async def test_a_base_below_which_nobody_is_found_is_told(server: Slapd, changes: dict[str, Any]) -> None:
    assert said(await steps(server, **changes), "user_base").startswith("failed: ")


async def test_a_group_that_is_not_there_is_told_and_that_nobody_can_sign_in(server: Slapd) -> None:
    found = await steps(server, "alice", required_group=USERS, groups={"absent": f"cn=absent,{GROUPS}"})
    assert said(found, "group absent").startswith("failed: ")
    assert said(found, "user").startswith("failed: the group absent does not exist")


async def test_that_no_group_is_required_is_noted(server: Slapd) -> None:
    assert said(await steps(server), "group required").startswith("note: none is configured")


@pytest.mark.parametrize(
    ("typed", "step", "text"),
    [
        ("erin", "account", "failed: account_locked"),
        ("gone", "account", "failed: account_expired"),
        ("dave", "member required", "failed: no"),
        ("alice", "member chain", "note: no"),
        ("mallory", "user", "failed: mallory: user_unknown"),
        ("twin", "user", "failed: twin: user_ambiguous"),
        ("robot", "user", "failed: robot: uid_missing_or_malformed"),
        ("manny", "user", "failed: manny: name_missing_or_ambiguous"),
        ("alice@other.example", "user", "failed: alice@other.example: domain_foreign"),
    ],
)
async def test_why_somebody_could_not_sign_in_is_told(server: Slapd, typed: str, step: str, text: str) -> None:
    found = await steps(server, typed, required_group=USERS, groups={"chain": f"cn=chain-5,{GROUPS}"})
    if found[step].outcome == "failed":
        assert said(found, step) == text
    else:
        assert f"{found[step].outcome}: {found[step].found}" == text


@pytest.mark.parametrize(
    ("names", "cause"), [(NameRules.of("alice", (), 1000), "name_reserved"), (NameRules.of("slurm", (), 5000), "uid_below_minimum")]
)
async def test_whom_no_token_is_made_for_is_told(server: Slapd, names: NameRules, cause: str) -> None:
    found = [step async for step in look(settings(server), names, "alice", time.time)]
    assert (found[-1].step, found[-1].outcome, found[-1].found) == ("token", "failed", f"none is ever made: {cause}")
    assert found[-1].hint


async def test_a_server_that_falls_silent_is_told(server: Slapd, strangers: Callable[..., Stranger]) -> None:
    bound = bytes.fromhex("300c02010161070a010004000400")
    found = await steps(server, "alice", urls=[strangers(bound).url], timeout="50ms", required_group=USERS)
    assert [name for name, step in found.items() if step.outcome == "failed"] == ["user_base", "group required", "user"]
