"""Submissions with an idempotency key, carried to slurmrestd: each sending with a token of its own, each look past everything that is kept."""

from __future__ import annotations

import time
from dataclasses import replace

from gateway.config import Submissions
from gateway.errors import InternalError, Refusal, TooLarge, Unavailable, UpstreamBroken
from gateway.proxy.forward import Content
from gateway.proxy.headers import Head, reply_headers
from gateway.proxy.workshop import Workshop
from gateway.slurm.marking import JobRequest, read
from gateway.web.call import Call
from gateway.web.carrying import Answer, Carrier
from gateway.web.looking import Answered
from gateway.web.submitting import HEADER, Send, Submission, Submitting
from gateway.web.uploads import Upload

# What is larger is read elsewhere: four mebibytes of JSON can be made to take a second.
_AT_ONCE = 16 * 1024
# An answer to a submission has less than 1 KiB. A list of 50,000 jobs has about this, and is the most that is looked through.
_MAX_ANSWER = 1024 * 1024
_MAX_LIST = 256 * 1024 * 1024


class Keyed:
    """Carries submissions with keys."""

    def __init__(self, submitting: Submitting, carrier: Carrier, workshop: Workshop, settings: Submissions) -> None:
        self._submitting = submitting
        self._carrier = carrier
        self._workshop = workshop
        self._settings = settings

    async def answer(self, call: Call, key: str, upload: Upload, content_type: str | None) -> Answer:
        """Submit what ``upload`` holds, once for the key; note the job's id in the call's context. Raises what submitting raises."""
        if upload.length is not None and upload.length > self._settings.max_body:
            limit = self._settings.max_body
            raise TooLarge("body_with_key", detail=f"The body of a submission with an {HEADER} has at most {limit} bytes. Nothing was submitted.")
        content = b"" if upload.pieces is None else b"".join([piece async for piece in upload.pieces])
        # A retry is the same request whatever has become of the gateway's repairs, or of Slurm, since the first.
        came = (call.asked_path or call.path).encode() + b"\0" + (content if upload.came is None else upload.came)
        job = await self._read(call, content)
        submission = Submission(user=call.identity.subject, cluster=call.cluster, path=call.path, key=key, content=content, came=came, job=job)
        accept = call.accept_for_slurm()

        def prepare() -> Send:
            head = Head(method="POST", target=call.path, username=call.username, token=_token(call), accept=accept, content_type=content_type)

            async def send(body: bytes) -> Answered:
                return await self._exchange(call, replace(head, content_length=len(body)), Upload.of(body).body, _MAX_ANSWER)

            return send

        async def look(target: str) -> Answered:
            head = Head(method="GET", target=target, username=call.username, token=_token(call), accept="application/json")
            return await self._exchange(call, head, None, _MAX_LIST)

        outcome = await self._submitting.submit(submission, prepare, look)
        call.context.job_id = outcome.job_id
        return Answer(status=outcome.status, headers=outcome.headers, content=outcome.content)

    async def _read(self, call: Call, content: bytes) -> JobRequest:
        """Return what a submission asks for; raise Unavailable when a large one cannot be read just now."""
        if len(content) <= _AT_ONCE:
            return read(content)
        try:
            return await self._workshop.run(read, content, user=call.username)
        except InternalError:
            raise
        except Refusal as refusal:
            raise Unavailable(
                f"key: {refusal.cause}",
                detail="So large a job file could not be looked at just now. This request was not carried on; what the key did before still holds.",
                hint="Try again with the same key in a few seconds.",
                headers=refusal.headers,
            ) from refusal

    async def _exchange(self, call: Call, head: Head, body: Content | None, most: int) -> Answered:
        """Send a request and return its whole answer; raise SlurmRefusedGateway too, and UpstreamBroken for an answer that is too large."""
        upstream = call.access.upstream
        pieces: list[bytes] = []
        size = 0
        async with upstream.exchange(head, body, repeatable=body is None) as reply:
            async for piece in upstream.body(reply):
                pieces.append(piece)
                size += len(piece)
                if size > most:
                    raise UpstreamBroken("answer too large", detail="slurmrestd's answer is too large.")
        headers, content = reply_headers(reply.headers), b"".join(pieces)
        await self._carrier.judge(call, head, Answer(status=reply.status, headers=headers, content=content))
        return Answered(status=reply.status, content_type=headers.get("Content-Type", ""), content=content)


def _token(call: Call) -> str:
    """Mint a token of this moment: the body may have come slowly, and a look may have taken its time."""
    return call.access.minter.token(call.identity.subject, now=time.time(), not_after=call.identity.expires_at)
