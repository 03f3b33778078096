"""Conversations driven by hand: what they are told comes from a list, and what they wanted is written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.client.asking import Answer, Ask, Conversation, Pause, Prove, Step, Tell
from gateway.client.calls import Where
from gateway.client.errors import GatewayError
from gateway.client.news import Event
from gateway.client.patience import Patience

T = TypeVar("T")
Reply = Answer | bytes | GatewayError


class Clock:
    """Time that passes when a conversation pauses, and when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(kw_only=True)
class Driven:
    """What a conversation wanted, and what came of it."""

    steps: list[Step] = field(default_factory=list)
    result: Any = None
    error: GatewayError | None = None

    @property
    def asked(self) -> list[Ask]:
        return [step for step in self.steps if isinstance(step, Ask)]

    @property
    def pauses(self) -> list[Pause]:
        return [step for step in self.steps if isinstance(step, Pause)]

    @property
    def proofs(self) -> list[Prove]:
        return [step for step in self.steps if isinstance(step, Prove)]

    @property
    def told(self) -> list[Event]:
        return [step.event for step in self.steps if isinstance(step, Tell)]


def where(clock: Clock | None = None, *, patience: float = 30.0, cluster: str | None = None) -> Where:
    return Where(cluster=cluster, patience=Patience(seconds=patience, clock=clock or Clock()))


def drive(conversation: Conversation[Any], replies: Iterable[Reply], *, clock: Clock | None = None, proof: GatewayError | None = None) -> Driven:
    """Answer each Ask and each More with the next of ``replies``, until there are none or the conversation ends."""
    driven, left = Driven(), iter(replies)
    try:
        step = next(conversation)
        while True:
            driven.steps.append(step)
            if isinstance(step, Pause):
                if clock is not None:
                    clock.now += step.seconds
                step = conversation.send(None)
            elif isinstance(step, Prove):
                step = conversation.throw(proof) if proof is not None else conversation.send(None)
            elif isinstance(step, Tell):
                step = conversation.send(None)
            else:
                try:
                    reply = next(left)
                except StopIteration:
                    conversation.close()
                    return driven
                step = conversation.throw(reply) if isinstance(reply, GatewayError) else conversation.send(reply)
    except StopIteration as end:
        driven.result = end.value
    except GatewayError as error:
        driven.error = error
    return driven


def tried(do: Callable[..., T], *args: object, **kwargs: object) -> T | GatewayError:
    """Return what comes of something, or the error that it ends with."""
    try:
        return do(*args, **kwargs)
    except GatewayError as error:
        return error


def ok(tree: object = None, *, status: int = 200, **headers: str) -> Answer:
    """An answer of success."""
    known = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers={"content-type": "application/json", **known}, body=json.dumps({} if tree is None else tree).encode())


def problem(reason: str, status: int = 403, *, detail: str = "It cannot be.", hint: str = "Do that.", **headers: str) -> Answer:
    """A refusal of the gateway's, or of nginx's."""
    tree = {"type": "about:blank", "title": "No", "status": status, "detail": detail, "reason": reason, "hint": hint, "request_id": "abc"}
    known = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers={"content-type": "application/problem+json", **known}, body=json.dumps(tree).encode())


def slurm(status: int, number: int = 0, words: str = "No.", **more: object) -> Answer:
    """A refusal in Slurm's own words."""
    tree = {"errors": [{"error_number": number, "error": words, "description": words, "source": "slurm"}], **more}
    return Answer(status=status, headers={"content-type": "application/json"}, body=json.dumps(tree).encode())


def page(status: int = 200, **headers: str) -> Answer:
    """What something answers that is no gateway."""
    return Answer(status=status, headers={"content-type": "text/html; charset=utf-8", **headers}, body=b"<html>Welcome to our network</html>")
