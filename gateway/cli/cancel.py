"""``slurm-gateway cancel ID…``: cancel jobs, and say what became of each.

With ``--json``: ``{"jobs": [{"task", "result", "state", "reason", "message", "hint"}]}``; ``task`` is as in ``jobs --json``, ``result`` is
``cancelled``, ``ended`` (it was over before), ``kept`` (Slurm did not do it), ``unknown`` (there is none), ``failed`` (the question was refused),
or ``would_cancel`` (``--dry-run``).
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from gateway.cli import job, jobids, person, shown, terminal
from gateway.cli.jobs import words
from gateway.cli.table import document
from gateway.client.cluster import Job
from gateway.client.errors import GatewayError, JobForgottenError, printable
from gateway.client.gateway import Gateway
from gateway.client.hints import of_commands
from gateway.errors import CommandError

_DONE = frozenset({"cancelled", "ended", "would_cancel"})
# What is not over: only that can be cancelled.
_LIVE = ("PENDING", "RUNNING", "SUSPENDED")
_GOING = frozenset({"COMPLETING", "SIGNALING"})
_USAGE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one job."""

    task: str
    result: str
    state: str | None = None
    reason: str | None = None
    message: str = ""
    hint: str | None = None


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("cancel", help="cancel jobs", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "jobs", nargs="*", metavar="ID", type=jobids.job_id, help="7, 7_3 for a task of an array, 7+1 for a part of a heterogeneous job"
    )
    parser.add_argument("--all", action="store_true", help="all of your jobs that are not over")
    parser.add_argument("--state", metavar="STATE,…", type=words, default=(), help="those of your jobs that are in these states, such as PD")
    parser.add_argument("--yes", action="store_true", help="do not ask before --all and --state")
    parser.add_argument("--dry-run", action="store_true", help="only say which jobs would be cancelled")
    person.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Cancel jobs."""
    chosen = arguments.all or bool(arguments.state)
    if [arguments.all, bool(arguments.state), bool(arguments.jobs)].count(True) != 1:
        raise CommandError("which jobs?", "Name them (slurm-gateway cancel 7 8), or give --all or --state alone.", exit_code=_USAGE)
    with person.gateway_of(arguments) as gateway:
        wanted = _chosen(gateway, arguments) if chosen else arguments.jobs
        outcomes = []
        for one in wanted:
            outcome = _would(gateway, one) if arguments.dry_run else _cancel(gateway, one)
            outcomes.append(outcome)
            if not arguments.json:
                _tell(outcome)
    if arguments.json:
        sys.stdout.write(document({"jobs": [asdict(outcome) for outcome in outcomes]}))
    elif not outcomes:
        terminal.say("No jobs.")
    return 0 if all(outcome.result in _DONE for outcome in outcomes) else 1


def _chosen(gateway: Gateway, arguments: argparse.Namespace) -> list[jobids.JobId]:
    """Return my jobs that --all and --state choose; what is not chosen of an array is left alone."""
    jobs = shown.sort([found for found in gateway.jobs(states=arguments.state or _LIVE) if not found.is_over])
    if jobs and not arguments.dry_run and not arguments.yes:
        _confirm(jobs)
    chosen = {found.id for found in jobs}
    some = any(found.array_job_id is not None for found in jobs) and not arguments.all
    others = [found for found in gateway.jobs() if not found.is_over and found.id not in chosen] if some else []
    return list(dict.fromkeys(jobids.whole_or_tasks(jobs, others)))


def _confirm(jobs: list[Job]) -> None:
    """Have the person see the jobs and agree; raise CommandError if they do not."""
    many = "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"
    if not terminal.is_there():
        raise CommandError(f"{many} would be cancelled, and nobody is there to agree", "Look with --dry-run, then give --yes.")
    from gateway.cli import tables  # noqa: PLC0415 - rich takes its time, and the request has gone out by now

    now = time.time()
    tables.show(shown.columns(users=False), [shown.row(found, now, users=False) for found in jobs], sys.stderr)
    if terminal.line(f"Cancel {many}? [y/N] ").lower() not in {"y", "yes"}:
        raise CommandError("nothing was cancelled", "Answer y to cancel, or name the jobs: slurm-gateway cancel ID.")


def _would(gateway: Gateway, wanted: jobids.JobId) -> Outcome:
    """Say what a cancellation would meet."""
    try:
        jobs = job.find(gateway, wanted)
    except (CommandError, GatewayError) as error:
        return _failed(wanted, error)
    going = [found for found in jobs if not found.is_over]
    if not going:
        return Outcome(task=str(wanted), result="ended", state=jobs[0].state, message=f"has ended already ({jobs[0].state})")
    return Outcome(task=str(wanted), result="would_cancel", state=going[0].state, message=f"would be cancelled ({going[0].state})")


def _cancel(gateway: Gateway, wanted: jobids.JobId) -> Outcome:
    """Cancel a job, and look whether it is: Slurm 24.11 says yes to what it does not do."""
    try:
        before = job.find(gateway, wanted)
        if all(found.is_over for found in before):
            return Outcome(task=str(wanted), result="ended", state=before[0].state, message=f"had ended already ({before[0].state})")
        gateway.cancel(wanted.job if wanted.is_whole else str(wanted))
        after = [found for found in wanted.of(gateway.job(wanted.job)) if not found.is_over and not _GOING & {found.state, *found.flags}]
    except (CommandError, GatewayError) as error:
        return _failed(wanted, error)
    if not after:
        return Outcome(task=str(wanted), result="cancelled", state="CANCELLED", message="cancelled")
    return _kept(gateway, wanted, after[0])


def _kept(gateway: Gateway, wanted: jobids.JobId, found: Job) -> Outcome:
    """Say why a job is still there."""
    if found.user is not None and found.user != gateway.username:
        message, hint = f"was not cancelled: it is {found.user}'s", "Only whom it belongs to and operators of Slurm can cancel it."
    elif not wanted.is_whole:
        message, hint = "was not cancelled by itself", f"Cancel all of it: slurm-gateway cancel {wanted.job}"
    else:
        message, hint = f"was not cancelled: it is {found.state}", "Try again; if it stays, ask your administrators."
    return Outcome(task=str(wanted), result="kept", state=found.state, reason="not_cancelled", message=message, hint=hint)


def _failed(wanted: jobids.JobId, error: CommandError | GatewayError) -> Outcome:
    """Say that there is no such job, or no such task of it, or why the question was refused."""
    if isinstance(error, CommandError):
        return Outcome(task=str(wanted), result="unknown", reason="unknown_task", message=error.message, hint=error.hint)
    if isinstance(error, JobForgottenError):
        return Outcome(task=str(wanted), result="unknown", reason=error.reason, message=str(error), hint=error.hint)
    return Outcome(task=str(wanted), result="failed", reason=error.reason, message=f"was not cancelled: {error}", hint=of_commands(error.hint))


def _tell(outcome: Outcome) -> None:
    if outcome.result in _DONE:
        sys.stdout.write(printable(f"{outcome.task}: {outcome.message}") + "\n")
        sys.stdout.flush()
    else:
        terminal.say(f"{printable(f'{outcome.task}: {outcome.message}')}\nhint: {printable(outcome.hint or '')}")
