"""Handler of Slurm's paths: the way of a request, in one straight line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from aiohttp import web

from gateway.errors import BadRequest
from gateway.policy.path import Target
from gateway.policy.route import Route, route
from gateway.proxy.headers import single_value
from gateway.proxy.recency import Recency
from gateway.slurm.meaning import submitted_job_id
from gateway.slurm.submitted import takes_key
from gateway.slurm.yaml import is_collection, is_yaml
from gateway.web.authority import Authority
from gateway.web.call import BeforeStream, Call, ClusterAccess
from gateway.web.carrying import Answer, Carrier, explained
from gateway.web.context import Context
from gateway.web.doorman import Doorman
from gateway.web.keyed import Keyed
from gateway.web.mending import Mending
from gateway.web.submitting import HEADER, idempotency_key
from gateway.web.uploads import Upload, Uploads
from gateway.web.versions import Versions


class Reading(Protocol):
    """Something that answers reads."""

    async def answer(self, call: Call) -> web.StreamResponse:
        """Answer one."""
        ...


class ProxiedHandler:
    """Carries a request of somebody we know to slurmrestd and its reply back."""

    def __init__(  # noqa: PLR0913 - each is one station of the way
        self,
        *,
        doorman: Doorman,
        authority: Authority,
        versions: Versions,
        clusters: Mapping[str, ClusterAccess],
        default_cluster: str,
        uploads: Uploads,
        mending: Mending,
        carrier: Carrier,
        reads: Reading,
        recency: Recency,
        keyed: Keyed,
    ) -> None:
        self._doorman = doorman
        self._authority = authority
        self._versions = versions
        self._clusters = clusters
        self._default_cluster = default_cluster
        self._uploads = uploads
        self._mending = mending
        self._carrier = carrier
        self._reads = reads
        self._recency = recency
        self._keyed = keyed

    async def handle(self, context: Context, target: Target, before_stream: BeforeStream) -> web.StreamResponse:
        """Answer the request; ``before_stream`` is awaited with a large answer's head just before it goes out."""
        identity = await self._doorman.identify(context)
        way = route(target.path, context.request.method, self._default_cluster, self._clusters)
        context.cluster = way.cluster
        called = Call(
            context=context,
            identity=identity,
            cluster=way.cluster,
            access=self._clusters[way.cluster],
            method=context.method,
            path=way.path,
            query=target.query,
            before_stream=before_stream,
        )
        call = await self._versions.real(called)
        self._authority.permit(context, identity, Route(call.cluster, call.path))
        response = await self._answer(call)
        await self._versions.after(call, response)
        return response

    async def _answer(self, call: Call) -> web.StreamResponse:
        if not call.context.changes:
            return await self._read(call)
        await self._doorman.require_trail()
        try:
            return await self._change(call)
        finally:
            # Whatever became of it: none of the caller's reads may be answered from before this moment.
            self._recency.note(call.cluster, call.username)

    async def _read(self, call: Call) -> web.StreamResponse:
        request = call.context.request
        if request.body_exists or "Expect" in request.headers:
            async with self._uploads.of(request):  # refuses what has a body
                pass
        return await self._reads.answer(call)

    async def _change(self, call: Call) -> web.StreamResponse:
        request = call.context.request
        key = idempotency_key(request.headers.getall(HEADER, [])) if takes_key(call.method, call.path) else None
        async with self._uploads.of(request, whole=self._mending.whole(call)) as taken:
            content_type = single_value(request.headers.getall("Content-Type", []), "Content-Type")
            upload, content_type = await self._mending.mend(call, taken, content_type)
            _require_collection(upload, content_type)
            if key is not None:
                return explained(call, await self._keyed.answer(call, key, upload, content_type)).response()
            head = call.head(accept=call.accept_for_slurm(), content_type=content_type, length=upload.length)
            answer = await self._carrier.carry(call, head, upload.body)
        if not isinstance(answer, Answer):
            return answer
        if takes_key(call.method, call.path):
            # Whatever the status: 24.11 says 500 to a field that it could not read, and submits the job without it.
            call.context.job_id = submitted_job_id(answer.content)
        return answer.response()


def _require_collection(upload: Upload, content_type: str | None) -> None:
    """Refuse a body in YAML that slurmrestd might not survive, or that is too large to tell."""
    if upload.length and is_yaml(content_type) and (upload.content is None or not is_collection(upload.content)):
        raise BadRequest(
            "yaml_no_collection",
            detail="A body in YAML is one document that begins with a mapping or a list, of a mebibyte at most. Nothing was sent.",
            hint="Leave out tags, anchors and further documents, or send the same as JSON.",
        )
