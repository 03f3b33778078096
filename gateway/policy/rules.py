"""Who may call what: ordered rules, of which the first that matches decides, and a no for what none of them names (pure)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from gateway.config import Policy, Rule
from gateway.config.policy import REQUIRED
from gateway.config.values import duration_text
from gateway.errors import NotPermitted, Refusal, SecondFactorStale
from gateway.policy.networks import plain, within
from gateway.policy.pattern import Pattern

DEFAULT = "default"
"""The name of the no that follows the last rule."""

ASK = "Ask your administrators; they can see why with 'slurm-gateway policy explain'."
_DENIED = "The gateway's policy does not permit this call to this account."
KINDS = ("session", "token", "one_shot")
_MAX_CALLS = 1024


def _built_in(name: str, *, methods: Sequence[str] = (), paths: Sequence[str], second_factor_within: str | None = None) -> Rule:
    tree = {"methods": methods or None, "second_factor_within": second_factor_within}
    given = {key: value for key, value in tree.items() if value is not None}
    return Rule.model_validate({"name": name, "effect": "allow", "groups": [REQUIRED], "paths": paths, **given})


# Only what is about jobs, and reads, come without a second factor that is young: whatever else a newer release lets one change is of the
# whole cluster's concern (nodes from 24.05, reservations and partitions later). The two GETs that change something are reconfigure (23.11),
# which comes first for that reason, and requeue (26.05), which is a job's. The version is "*": nobody may get around a rule by writing it
# otherwise.
BUILT_IN = (
    _built_in("accounting-changes", methods=["POST", "DELETE"], paths=["/slurmdb/**"], second_factor_within="5m"),
    _built_in("reconfigure", paths=["/slurm/*/reconfigure/**"], second_factor_within="5m"),
    _built_in("jobs", paths=["/slurm/*/job/**", "/slurm/*/jobs/**"]),
    _built_in("reads", methods=["GET"], paths=["/slurm/**", "/slurmdb/**", "/openapi*", "/openapi/**"]),
    _built_in("cluster-changes", methods=["POST", "DELETE"], paths=["/slurm/**"], second_factor_within="5m"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the rules look at; ``path`` is canonical and without ``/clusters/NAME``, ``second_factor_at`` in seconds since the epoch."""

    username: str
    groups: frozenset[str]
    method: str
    path: str
    cluster: str
    address: str
    kind: str
    second_factor_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a request is allowed, and by which rule.

    ``stale_after`` is set where the rule allows it only to a second factor younger than so many seconds, and this one is older.
    ``why`` has, when it was asked for, each rule before the deciding one, with what in the request did not match.
    """

    allowed: bool
    rule: str
    stale_after: float | None = None
    why: tuple[tuple[str, str], ...] = ()

    @property
    def stale(self) -> bool:
        """Whether a younger second factor is all that is missing."""
        return self.stale_after is not None

    def refusal(self) -> Refusal | None:
        """Return what the sender is told, or None if the request is allowed. The rule is for the inside alone."""
        if self.stale_after is not None:
            age = duration_text(self.stale_after)
            return SecondFactorStale(f"policy:{self.rule}", detail=f"This call needs a second factor that was proved within the last {age}.")
        return None if self.allowed else NotPermitted(f"policy:{self.rule}", detail=_DENIED, hint=ASK)


_NO = Decision(allowed=False, rule=DEFAULT)


@dataclass(frozen=True, slots=True)
class _Criterion:
    """One thing that a rule asks for: the test, and in words what did not match."""

    test: Callable[[Request], bool]
    missed: Callable[[Request], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    name: str
    call: tuple[_Criterion, ...]
    sender: tuple[_Criterion, ...]
    decision: Decision
    stale: Decision
    within: float | None

    @classmethod
    def of(cls, rule: Rule) -> _Compiled:
        allowed, within_ = rule.effect == "allow", rule.second_factor_within
        return cls(
            name=rule.name,
            call=tuple(_call(rule)),
            sender=tuple(_sender(rule)),
            decision=Decision(allowed=allowed, rule=rule.name),
            stale=Decision(allowed=False, rule=rule.name, stale_after=within_),
            within=within_ if allowed else None,
        )

    def decide(self, request: Request, now: float) -> Decision:
        """Decide about a request that matches. A factor proved later than now, by another node's clock, counts by its distance."""
        if self.within is not None and not abs(now - request.second_factor_at) <= self.within:
            return self.stale
        return self.decision


