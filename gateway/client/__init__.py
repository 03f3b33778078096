"""The user's side: a gateway for programs, and what ``slurm-gateway``'s commands for people are made of.

``errors`` · ``address`` · ``asking`` (conversations, without I/O) → ``patience`` (what is sent again) → ``calls`` (one a question), ``cluster``
(jobs, nodes, partitions of any version), ``news`` (events) → ``blocking`` (the connection) → ``gateway`` · ``sites`` (who is signed in where).
"""

from __future__ import annotations

from gateway.client.calls import MadeToken, PersonalToken, Session, SignedIn, Submitted
from gateway.client.cluster import Job, Node, Partition
from gateway.client.errors import GatewayError, JobFileError, NotSignedInError, NotUnderstoodError, RefusedError, SlurmRefusedError, UnreachableError
from gateway.client.gateway import Gateway
from gateway.client.news import Event

__all__ = [
    "Event",
    "Gateway",
    "GatewayError",
    "Job",
    "JobFileError",
    "MadeToken",
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
]
