"""Minting: a Slurm JWT for one user, for a minute at most, never beyond the session that it serves."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.errors import NotPermitted, TokenRefused
from gateway.slurm.keys import SigningKey
from gateway.slurm.names import NameRules, Subject

_MAX_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class _Kept:
    token: str = field(repr=False)
    expires: int
    renew_at: float


class Minter:
    """Signs tokens with one cluster's key and keeps each user's until half of its life is over."""

    def __init__(self, key: SigningKey, rules: NameRules, lifetime: float) -> None:
        self._key = key
        self._rules = rules
        self._lifetime = lifetime
        self._kept: dict[Subject, _Kept] = {}

    def replace_key(self, key: SigningKey) -> None:
        """Sign with ``key`` from now on; what the old one signed is forgotten."""
        self._key = key
        self._kept.clear()

    def token(self, subject: Subject, *, now: float, not_after: float) -> str:
        """Return a JWT for ``subject`` that expires by ``not_after``; both are seconds since the epoch.

        Raises NotPermitted for a subject that nobody may be, TokenRefused when ``not_after`` has come.
        """
        kept = self._kept.get(subject)
        if kept is not None and now < kept.renew_at and kept.expires <= not_after:
            return kept.token
        if cause := self._rules.refusal(subject):
            raise NotPermitted(cause)
        # Slurm refuses an ``exp`` that is no integer, and gives no leeway (auth_jwt.c, auth_p_verify).
        expires = int(min(now + self._lifetime, not_after))
        if expires <= now:
            raise TokenRefused("session_ends_now")
        minted = _Kept(self._key.sign({"sun": subject.username, "iat": int(now), "exp": expires}), expires, now + (expires - now) / 2)
        if len(self._kept) >= _MAX_KEPT:
            self._kept = {who: token for who, token in self._kept.items() if now < token.renew_at}
        self._kept[subject] = minted
        return minted.token
