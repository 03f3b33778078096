"""One call of Slurm's, permitted and on its way: who makes it, to which cluster, and what it asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from gateway.proxy.forward import Upstream
from gateway.proxy.headers import Head, single_value
from gateway.sessions.sessions import Identity
from gateway.slurm.accepting import accept_for_slurm
from gateway.slurm.minting import Minter
from gateway.web.context import Context

BeforeStream = Callable[[web.StreamResponse], Awaitable[None]]
"""Awaited with the head of a large answer just before it goes out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAccess:
    """What it takes to speak to one cluster: its slurmrestd, and the minter that it believes."""

    upstream: Upstream
    minter: Minter


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """``method`` and ``path`` are what was judged and what slurmrestd gets; ``method`` is GET where a HEAD came.

    ``asked_path`` is the client's, where that says ``latest``.
    """

    context: Context
    identity: Identity
    cluster: str
    access: ClusterAccess
    method: str
    path: str
    query: str
    before_stream: BeforeStream
    asked_path: str = ""

    @property
    def username(self) -> str:
        """Whose call it is."""
        return self.identity.username

    def accept(self) -> str | None:
        """Return the media types that the client takes; raise BadRequest for a header that is not passed on."""
        return single_value(self.context.request.headers.getall("Accept", []), "Accept")

    def accept_for_slurm(self) -> str | None:
        """Return the media types that slurmrestd is asked for; raise BadRequest, and NotAcceptable if it makes none that the client takes."""
        return accept_for_slurm(self.accept())

    def head(self, *, query: str | None = None, accept: str | None = None, content_type: str | None = None, length: int | None = None) -> Head:
        """Return the head that slurmrestd gets, with a token minted for the caller; raise what minting raises."""
        query = self.query if query is None else query
        minter, identity, context = self.access.minter, self.identity, self.context
        return Head(
            method=self.method,
            target=f"{self.path}?{query}" if query else self.path,
            username=identity.username,
            token=minter.token(identity.subject, now=context.now, not_after=identity.expires_at),
            accept=accept,
            content_type=content_type,
            content_length=length,
        )