def _call(rule: Rule) -> list[_Criterion]:
    """Return what the rule asks of the call itself: method and path."""
    found = []
    if (methods := rule.methods) is not None:
        found.append(_Criterion(lambda request: request.method in methods, lambda request: f"method: {request.method} is not {_list(methods)}"))
    if rule.paths is not None:
        patterns, texts = tuple(map(Pattern.of, rule.paths)), _list(rule.paths)
        found.append(
            _Criterion(
                lambda request: any(pattern.matches(request.path) for pattern in patterns), lambda request: f"path: {request.path} is not {texts}"
            )
        )
    return found


def _sender(rule: Rule) -> list[_Criterion]:
    """Return what the rule asks of who sends the call, whence, how, and to which cluster."""
    # A kind that the rules do not know, such as a session that may only enrol, is let through by none.
    kinds = rule.kinds or KINDS
    found = [_Criterion(lambda request: request.kind in kinds, lambda request: f"kind: {request.kind} is not {_list(kinds)}")]
    if (clusters := rule.clusters) is not None:
        found.append(_Criterion(lambda request: request.cluster in clusters, lambda request: f"cluster: {request.cluster} is not {_list(clusters)}"))
    if rule.groups is not None:
        groups = frozenset(rule.groups)
        texts = _list(rule.groups)
        found.append(
            _Criterion(
                lambda request: not groups.isdisjoint(request.groups),
                lambda request: f"group: {request.username} is in {', '.join(sorted(request.groups)) or 'no group'}, not in {texts}",
            )
        )
    if rule.networks is not None:
        networks = tuple(map(plain, rule.networks))
        found.append(
            _Criterion(
                lambda request: within(networks, request.address),
                lambda request: f"network: {request.address} is not in {_list(tuple(map(str, networks)))}",
            )
        )
    return found


def _list(words: Sequence[str]) -> str:
    return " or ".join(words)


class Rules:
    """A policy ready for use. Which rules a call is about is remembered by method and path; the rest is asked anew each time."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(map(_Compiled.of, rules))
        self._about = lru_cache(maxsize=_MAX_CALLS)(self._look_up)

    @classmethod
    def of(cls, policy: Policy) -> Rules:
        """Return the rules of a configuration, or the built-in ones where it has none."""
        return cls(BUILT_IN if policy.rules is None else policy.rules)

    def decide(self, request: Request, now: float) -> Decision:
        """Return what the first rule that matches says, without ``why``."""
        for rule in self._about(request.method, request.path):
            if all(criterion.test(request) for criterion in rule.sender):
                return rule.decide(request, now)
        return _NO

    def explain(self, request: Request, now: float) -> Decision:
        """Return the same decision, with ``why``."""
        passed: list[tuple[str, str]] = []
        for rule in self._rules:
            missed = [criterion.missed(request) for criterion in (*rule.call, *rule.sender) if not criterion.test(request)]
            if not missed:
                return replace(rule.decide(request, now), why=tuple(passed))
            passed.append((rule.name, "; ".join(missed)))
        return replace(_NO, why=tuple(passed))

    def _look_up(self, method: str, path: str) -> tuple[_Compiled, ...]:
        """Return the rules that the call's method and path match."""
        call = Request(username="", groups=frozenset(), method=method, path=path, cluster="", address="", kind="", second_factor_at=0.0)
        return tuple(rule for rule in self._rules if all(criterion.test(call) for criterion in rule.call))
