"""Print what happens to your jobs, as it happens, until all of them have ended.

Sign in once, then watch::

    slurm-gateway login https://gateway.example.org
    python watch_jobs.py
"""

import asyncio
import contextlib
import sys

from gateway.client import AsyncGateway, GatewayError


async def main() -> None:
    """Follow the events; where some may have been missed, the list of jobs says how things are."""
    under_way: set[int] = set()
    async with AsyncGateway.from_site() as gateway, contextlib.aclosing(gateway.events(user=await gateway.username)) as events:
        async for event in events:
            if event.kind in {"ready", "reset"}:
                under_way = {job.id for job in await gateway.jobs() if not job.is_over}
                print("under way:", len(under_way), flush=True)
            elif event.job_id is not None:
                (under_way.discard if event.is_over else under_way.add)(event.job_id)
                print("job", event.job_id, event.name, event.state, flush=True)
            if not under_way:
                return


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except GatewayError as error:
        sys.exit(f"{error}\nhint: {error.hint}")
