"""What a personal token may be used for: ``read``, ``submit``, ``jobs``, ``admin``, or ``METHOD /pattern`` (pure).

Scopes only take away: what they allow is still asked of the policy, and of Slurm. Paths are canonical and come without ``/clusters/NAME``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from gateway.errors import BadRequest, NotPermitted
from gateway.policy.pattern import Pattern
from gateway.policy.route import METHODS, changes_something, is_submission

EVERYTHING = ("*",)
"""The scopes of a session, and of credentials that come with a single request."""

_MAX_SCOPES = 20
_JOBS = (Pattern.of("/slurm/*/job/**"), Pattern.of("/slurm/*/jobs/**"))
_Test = Callable[[str, str], bool]
_NAMED: dict[str, _Test] = {
    "read": lambda method, path: method == "GET" and not changes_something(method, path),
    "submit": is_submission,
    "jobs": lambda method, path: method in METHODS and any(pattern.matches(path) for pattern in _JOBS),
    "admin": lambda method, _: method in METHODS,
}


@dataclass(frozen=True, slots=True)
class Scopes:
    """Compiled scopes; ``texts`` is what the store keeps and people see."""

    texts: tuple[str, ...]
    tests: tuple[_Test, ...]

    def allows(self, method: str, path: str) -> bool:
        """Tell whether one of the scopes allows the call."""
        return any(test(method, path) for test in self.tests)


def parse_scopes(given: object) -> Scopes:
    """Return the scopes that somebody asks for a personal token; raise BadRequest for what is no list of 1 to 20 that we know, each once."""
    if not isinstance(given, list) or not 0 < len(given) <= _MAX_SCOPES or not all(isinstance(text, str) for text in given):
        raise _refused(f"scopes is a list of 1 to {_MAX_SCOPES}")
    if len(set(given)) != len(given):
        raise _refused("a scope is named twice")
    return Scopes(tuple(given), tuple(map(_test_for_token, given)))


@lru_cache(maxsize=1024)
def scopes_of(texts: tuple[str, ...]) -> Scopes:
    """Return the scopes that the store has of a token or a session; what is not understood (any more) allows nothing."""
    return Scopes(texts, tuple(test for text in texts if (test := _known(text)) is not None))


def refusal(texts: tuple[str, ...], method: str, path: str) -> NotPermitted | None:
    """Return what somebody is told whose token has scopes that do not allow the call, or None."""
    if scopes_of(texts).allows(method, path):
        return None
    return NotPermitted(
        "token_scope",
        detail="The scopes of this token do not allow this call.",
        hint=f"The call needs a token with the scope '{needed(method, path)}' or a wider one. Make one, or sign in.",
    )


def needed(method: str, path: str) -> str:
    """Return the narrowest of the named scopes that allows the call."""
    narrow = ("submit", "read", "jobs")
    return next((name for name in narrow if _NAMED[name](method, path)), "admin")


def _known(text: str) -> _Test | None:
    if text == "*":
        return _NAMED["admin"]
    try:
        return _test(text)
    except ValueError:
        return None


def _test_for_token(text: str) -> _Test:
    if text == "*":
        raise _refused("'*' is a session's; a token that may do everything has the scope 'admin'")
    try:
        return _test(text)
    except ValueError as error:
        raise _refused(str(error)) from None


def _test(text: str) -> _Test:
    """Return what a scope allows; raise ValueError, whose text repeats nothing of what was sent."""
    if named := _NAMED.get(text):
        return named
    method, blank, pattern = text.partition(" ")
    if not blank or method not in (*METHODS, "*"):
        raise ValueError(f"a scope is one of {', '.join(_NAMED)}, or a pattern like 'GET /slurm/v*/job/*' with GET, POST, DELETE or *")
    return _by_pattern(method, Pattern.of(pattern))


def _by_pattern(wanted: str, pattern: Pattern) -> _Test:
    def test(method: str, path: str) -> bool:
        if method not in METHODS or wanted not in {method, "*"} or not pattern.matches(path):
            return False
        # Who writes "GET /slurm/**" means to read: a GET that changes something has to be named, or to come under "*".
        return method != "GET" or wanted == "*" or pattern.ends_literally or not changes_something(method, path)

    return test


def _refused(why: str) -> BadRequest:
    return BadRequest(
        "scopes_malformed", detail=f"The token was not made: {why}.", hint='Write scopes as ["read", "submit"]; README.md lists them all.'
    )
