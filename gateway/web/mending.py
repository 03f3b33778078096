"""Bringing a body into the form that slurmrestd takes, and saying so; how is known in gateway.slurm.repair."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.slurm.repair import content_type_for
from gateway.web.call import Call
from gateway.web.uploads import Upload

HEADER = "X-Gateway-Repaired"
# What is larger is read on a thread: a mebibyte of JSON takes some ten milliseconds.
_AT_ONCE = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mended:
    """A body and its type, and the names of what was repaired, which are words of ours."""

    content: bytes
    content_type: str | None
    repairs: tuple[str, ...]


class Mending:
    """Repairs bodies of requests that change something; ``enabled`` false leaves every byte as it came."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled

    async def mend(self, call: Call, upload: Upload, content_type: str | None) -> tuple[Upload, str | None]:
        """Return the body and the type to send, having named each repair on the answer to come; what is not held whole goes on as it is."""
        if not self._enabled or not upload.length:
            return upload, content_type
        if upload.content is None:
            # What calls itself JSON is taken at its word: slurmrestd reads it anyway, and only minds the words behind it.
            kind = (content_type or "").partition(";")[0].strip().casefold()
            mended = _mended(b"{}", content_type) if kind == "application/json" else _Mended(content=b"", content_type=content_type, repairs=())
        elif len(upload.content) <= _AT_ONCE:
            mended = _mended(upload.content, content_type)
        else:
            mended = await asyncio.to_thread(_mended, upload.content, content_type)
        if mended.repairs:
            call.context.headers[HEADER] = ", ".join(mended.repairs)
        return upload, mended.content_type


def _mended(content: bytes, content_type: str | None) -> _Mended:
    right = content_type_for(content_type, content)
    return _Mended(content=content, content_type=right or content_type, repairs=("content-type",) if right is not None else ())
