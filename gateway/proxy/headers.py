"""Headers by allow-list, in both directions (pure). What is not named here does not cross.

That is the answer to hop-by-hop headers, to ``Connection: X-SLURM-USER-NAME`` and to every spoofed header alike: the head that
slurmrestd sees is built anew from the judged path, the minted identity, and two headers of the client's that say what it sends and wants.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.errors import BadRequest

_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,254}[\x21-\x7e])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Everything that may stand in the head of a request to slurmrestd."""

    method: str
    target: str
    username: str
    token: str
    accept: str | None = None
    content_type: str | None = None
    content_length: int | None = None

    def __repr__(self) -> str:
        return f"Head({self.method} {self.target.partition('?')[0]})"

    def encode(self, host: str) -> bytes:
        """Return the head as bytes (RFC 9112 section 3); ``target``, ``username`` and ``token`` are of our own making."""
        lines = [
            f"{self.method} {self.target} HTTP/1.1",
            f"Host: {host}",
            f"X-SLURM-USER-NAME: {self.username}",
            f"X-SLURM-USER-TOKEN: {self.token}",
            f"Accept: {self.accept or '*/*'}",
        ]
        if self.content_type is not None:
            lines.append(f"Content-Type: {self.content_type}")
        if self.content_length is not None:
            lines.append(f"Content-Length: {self.content_length}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")


def single_value(values: list[str], name: str) -> str | None:
    """Return the one value of a header that is passed on, or None; raise BadRequest when it stands twice or has odd characters."""
    if not values:
        return None
    if len(values) > 1 or (values[0] and _VALUE.fullmatch(values[0]) is None):
        raise BadRequest("header_refused", detail=f"The header {name} stands twice, is too long, or has characters that are not allowed.")
    return values[0] or None


def content_length(values: list[str]) -> int | None:
    """Return the length that a request declares; raise BadRequest when it stands twice or is not plain digits (RFC 9112 section 6.3)."""
    if not values:
        return None
    if len(values) > 1 or not (values[0].isascii() and values[0].isdigit() and len(values[0]) <= 15):  # noqa: PLR2004 - a petabyte
        raise BadRequest("content_length_malformed", detail="The header Content-Length stands twice or is not a number.")
    return int(values[0])


def reply_headers(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return what of slurmrestd's headers the client gets: the type of the content, and how long to wait before trying again."""
    kept: dict[str, str] = {}
    for name, value in headers:
        if name in {b"content-type", b"retry-after"}:
            text = value.decode("latin-1")
            if _VALUE.fullmatch(text):
                kept.setdefault("Content-Type" if name == b"content-type" else "Retry-After", text)
    return kept
