"""The user's side: a gateway for programs, and what ``slurm-gateway``'s commands for people are made of.

``errors`` · ``address`` · ``news`` (events as they come) → ``asking`` (conversations, without I/O) → ``patience`` (what is sent again) →
``calls`` (one conversation a question), ``cluster`` (jobs, nodes, partitions of any version), ``listening`` (to events) → ``questions`` (what one
asks through a gateway, blocking or not) → ``blocking`` (the connection), ``gateway`` (``Gateway``) and ``awaiting`` (both of them with ``await``) ·
``files`` (that are their owner's alone), ``keyring`` → ``sites`` (who is signed in where) · ``jobfile``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.client.awaiting import AsyncGateway
    from gateway.client.calls import MadeToken, PersonalToken, Session, SignedIn, Submitted
    from gateway.client.cluster import Job, Node, Partition
    from gateway.client.errors import (
        GatewayError,
        JobFileError,
        JobForgottenError,
        NoEventsError,
        NotSignedInError,
        NotUnderstoodError,
        RefusedError,
        SlurmRefusedError,
        UnreachableError,
        WaitTimeoutError,
    )
    from gateway.client.gateway import Gateway
    from gateway.client.news import Event
    from gateway.client.queue import OnFailure, Options, Queue, QueueEvent

__all__ = [
    "AsyncGateway",
    "Event",
    "Gateway",
    "GatewayError",
    "Job",
    "JobFileError",
    "JobForgottenError",
    "MadeToken",
    "NoEventsError",
    "Node",
    "NotSignedInError",
    "NotUnderstoodError",
    "OnFailure",
    "Options",
    "Partition",
    "PersonalToken",
    "Queue",
    "QueueEvent",
    "RefusedError",
    "Session",
    "SignedIn",
    "SlurmRefusedError",
    "Submitted",
    "UnreachableError",
    "WaitTimeoutError",
]

# Each name is loaded when it is first asked for: the commands start without what they do not need, and nobody who does not await loads aiohttp.
_HOMES = {
    "AsyncGateway": "awaiting",
    "Event": "news",
    "Gateway": "gateway",
    "GatewayError": "errors",
    "Job": "cluster",
    "JobFileError": "errors",
    "JobForgottenError": "errors",
    "MadeToken": "calls",
    "NoEventsError": "errors",
    "Node": "cluster",
    "NotSignedInError": "errors",
    "NotUnderstoodError": "errors",
    "OnFailure": "queue",
    "Options": "queue",
    "Partition": "cluster",
    "PersonalToken": "calls",
    "Queue": "queue",
    "QueueEvent": "queue",
    "RefusedError": "errors",
    "Session": "calls",
    "SignedIn": "calls",
    "SlurmRefusedError": "errors",
    "Submitted": "calls",
    "UnreachableError": "errors",
    "WaitTimeoutError": "errors",
}


def __getattr__(name: str) -> object:
    """Load a name from the module that it is at home in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
