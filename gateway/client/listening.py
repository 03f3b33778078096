"""Listening to what happens to jobs: one stream of events after the other, each resumed where the last one broke off (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.client.asking import SILENCE, Ask, Conversation, More, Pause, Tell
from gateway.client.calls import Where
from gateway.client.errors import GatewayError, NoEventsError, NotUnderstoodError, UnreachableError
from gateway.client.news import Parser
from gateway.client.patience import Trying, ask

_NOT_FOUND = 404
_STREAM = "text/event-stream"
_HINT = "Try again in a minute; if it stays so, tell your administrators."


def listen(
    where: Where, *, user: str | None = None, job_ids: Sequence[int] = (), states: Sequence[str] = (), last_event_id: str | None = None
) -> Conversation[None]:
    """Tell what happens to jobs, for ever; raise NoEventsError where the gateway has no such stream, and what a question raises.

    A stream that ends or breaks off is resumed: nothing is missed, or ``reset`` says that something may have been. Patience begins anew with each
    stream that tells anything.
    """
    query = [("user", user)] if user is not None else []
    query += [("job_id", ",".join(str(int(job_id)) for job_id in job_ids))] if job_ids else []
    query += [("state", ",".join(states))] if states else []
    trying = Trying(where.patience)
    while True:
        yield from _open(where, tuple(query), last_event_id)
        parser, told = Parser(last_event_id), False
        broken: GatewayError = UnreachableError("the stream of events ended", hint=_HINT, sent=True)
        try:
            while piece := (yield More()):
                assert isinstance(piece, bytes)  # noqa: S101 - the other side of Conversation's contract
                for event in parser.feed(piece):
                    told = True
                    if event.kind != "end":  # of the stream; what comes of asking again is told in its place
                        yield Tell(event=event)
        except UnreachableError as error:
            broken = error
        last_event_id = parser.id
        if told:
            trying = Trying(where.patience)
            yield Pause(seconds=parser.retry, because=broken)
        else:
            yield trying.after(broken, least=parser.retry)


def _open(where: Where, query: tuple[tuple[str, str], ...], last_event_id: str | None) -> Conversation[None]:
    headers = [("Accept", _STREAM)] + ([("Last-Event-ID", last_event_id)] if last_event_id else [])
    question = Ask(method="GET", path=where.events, query=query, headers=tuple(headers), timeout=SILENCE, repeatable=True, stream=True)
    try:
        answer = yield from ask(question, where.patience)
    except GatewayError as error:
        if error.status != _NOT_FOUND:
            raise
        hint = "Ask for the jobs again and again in its place."
        raise NoEventsError("the gateway has no stream of events", hint=hint, status=error.status, request_id=error.request_id) from error
    if answer.media_type != _STREAM:
        raise NotUnderstoodError(
            f"no stream of events came, but {answer.media_type or 'something'}",
            hint="Is this the gateway's address?",
            status=answer.status,
            request_id=answer.request_id,
        )
