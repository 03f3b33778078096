"""One-time codes by time (RFC 6238): which steps a code belongs to. Pure; claiming a step is the store's."""

from __future__ import annotations

import hmac

import pyotp

STEP_SECONDS = 30
SECRET_CHARACTERS = 32  # 160 bits, as RFC 4226 section 4 (R6) recommends


def step_at(now: float) -> int:
    """Return the number of the step at ``now`` (seconds since the epoch)."""
    return int(now // STEP_SECONDS)


def matching_steps(secret: str, code: str, now: float, window: int) -> tuple[int, ...]:
    """Return the steps within ``window`` of ``now`` whose code is ``code``, oldest first; ``secret`` is base32.

    Every step of the window is computed and compared, whichever matches, so that the time taken tells nothing.
    """
    totp = pyotp.TOTP(secret, interval=STEP_SECONDS)
    here = step_at(now)
    steps = range(max(0, here - window), here + window + 1)
    typed = code.encode("utf-8", "surrogatepass")  # full-width digits are other bytes, and no error
    matches = [hmac.compare_digest(totp.generate_otp(step).encode(), typed) for step in steps]
    return tuple(step for step, match in zip(steps, matches, strict=True) if match)


def new_secret() -> str:
    """Return a random base32 secret of 160 bits."""
    return pyotp.random_base32(SECRET_CHARACTERS)


def otpauth_uri(secret: str, username: str, issuer: str) -> str:
    """Return the ``otpauth://`` address that authenticator apps read from a QR code."""
    return pyotp.TOTP(secret, interval=STEP_SECONDS).provisioning_uri(name=username, issuer_name=issuer)
