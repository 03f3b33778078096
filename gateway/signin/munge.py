"""Proof of a Unix user by munge: a credential that a login node's munged has made, decoded by this node's with the site's key.

Debian's ``unmunge`` decodes it; what is believed of its answer is decided here. A credential is good once, on whichever node it comes in.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import CredentialsRefused, Unavailable
from gateway.store.spent import SpentStore

# The longest that munge makes of our payload has some 300 characters.
_CREDENTIAL = re.compile(r"MUNGE:([A-Za-z0-9+/]{16,2000}={0,2}):")
_SPENT = "munge"
_MAX_OUTPUT = 8192
_LIMIT = 5.0
_AT_ONCE = 4
# How far the clocks of two nodes may be apart.
_SKEW = 60.0
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
_COMMAND = ("unmunge", "--numeric")
_NUMBERS = ("STATUS", "UID", "ENCODE_TIME", "TTL")
# munge_err_t of munge.h: what is wrong with the credential, and not with munged.
_CAUSES = {
    **dict.fromkeys(range(8, 14), "malformed"),
    14: "of_another_key",
    15: "expired",
    16: "from_the_future",
    17: "replayed",
    18: "for_another_user",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a credential says: who made it, when (seconds since the epoch), for how long (seconds), and what it was made for."""

    uid: int
    encode_time: int
    ttl: int
    payload: bytes


def payload(host: str) -> bytes:
    """Return what a credential for the gateway of this name must hold: one that was made for anything else is good for nothing here."""
    return f"slurm-gateway enrol 1 {host}".encode()


def canonical(credential: str) -> bytes | None:
    """Return the bytes that a credential spells, by which it is known again in every spelling; None for what is none."""
    match = _CREDENTIAL.fullmatch(credential)
    try:
        return base64.b64decode(match[1], validate=True) if match else None
    except (binascii.Error, ValueError):
        return None


def parse(output: bytes) -> Decoded | None:
    """Read what ``unmunge --numeric`` writes: lines ``KEY: number``, a blank line, the payload; None unless it is all there and says success."""
    head, blank, made_for = output.partition(b"\n\n")
    numbers: dict[str, int] = {}
    for line in head.split(b"\n"):
        match = re.fullmatch(rb"([A-Z_]{1,32}): {1,32}([0-9]{1,12})", line)
        if match and match[1].decode() in numbers:
            return None
        if match:
            numbers[match[1].decode()] = int(match[2])
    if not blank or any(key not in numbers for key in _NUMBERS) or numbers["STATUS"] != 0:
        return None
    return Decoded(uid=numbers["UID"], encode_time=numbers["ENCODE_TIME"], ttl=numbers["TTL"], payload=made_for)


class Munge:
    """Decodes credentials, four at once at most, and uses each up."""

    def __init__(self, spent: SpentStore, *, socket: Path | None, age: float, command: Sequence[str] = _COMMAND) -> None:
        self._spent = spent
        self._command = (*command, *(("--socket", str(socket)) if socket is not None else ()))
        self._age = age
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def prove(self, credential: str, host: str, now: float) -> int:
        """Return the uid of who made ``credential`` for ``host``, having used it up; raise CredentialsRefused, Unavailable or StoreUnavailable."""
        body = canonical(credential)
        if body is None:
            raise CredentialsRefused("munge_malformed")
        try:
            async with asyncio.timeout(_LIMIT), self._turns:
                decoded = await self._decode(credential)
        except (TimeoutError, OSError) as error:
            raise Unavailable(f"unmunge: {type(error).__name__}") from error
        if decoded.payload != payload(host):
            raise CredentialsRefused("munge_for_something_else")
        if not decoded.encode_time - _SKEW <= now <= decoded.encode_time + min(self._age, decoded.ttl):
            raise CredentialsRefused("munge_too_old_or_too_new")
        if decoded.uid == 0:
            raise CredentialsRefused("munge_root")
        expires_at = decoded.encode_time + self._age + _SKEW
        if not await self._spent.spend(_SPENT, hashlib.sha256(body).digest(), now=now, expires_at=expires_at):
            raise CredentialsRefused("munge_used")
        return decoded.uid

    async def _decode(self, credential: str) -> Decoded:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=_ENVIRONMENT)
        try:
            output, code = await _conversed(process, credential.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await asyncio.shield(process.wait())
        if code != 0:
            if code in _CAUSES:
                raise CredentialsRefused(f"munge_{_CAUSES[code]}")
            raise Unavailable(f"unmunge: exit code {code}", detail="The gateway's munged does not decode credentials at the moment.")
        decoded = parse(output)
        if decoded is None:
            raise CredentialsRefused("munge_not_understood")
        return decoded


async def _conversed(process: asyncio.subprocess.Process, credential: bytes) -> tuple[bytes, int]:
    """Hand the credential over and return what comes back, with the exit code; what is longer than it can be, is cut."""
    # Both were asked for.
    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - for the type checker
    try:
        process.stdin.write(credential + b"\n")
        await process.stdin.drain()
        process.stdin.close()
        output = await process.stdout.readexactly(_MAX_OUTPUT)
    except asyncio.IncompleteReadError as all_of_it:
        return all_of_it.partial, await process.wait()
    except ConnectionError:
        return b"", await process.wait()
    return output, -1
