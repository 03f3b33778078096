"""``slurm-gateway wait``: waits until jobs have ended, and tells of each end as it comes.

The exit code is that of the job (what its script returned, 128 and the signal that ended it, or 1 where it did not complete and has neither), of
several the largest; 124 where ``--timeout`` was up first.
"""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli import jobids, options, person, terminal

INTERRUPTED = 130


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("wait", help="wait for the end of jobs", description=__doc__)
    parser.add_argument(
        "jobs", metavar="ID", nargs="+", type=jobids.job_id, help="7; 7_3 for a task of an array, 7+1 for a part of a heterogeneous job"
    )
    parser.add_argument("--timeout", type=options.span, metavar="TIME", help="wait no longer than this, such as 90s, 30m or 12h")
    person.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Wait for jobs."""
    from gateway.cli.following import TIMED_OUT, Ended, Follower, TimeUpError, exit_code, tell  # noqa: PLC0415 - with what it needs, only to wait

    timeout = arguments.timeout
    ended: list[Ended] = []
    with person.gateway_of(arguments, patience=0) as gateway:
        try:
            person.renew_if_short(gateway, person.LIKELY if timeout is None else min(timeout, person.LIKELY))
            for one in Follower(gateway, timeout=timeout).follow(arguments.jobs):
                ended.append(one)
                tell(one, as_json=arguments.json)
        except TimeUpError as error:
            terminal.say(f"slurm-gateway: {error}\nhint: {error.hint}")
            return TIMED_OUT
        except KeyboardInterrupt:
            terminal.say("Stopped waiting; the jobs go on.")
            return INTERRUPTED
    return exit_code(ended)
