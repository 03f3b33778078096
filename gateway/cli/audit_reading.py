"""``slurm-gateway audit job`` and ``audit show``: the trail told to people, or as it stands to programs."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

from gateway.cli.audit_files import own_files, shown
from gateway.cli.configuration import configuration
from gateway.cli.privileges import act_as_owner_of
from gateway.config.values import parse_duration
from gateway.errors import CommandError
from gateway.observe.audit.event import stamp
from gateway.observe.audit.reading import Opened
from gateway.observe.audit.tracing import Act, Fields, trace

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?Z?)?")
# What stands at the beginning of a printed line, or is of the chain; all other fields follow by their names.
_AHEAD = ("time", "event", "user", "address", "method", "path", "status")
_UNSHOWN = {*_AHEAD, "seq", "prev", "sig"}


def job(arguments: argparse.Namespace) -> int:
    """Print who made the job and who touched it; raise CommandError when the trail has nothing of it."""
    with _opened(arguments) as opened:
        acts = trace(opened.events, arguments.job_id, arguments.cluster)
    where = f" on {arguments.cluster}" if arguments.cluster else ""
    if not acts:
        raise CommandError(
            f"the trail has nothing of job {arguments.job_id}{where}",
            "It was not submitted through this gateway, or its lines are in files that are not beside the trail any more.",
        )
    made, others = [act for act in acts if act.made_it], [act for act in acts if not act.made_it]
    if arguments.json:
        tree = {"job_id": arguments.job_id, "submitted": [_tree(act) for act in made], "touched": [_tree(act) for act in others]}
        sys.stdout.write(json.dumps(tree) + "\n")
        return 0
    out = [] if made else [f"job {arguments.job_id}{where} was not submitted through this gateway, as far as the trail goes"]
    for act in (*made, *others):
        out += _told(act, arguments.job_id)
    sys.stdout.write("\n".join(out) + "\n")
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print the lines that are asked for."""
    since = _since(arguments.since) if arguments.since else ""
    with _opened(arguments) as opened:
        for fields in opened.events():
            if _wanted(fields, arguments, since):
                sys.stdout.write((json.dumps(fields) if arguments.json else _line(fields)) + "\n")
    return 0


@contextlib.contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[Opened]:
    config = configuration(arguments)
    act_as_owner_of(config.store.key_ring_file.parent)
    with contextlib.closing(own_files(config, None)) as opened:
        yield opened
        for file in opened.files:
            if file.broken is not None:
                sys.stderr.write(f"{shown(file.name)}: {shown(file.broken)}\n")


def _since(text: str) -> str:
    """Return from when on lines are wanted, in the form that they have it."""
    if _TIME.fullmatch(text):
        return text.removesuffix("Z")
    try:
        return stamp(max(0.0, time.time() - parse_duration(text)))
    except ValueError:
        raise CommandError(
            f"--since {text!r} is no time", 'Write "30m", "1h" or "7d" for so long ago, or 2026-01-31T08:00:00Z.', exit_code=2
        ) from None


def _wanted(fields: Fields, arguments: argparse.Namespace, since: str) -> bool:
    if arguments.user is not None and arguments.user not in {_text(fields, "user"), _text(fields, "by")}:
        return False
    if arguments.event is not None and _text(fields, "event") != arguments.event:
        return False
    return _text(fields, "time") >= since


def _told(act: Act, job_id: int) -> list[str]:
    request = act.request
    verb = "submitted" if act.made_it else "refused" if _text(request, "event") == "refusal" else "asked for"
    on = f" on {_text(request, 'cluster')}" if _text(request, "cluster") else ""
    lines = [shown(f"job {job_id}{on}: {verb} by {_text(request, 'user') or 'somebody unknown'}") + _where(request), f"  {_line(request)}"]
    for fields in act.origin:
        if _text(fields, "event") == "sign_in":
            lines.append(f"  signed in{_where(fields)} with password and {shown(_text(fields, 'factor') or 'a second factor')}")
        else:
            lines.append(f"  with the token {shown(_text(fields, 'name') or _text(fields, 'target'))}, made{_where(fields)}")
        lines.append(f"    {_line(fields)}")
    if not act.origin:
        lines.append("  how its sender had signed in is not in the trail any more")
    return lines


def _where(fields: Fields) -> str:
    client = f" ({_text(fields, 'client')})" if _text(fields, "client") else ""
    return shown(f" at {_text(fields, 'time')} from {_text(fields, 'address') or 'an unknown address'}{client}")


def _line(fields: Fields) -> str:
    """Return a line for people: what matters most in front, the rest by name."""
    ahead = [shown(fields[name]) for name in _AHEAD if fields.get(name) is not None]
    rest = [f"{shown(name)}={shown(value)}" for name, value in fields.items() if name not in _UNSHOWN]
    return " ".join([*ahead, *rest])


def _tree(act: Act) -> dict[str, Any]:
    return {"request": act.request, "origin": list(act.origin)}


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
