"""Answering reads: from what people share where that may be, and in the form that the client asks for."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from gateway.config import Reads as Settings
from gateway.config import Views
from gateway.observe.metrics import Metrics
from gateway.policy.pattern import Pattern
from gateway.proxy.headers import reply_headers
from gateway.proxy.negotiation import coding_for, has_it
from gateway.proxy.packing import Packer, TooLargeToKeep, unpacked
from gateway.proxy.recency import Recency
from gateway.proxy.shared import Found, Fresh, Kept, Key, Other, Rendered, Representation, SharedReads, Unchanged, tag_of
from gateway.proxy.workshop import Workshop
from gateway.slurm.freshness import can_be_confirmed, is_shared_read, is_unchanged, last_update, with_update_time
from gateway.slurm.meaning import might_have_refused_the_token, refused_the_token
from gateway.slurm.views.asking import next_query, parse_view
from gateway.slurm.views.render import render
from gateway.slurm.views.reply import ListTooLarge
from gateway.slurm.views.view import View
from gateway.web.call import Call
from gateway.web.carrying import Answer, Carrier, explained, small_content
from gateway.web.whole import Whole

# Below this, compressing gains nothing that a network would notice.
_WORTH_COMPRESSING = 1400
_DEFAULT_TYPE = "application/json"


class Reads:
    """Answers the GETs of Slurm's paths that change nothing."""

    def __init__(
        self,
        *,
        settings: Settings,
        views: Views,
        workshop: Workshop,
        carrier: Carrier,
        shared_paths: Mapping[str, tuple[str, ...]],
        recency: Recency,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._views = views
        self._workshop = workshop
        self._carrier = carrier
        self._alike = {cluster: tuple(map(Pattern.of, patterns)) for cluster, patterns in shared_paths.items()}
        self._recency = recency
        self._metrics = metrics
        self.shared: SharedReads[Answer] = SharedReads(settings)

    def close(self) -> None:
        """End what is under way."""
        self.shared.close()

    def looks_alike(self, cluster: str, path: str) -> bool:
        """Tell whether the site declares that a path looks the same to everybody."""
        return any(pattern.matches(path) for pattern in self._alike[cluster])

    async def answer(self, call: Call, *, newer_than: float = 0.0) -> web.StreamResponse:
        """Answer one read, by a call that began after ``newer_than`` (monotonic seconds)."""
        view, query = parse_view(call.path, call.query, call.accept(), self._views)
        if view is not None:
            return await self._view(replace(call, query=query), view, call.query)
        if not self._settings.enabled or not is_shared_read(call.path):
            return await self._carry(call)
        forced = _wants_no_cache(call)
        if forced and _takes_plain(call):
            return await self._carry(call, "miss")
        try:
            found = await self.look_up(call, call.accept_for_slurm(), forced=forced, newer_than=newer_than)
        except TooLargeToKeep:
            return await self._carry(call, "miss")
        if found.kept is None:
            return await self._other(call, found)
        return await self._represent(call, found, found.kept.whole)

    async def _view(self, call: Call, view: View, asked: str) -> web.StreamResponse:
        """Answer with what ``view`` shows of the list that ``call`` asks for; ``asked`` is the query as it came."""
        try:
            found = await self.look_up(call, forced=not self._settings.enabled or _wants_no_cache(call))
        except TooLargeToKeep:
            raise ListTooLarge("view: larger than what may be kept") from None
        kept = found.kept
        if kept is None:
            return await self._other(call, found)
        view = view.knowing(call.username, call.identity.subject.uid)
        if has_it(call.context.request.headers.get("If-None-Match", ""), etag := tag_of(kept, view)):
            return _unchanged(found, etag)  # without making what nobody needs

        async def make() -> Rendered:
            made = await self._workshop.run(render, view, kept.whole.body, self._views.max_list, user=call.username)
            return Rendered(body=made.body, content_type=made.content_type, next_cursor=made.next_cursor)

        form = await self.shared.view(kept, view, make)
        link = f'<{call.context.path}?{next_query(asked, form.next_cursor)}>; rel="next"' if form.next_cursor is not None else None
        return await self._represent(call, found, form, link)

    async def look_up(self, call: Call, accept: str | None = None, *, forced: bool = False, newer_than: float = 0.0) -> Found[Answer]:
        """Return the shared answer to a call, from after ``newer_than`` (monotonic seconds), in JSON unless ``accept`` asks for something else.

        Raises what ``SharedReads.read`` raises.
        """
        key = Key(
            cluster=call.cluster,
            owner="" if self.looks_alike(call.cluster, call.path) else call.username,
            path=call.path,
            query=call.query,
            accept=None if accept in {"*/*", _DEFAULT_TYPE} else accept,
        )
        newest_change = max(self._recency.last(call.cluster, call.username), newer_than)
        fetch = _Fetch(call, key, self._settings.clock_skew)
        found = await self.shared.read(key, fetch, reader=call.username, newest_change=newest_change, forced=forced)
        self._metrics.read(found.how)
        return found

    async def _carry(self, call: Call, how: str | None = None) -> web.StreamResponse:
        answer = await self._carrier.carry(call, call.head(accept=call.accept_for_slurm()))
        response = answer.response() if isinstance(answer, Answer) else answer
        if how is not None:
            self._metrics.read(how)
            if not response.prepared:
                response.headers["X-Cache"] = how
        return response

    async def _other(self, call: Call, found: Found[Answer]) -> web.StreamResponse:
        """Give an answer that is none of 200."""
        if found.other is None:
            raise RuntimeError("an answer is kept or it is not")
        answer = await self._carrier.finish(call, call.head(), found.other.answer)
        response = answer.response()
        response.headers["X-Cache"] = found.how
        return response

    async def _represent(self, call: Call, found: Found[Answer], form: Representation, link: str | None = None) -> web.StreamResponse:
        """Send one form of a kept answer, unless the client has it; compressed if it takes that."""
        sent = call.context.request.headers
        if has_it(sent.get("If-None-Match", ""), form.etag):
            return _unchanged(found, form.etag)
        headers = _headers(found, form.etag)
        headers["Content-Type"] = form.content_type
        if link is not None:
            headers["Link"] = link  # RFC 8288
        if form.body.size >= _WORTH_COMPRESSING and (coding := coding_for(sent.get("Accept-Encoding", ""))) is not None:
            with contextlib.suppress(TooLargeToKeep):  # then it goes out plain, piece by piece
                return Whole(headers={**headers, "Content-Encoding": coding}, body=await form.encoded(coding))
        if not form.body.compressed:
            return Whole(headers=headers, body=form.body.data)
        response = web.StreamResponse(headers=headers)
        response.content_length = form.body.size
        return await self._carrier.stream(call, response, unpacked(form.body, self.shared.threads))


def _headers(found: Found[Answer], etag: str) -> dict[str, str]:
    """Return the headers of an answer that is kept."""
    return {
        "ETag": etag,
        "Age": str(int(found.age)),
        "X-Cache": found.how,
        # The client may keep it, and has to ask each time whether it still holds.
        "Cache-Control": "private, no-cache",
        "Vary": "Accept, Accept-Encoding, Authorization, X-SLURM-USER-TOKEN",
    }


def _unchanged(found: Found[Answer], etag: str) -> web.Response:
    return web.Response(status=304, headers=_headers(found, etag))


class _Fetch:
    """Asks slurmrestd for one read, whether what is kept still holds if it can say so."""

    def __init__(self, call: Call, key: Key, clock_skew: float) -> None:
        self._call = call
        self._accept = key.accept
        self._clock_skew = clock_skew

    async def __call__(self, kept: Kept | None, packer: Packer) -> Fresh | Unchanged | Other[Answer]:
        """Return what there is now; raise TooLargeToKeep and the refusals of the way there."""
        if kept is not None and kept.since is not None:
            outcome = await self._ask(packer, with_update_time(self._call.path, self._call.query, kept.since))
            if not isinstance(outcome, Other):
                return outcome
            # A release that does not like the question is asked without it, and not with it again.
            outcome = await self._ask(packer, None)
            return replace(outcome, since=None) if isinstance(outcome, Fresh) else outcome
        return await self._ask(packer, None)

    async def _ask(self, packer: Packer, question: str | None) -> Fresh | Unchanged | Other[Answer]:
        call = self._call
        upstream = call.access.upstream
        since = int(call.context.now - self._clock_skew)
        async with upstream.exchange(call.head(query=question, accept=self._accept), repeatable=True) as reply:
            content = await small_content(upstream, reply)
            headers = reply_headers(reply.headers)
            if content is not None:
                if question is not None and is_unchanged(reply.status, content):
                    return Unchanged()
                answer = Answer(status=reply.status, headers=headers, content=content)
                # An error that comes with 200, as some of slurmdbd's do, is none to be kept.
                if reply.status != 200 or _is_doubtful(content) or (told := explained(call, answer)).status != 200:  # noqa: PLR2004 - RFC 9110 section 15.3.1
                    return Other(answer=answer)
                await packer.add(told.content)
            elif reply.status != 200:  # noqa: PLR2004 - as above
                raise TooLargeToKeep
            else:
                packer.expect(reply.length)
                async for piece in upstream.body(reply):
                    await packer.add(piece)
        packed = await packer.finish()
        asks = (last_update(packed.ends) or since) if can_be_confirmed(call.path, call.query) else None
        return Fresh(body=packed.body, etag=f'W/"{packed.digest}"', content_type=headers.get("Content-Type", _DEFAULT_TYPE), since=asks)


def _is_doubtful(content: bytes) -> bool:
    """Tell whether an answer of 200 says, or may hide, that the token was refused."""
    return refused_the_token(200, content) or might_have_refused_the_token(200, content)


def _wants_no_cache(call: Call) -> bool:
    """Tell whether the client wants slurmrestd itself to be asked (RFC 9111 section 5.2.1.4)."""
    said = call.context.request.headers.get("Cache-Control", "")
    return bool(said) and any(item.strip().casefold() in {"no-cache", "no-store"} for item in said.split(","))


def _takes_plain(call: Call) -> bool:
    """Tell whether the client asks for nothing that needs the whole answer first."""
    headers = call.context.request.headers
    return "If-None-Match" not in headers and coding_for(headers.get("Accept-Encoding", "")) is None
