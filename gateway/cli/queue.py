"""``slurm-gateway queue DIR``: submit the job files of a folder one after the other, each once, whatever happens in between.

Job files end in .json, .yaml, .yml, .sh, .sbatch, .slurm or .job; others, and hidden ones, are left alone. So that no half of a file is taken,
one is taken when it has been still for a moment; better still, write it elsewhere and move it here. What cannot be submitted is moved to
DIR/set-aside, with the reason beside it, and the rest goes on. Kill it, lose the network, restart the gateway: started again, it goes on where
it was. With --json, each line is an event; README.md says which there are.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from gateway.cli import options, person
from gateway.client.errors import printable
from gateway.errors import CommandError

if TYPE_CHECKING:
    from gateway.client.queue import OnFailure, Options, Queue
    from gateway.client.queue.status import Report

_RETRY = re.compile(r"retry=([0-9]{1,3})")
_MOST_IN_FLIGHT = 100_000
_STOPPED = 128


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("queue", help="submit the job files of a folder, one after the other", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder with the job files")
    parser.add_argument("--in-flight", type=_count, default=1, metavar="N", help="have at most N jobs in Slurm (1)")
    parser.add_argument("--order", choices=("name", "time"), default="name", help="by name, job2 before job10, or by when a file was written (name)")
    parser.add_argument(
        "--on-failure",
        default="continue",
        metavar="WHAT",
        help="when a job fails: continue, stop, or retry=K to submit its file up to K times more (continue)",
    )
    parser.add_argument("--follow", action="store_true", help="wait for more job files when there are none left")
    parser.add_argument("--interval", type=options.span, default=30.0, metavar="TIME", help="between two routine checks, such as 30s or 5m (30s)")
    parser.add_argument("--settle", type=options.span, default=1.0, metavar="TIME", help="how long a file has to be still before it is taken (1s)")
    parser.add_argument(
        "--max-size", type=options.size, default=4 * 1024 * 1024, metavar="BYTES", help="the largest job file, such as 500k or 4m (4m)"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--status", action="store_true", help="only say how far the queue is; it may be running")
    instead.add_argument("--dry-run", action="store_true", help="only say what would be submitted, in which order")
    person.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the queue, or only look at it."""
    from gateway.client.queue.plan import Options  # noqa: PLC0415 - with what it needs, only where there is a queue

    wanted = Options(
        in_flight=arguments.in_flight,
        order=arguments.order,
        on_failure=_on_failure(arguments.on_failure),
        follow=arguments.follow,
        interval=max(arguments.interval, 0.1),
        settle=arguments.settle,
        largest=arguments.max_size,
    )
    if not arguments.folder.is_dir():
        raise CommandError(f"{arguments.folder} is no folder", "Name a folder with job files: slurm-gateway queue DIR")
    if arguments.status or arguments.dry_run:
        return _look(arguments, wanted)
    with person.gateway_of(arguments) as gateway, gateway.queue(arguments.folder, wanted) as queue:
        return _run(gateway, queue, as_json=arguments.json)


def _run(gateway: person.PersonsGateway, queue: Queue, *, as_json: bool) -> int:
    from gateway.cli.queue_screen import screen  # noqa: PLC0415 - as above

    told = screen(as_json=as_json)
    gateway.before_asking = told.make_room
    counts: dict[str, int] = {}
    with _signals(queue) as caught:
        try:
            person.renew_if_short(gateway)
            with told:
                for event in queue:
                    told.show(event)
                    if event.kind == "finished":
                        counts = dict(event.counts or {})
        except KeyboardInterrupt:
            pass  # by the second signal: nothing is lost, whatever was under way
    if caught:
        return _STOPPED + caught[0]
    return _verdict(counts, queue.folder)


def _verdict(counts: dict[str, int], folder: Path) -> int:
    """Return the exit code, and say how it ended if not all is well."""
    from gateway.client.queue.story import summary  # noqa: PLC0415 - as above

    if not any(counts.get(name) for name in ("failed", "set_aside", "unknown", "waiting")):
        return 0
    sys.stderr.write(f"slurm-gateway: {summary(counts)}\nhint: 'slurm-gateway queue {folder} --status' says which, and why.\n")
    return 1


@contextmanager
def _signals(queue: Queue) -> Iterator[list[int]]:
    """Have the first signal stop the queue when what it is just doing is done, the second one at once, the third one whatever happens.

    At once is not as a kill does it: somebody may be asked for a password, and their terminal is to show again what they type.
    """
    caught: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        caught.append(number)
        if len(caught) > 1:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            raise KeyboardInterrupt
        queue.stop()
        with suppress(OSError):  # that nobody reads it is no reason to stop at once
            os.write(2, b"\nStopping when the request under way is answered; once more, and it stops at once.\n")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# Only looking.


def _look(arguments: argparse.Namespace, wanted: Options) -> int:
    from gateway.client.queue import status  # noqa: PLC0415 - as above

    report = status.plan(arguments.folder, wanted) if arguments.dry_run else status.report(arguments.folder, wanted)
    if arguments.json:
        _write_json(arguments.folder, report)
    else:
        _write_table(report)
    return 0


def _write_json(folder: Path, report: Report) -> None:
    from gateway.cli.table import stamp  # noqa: PLC0415 - for programs alone

    holder = report.holder
    tree = {
        "folder": str(folder),
        "running": None if holder is None else {"pid": holder.pid, "host": holder.host, "since": stamp(holder.since)},
        "counts": dict(report.counts),
        "files": [{**line.tree(), "at": stamp(line.at)} for line in report.lines],
        "left_alone": list(report.others),
    }
    sys.stdout.write(json.dumps(tree, indent=1) + "\n")


def _write_table(report: Report) -> None:
    from gateway.cli import tables  # noqa: PLC0415 - as above
    from gateway.client.queue.story import WORDS, summary  # noqa: PLC0415 - as above

    column = tables.Column
    columns = [
        column(heading="FILE", least=16),
        column(heading="STATUS"),
        column(heading="JOB", right=True),
        column(heading="STATE", rank=2),
        column(heading="EXIT", right=True, rank=1),
        column(heading="REASON", least=8, rank=3),
    ]
    rows = [
        (line.file, WORDS.get(line.status, line.status), line.job_id, line.state and tables.state(line.state), line.exit_code, line.reason)
        for line in report.lines
    ]
    tables.show_or_say(columns, rows, "No job files.")
    if rows:
        sys.stdout.write(f"{summary(report.counts)}\n")
    if report.holder is not None:
        sys.stdout.write(f"Run by {printable(str(report.holder))}\n")


# Options.


def _on_failure(text: str) -> OnFailure:
    from gateway.client.queue.plan import OnFailure  # noqa: PLC0415 - as above

    retry = _RETRY.fullmatch(text)
    if retry is None and text not in {"continue", "stop"}:
        raise CommandError(f"--on-failure {text} is none of continue, stop and retry=K", "For example: --on-failure retry=2", exit_code=2)
    return OnFailure(stop=text == "stop", retries=int(retry[1]) if retry else 0)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:9]) <= _MOST_IN_FLIGHT:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 1 to {_MOST_IN_FLIGHT}")
    return int(text)
