"""``slurm-gateway policy show | explain``: who may call what, and why; answers from the configuration and the directory, never from Slurm."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.cli.configuration import configuration
from gateway.cli.people import user_name
from gateway.config import Config, Rule
from gateway.config.policy import REQUIRED
from gateway.config.values import duration_text, parse_duration
from gateway.errors import CommandError, CredentialsRefused, DirectoryUnavailable, NotPermitted, Refusal
from gateway.policy import scopes
from gateway.policy.networks import address_of
from gateway.policy.path import canonical
from gateway.policy.route import Route, is_proxied, route
from gateway.policy.rules import BUILT_IN, KINDS, Decision, Request, Rules
from gateway.signin.account import Account, Denied
from gateway.signin.directory import LdapDirectory
from gateway.slurm.names import NameRules, Subject

_USAGE = 2


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("policy", help="show the rules, and explain which one decides", description=__doc__)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    shown = actions.add_parser("show", help="print the rules in force as TOML, to start one's own from")
    shown.add_argument("--json", action="store_true", help="print them as a JSON list")
    shown.set_defaults(run=show)
    explained = actions.add_parser("explain", help="say which rule decides about a request, and why no other; exit code 0 allowed, 1 refused")
    explained.add_argument("--user", required=True, metavar="USER", help="the user as Slurm spells it; the directory tells the groups")
    explained.add_argument("--method", required=True, metavar="METHOD", help="GET, POST or DELETE")
    explained.add_argument("--path", required=True, metavar="PATH", help="the path as it is sent, in whatever spelling")
    explained.add_argument("--cluster", metavar="CLUSTER", help="instead of /clusters/CLUSTER in the path")
    explained.add_argument("--address", metavar="ADDRESS", default="unknown", help="where the client is; in no network without it")
    explained.add_argument("--kind", choices=KINDS, default=KINDS[0], help="how the request presents itself")
    explained.add_argument("--second-factor-age", metavar="AGE", default="0s", help="how long ago it was proved (3m, 2h); just now without it")
    explained.add_argument("--groups", metavar="A,B", help="do not ask the directory, but take these groups")
    explained.add_argument("--scope", action="append", metavar="SCOPE", help="a scope of the token, for --kind token; may be repeated")
    explained.add_argument("--json", action="store_true", help="print the explanation as a JSON object")
    explained.set_defaults(run=explain)


def show(arguments: argparse.Namespace) -> int:
    """Print the rules in force."""
    policy = configuration(arguments).policy
    rules = BUILT_IN if policy.rules is None else policy.rules
    if arguments.json:
        sys.stdout.write(json.dumps([_tree(rule) for rule in rules]) + "\n")
    else:
        whose = "The built-in rules, in force because the configuration has none." if policy.rules is None else "The rules of the configuration."
        sys.stdout.write(f"# {whose} The first that matches decides; what none matches is denied.\n{toml(rules)}")
    return 0


def toml(rules: Sequence[Rule]) -> str:
    """Return rules as the configuration has them; a JSON string or list of strings is one of TOML's too."""
    return "".join("\n[[policy.rules]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in _tree(rule).items()) for rule in rules)


def _tree(rule: Rule) -> dict[str, Any]:
    return rule.model_dump(mode="json", exclude_none=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Explanation:
    """What would become of a request: the refusal, if there is one, and how far it came before."""

    request: Request
    age: float
    decision: Decision | None
    refusal: Refusal | None

    def tree(self) -> dict[str, object]:
        """Return it for a program."""
        asked, decision, refusal = self.request, self.decision, self.refusal
        return {
            "user": asked.username,
            "groups": sorted(asked.groups),
            "method": asked.method,
            "path": asked.path,
            "cluster": asked.cluster or None,
            "address": asked.address,
            "kind": asked.kind,
            "second_factor_age": self.age,
            "allowed": refusal is None,
            "rule": decision.rule if decision else None,
            "passed_over": [{"rule": name, "why": why} for name, why in decision.why] if decision else [],
            "status": refusal.status if refusal else None,
            "reason": refusal.reason if refusal else None,
            "cause": refusal.cause if refusal else None,
            "detail": refusal.detail if refusal else None,
        }

    def lines(self) -> list[str]:
        """Return it for a person."""
        asked, decision, refusal = self.request, self.decision, self.refusal
        groups = ", ".join(sorted(asked.groups)) or "no group"
        proved = f"proved {duration_text(self.age)} ago" if self.age else "just proved"
        # A path that was refused may have come from a log, and may hold anything.
        path = asked.path if asked.path.isprintable() else ascii(asked.path)
        lines = [
            f"{asked.username}, in {groups}, by {asked.kind}, from address {asked.address}, second factor {proved}:",
            f"  {asked.method} {path}" + (f" on cluster {asked.cluster}" if asked.cluster else ""),
        ]
        if decision is not None:
            lines += [f"rule {name} does not match: {why}" for name, why in decision.why]
            lines.append(f"rule {decision.rule} decides: {_verdict(decision)}")
        if refusal is None:
            return [*lines, "allowed: the request goes to Slurm, which has the last word"]
        return [*lines, f"refused: {refusal.status} {refusal.reason} ({refusal.cause}): {refusal.detail}"]


def _verdict(decision: Decision) -> str:
    if decision.stale_after is not None:
        return f"allow, but with a second factor proved within {duration_text(decision.stale_after)} only"
    return "allow" if decision.allowed else "deny"


def explain(arguments: argparse.Namespace) -> int:
    """Print the explanation; return 0 when the request would be let through, else 1."""
    config, user = configuration(arguments), user_name(arguments.user)
    age = _age(arguments.second_factor_age)
    if arguments.address != "unknown" and address_of(arguments.address) is None:
        raise CommandError(f"{arguments.address!r} is no address", "Give an IPv4 or IPv6 address, or leave --address out.", exit_code=_USAGE)
    groups, barred = _groups(config, user, arguments.groups)
    explanation = _explained(config, arguments, groups, barred, age)
    sys.stdout.write((json.dumps(explanation.tree()) if arguments.json else "\n".join(explanation.lines())) + "\n")
    return 0 if explanation.refusal is None else 1


def _explained(config: Config, arguments: argparse.Namespace, groups: frozenset[str], barred: Refusal | None, age: float) -> _Explanation:
    """Go the way that a request goes, as far as it comes."""
    now, way, decision, refused = time.time(), None, None, None
    try:
        way = _way(config, arguments)
    except Refusal as refusal:
        refused = refusal
    request = Request(
        username=arguments.user,
        groups=groups,
        method=arguments.method,
        path=way.path if way else arguments.path,
        cluster=way.cluster if way else "",
        address=arguments.address,
        kind=arguments.kind,
        second_factor_at=now - age,
    )
    if way is not None:
        decision = Rules.of(config.policy).explain(request, now)
        texts = tuple(arguments.scope) if arguments.scope and arguments.kind == "token" else scopes.EVERYTHING
        refused = scopes.refusal(texts, request.method, request.path) or decision.refusal()
    return _Explanation(request=request, age=age, decision=decision, refusal=barred or refused)


def _way(config: Config, arguments: argparse.Namespace) -> Route:
    """Return where the path leads; raise the refusal that the gateway would answer with, or CommandError for a path that is its own."""
    path = arguments.path
    if arguments.cluster is not None:
        if path.startswith("/clusters/"):
            raise CommandError("the path names a cluster itself", "Leave out --cluster, or /clusters/NAME.", exit_code=_USAGE)
        if arguments.cluster not in config.clusters:
            raise CommandError(f"there is no cluster {arguments.cluster!r}", f"There are: {', '.join(sorted(config.clusters))}.", exit_code=_USAGE)
        path = f"/clusters/{arguments.cluster}{path}" if path.startswith("/") else path
    target = canonical(path)
    if not is_proxied(target.path):
        hint = "The policy is asked about those alone: /slurm/, /slurmdb/, /openapi."
        raise CommandError(f"{target.path} is none of Slurm's paths", hint, exit_code=_USAGE)
    return route(target.path, arguments.method, config.slurm.default_cluster, config.clusters)


def _age(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise CommandError(f"--second-factor-age: {error}", "Write 90s, 3m, 2h or 1d.", exit_code=_USAGE) from None


def _groups(config: Config, user: str, given: str | None) -> tuple[frozenset[str], Refusal | None]:
    """Return the groups of somebody, and why they could not even sign in, if they could not."""
    if given is not None:
        named, known = {name for name in given.split(",") if name}, {REQUIRED, *config.directory.groups}
        if unknown := sorted(named - known):
            raise CommandError(f"no group is called {', '.join(unknown)}", f"The policy knows: {', '.join(sorted(known))}.", exit_code=_USAGE)
        return frozenset(named), None
    try:
        account = asyncio.run(_account(config, user))
    except DirectoryUnavailable as error:
        raise CommandError(f"the directory does not answer: {error.cause}", "See to the directory, or give the groups with --groups.") from None
    if isinstance(account, Denied):
        return frozenset(), CredentialsRefused(account.cause)
    cause = _barred(config, account)
    return account.groups, NotPermitted(cause) if cause else None


def _barred(config: Config, account: Account) -> str | None:
    names = NameRules.of(config.slurm.slurm_user, config.slurm.reserved_users, config.slurm.minimum_uid)
    cause = names.refusal(Subject(username=account.username, uid=account.uid))
    return cause or account.barred or (None if account.member else "not_in_required_group")


async def _account(config: Config, user: str) -> Account | Denied:
    directory = LdapDirectory(config.directory)
    try:
        return await directory.account(user)
    finally:
        directory.close()
