"""Bringing a body into the form that slurmrestd takes, and saying so; how is known in gateway.slurm.repair."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gateway.errors import BadRequest, InternalError, Refusal, Unavailable
from gateway.policy.route import submission_version
from gateway.proxy.workshop import Workshop
from gateway.slurm.repair.body import Mended, repair_body
from gateway.slurm.repair.media import JSON
from gateway.web.call import Call
from gateway.web.uploads import Upload

HEADER = "X-Gateway-Repaired"
# What is larger is read elsewhere: a mebibyte of JSON takes a tenth of a second, this much two milliseconds at the worst.
_AT_ONCE = 16 * 1024
# A job file that is larger goes on as it came: to hold and read it would cost others more than it is worth.
_MOST = 4 * 1024 * 1024
_HINTS = {
    "argv": "Write the arguments into the script ('set -- first second' behind its first line), and leave the field out.",
    "group_id": "Give the number of the group ('getent group NAME' on the cluster tells it), or leave the field out.",
}


class Mending:
    """Repairs bodies of requests that change something; ``enabled`` false leaves every byte as it came."""

    def __init__(self, workshop: Workshop, *, enabled: bool) -> None:
        self._workshop = workshop
        self._enabled = enabled

    def whole(self, call: Call) -> int:
        """Return up to which size the body of a call has to be there whole."""
        return _MOST if self._enabled and submission_version(call.method, call.path) is not None else 0

    async def mend(self, call: Call, upload: Upload, content_type: str | None) -> tuple[Upload, str | None]:
        """Return the body and the type to send, having named each repair on the answer to come; what is not held whole goes on as it is.

        Raises Unavailable when a large job file cannot be read just now: it does not depend on that what is submitted; BadRequest for one that
        would end slurmrestd.
        """
        if not self._enabled or not upload.length:
            return upload, content_type
        mended = await self._mended(call, upload.content, content_type)
        if mended.fatal is not None:
            raise BadRequest(
                "fatal_field",
                detail=f"The job has the field {mended.fatal!r}, for which slurmrestd of this version ends, for everybody. Nothing was submitted.",
                hint=_HINTS.get(mended.fatal.lower(), "Leave it out."),
            )
        if mended.repairs:
            call.context.headers[HEADER] = ", ".join(mended.repairs)
        call.context.not_repaired = mended.problem
        return upload if mended.content is None else replace(Upload.of(mended.content), came=upload.content), mended.content_type

    async def _mended(self, call: Call, content: bytes | None, content_type: str | None) -> Mended:
        if content is None:
            # What calls itself JSON is taken at its word: slurmrestd reads it anyway, and only minds the words behind it.
            kind = (content_type or "").partition(";")[0].strip().casefold()
            return repair_body(b"{}", content_type, None) if kind == JSON else Mended(content_type=content_type)
        version = submission_version(call.method, call.path) if len(content) <= _MOST else None
        if len(content) <= _AT_ONCE or (version is None and content_type == JSON):
            return repair_body(content, content_type, version)
        if version is None:
            return await asyncio.to_thread(repair_body, content, content_type, None)
        try:
            return await self._workshop.run(repair_body, content, content_type, version, user=call.username)
        except InternalError:
            raise
        except Refusal as refusal:
            raise Unavailable(
                f"repair: {refusal.cause}",
                detail="So large a job file could not be looked at just now. Nothing was submitted.",
                hint="Try again in a few seconds; it helps to put large data into files on the cluster and to name them in the job.",
                headers=refusal.headers,
            ) from refusal
