"""The user's side: a gateway for programs, and what ``slurm-gateway``'s commands for people are made of.

``errors`` · ``address`` · ``news`` (events as they come) → ``asking`` (conversations, without I/O) → ``patience`` (what is sent again) →
``calls`` (one conversation a question), ``cluster`` (jobs, nodes, partitions of any version), ``listening`` (to events) → ``questions`` (what one
asks through a gateway, blocking or not) → ``blocking`` (the connection), ``gateway`` (``Gateway``) and ``awaiting`` (both of them with ``await``) ·
``files`` (that are their owner's alone), ``keyring`` → ``sites`` (who is signed in where) · ``jobfile``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from gateway.client.awaiting import AsyncGateway

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
    "Partition",
    "PersonalToken",
    "RefusedError",
    "Session",
    "SignedIn",
    "SlurmRefusedError",
    "Submitted",
    "UnreachableError",
    "WaitTimeoutError",
]


def __getattr__(name: str) -> object:
    """Load asyncio and aiohttp for those who want them, and for no command."""
    if name == "AsyncGateway":
        from gateway.client import awaiting  # noqa: PLC0415 - that is what this is for

        return awaiting.AsyncGateway
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
