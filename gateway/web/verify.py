"""Handler for a trusted server in front (nginx's auth_request and its like) that wants to speak to Slurm itself."""

from __future__ import annotations

from aiohttp import web

from gateway.slurm.minting import Minter
from gateway.web.context import Context, Routes
from gateway.web.doorman import OWNERS, Doorman


class VerifyHandler:
    """What is served at ``/auth/verify``, where the configuration says so: the only way on which a Slurm JWT leaves the gateway."""

    def __init__(self, *, doorman: Doorman, minter: Minter) -> None:
        self._doorman = doorman
        self._minter = minter

    def routes(self) -> Routes:
        """Return what is served where."""
        return {"/auth/verify": {"GET": self.verify}}

    async def verify(self, context: Context) -> web.Response:
        """Answer a session with its user and a JWT for the default cluster, which never outlives it; refuse everything else."""
        identity = await self._doorman.identify(context, OWNERS)
        token = self._minter.token(identity.subject, now=context.now, not_after=identity.expires_at)
        return web.Response(headers={"X-Slurm-User-Name": identity.username, "X-Slurm-User-Token": token})
