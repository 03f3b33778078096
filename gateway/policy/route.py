"""Where a canonical path leads, and whether a request changes something (pure)."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

from gateway.errors import MethodNotAllowed, NotFound

OPENAPI = frozenset({"/openapi", "/openapi.json", "/openapi.yaml", "/openapi/v3"})
# What is judged and what slurmrestd gets. It answers 404 or 405 to the other methods, HEAD with malformed HTTP (SLURM's
# src/slurmrestd/operations.c): the gateway makes HEAD of a GET (RFC 9110 section 9.3.2) and answers OPTIONS itself (9.3.7).
METHODS = ("GET", "POST", "DELETE")
# A call has a name behind the version. slurmrestd takes shorter paths for some call that begins so: POST /slurmdb/v0.0.36 adds accounts.
_CALL = re.compile(r"/slurm(?:db)?/[^/]+/.+")
# No call either, but the beginning of some: to 22.05, POST /slurm/v0.0.37/job is job/submit, which no rule and no audit line would call so.
_NO_CALL = re.compile(r"/slurm/[^/]+/(?:job|new)")
_CLUSTER = re.compile(r"/clusters/([a-z0-9][a-z0-9_-]{0,39})(/.*)")
_CHANGING_GET = re.compile(r"(?:/clusters/[^/]+)?/slurm/[^/]+/(?:reconfigure|job/[^/]+/requeue)")
_JOB = re.compile(r"(?:/clusters/[^/]+)?/slurm/[^/]+/job/([0-9]{1,10})(?:/requeue)?")
_SUBMIT = re.compile(r"/slurm/([^/]+)/job/submit")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_EVENTS = re.compile(r"(?:/clusters/[^/]+)?/events")


@dataclass(frozen=True, slots=True)
class Route:
    """A call of Slurm's: the cluster's name, and the path as its slurmrestd knows it."""

    cluster: str
    path: str


def is_proxied(path: str) -> bool:
    """Tell whether a canonical ``path`` belongs to Slurm: /slurm/…, /slurmdb/…, the OpenAPI documents, /events, or those of a named cluster."""
    return path.startswith(("/slurm/", "/slurmdb/", "/clusters/")) or path in OPENAPI or path == "/events"


def route(path: str, method: str, default_cluster: str, clusters: Container[str]) -> Route:
    """Return where ``path`` leads; raise NotFound for what is not Slurm's or no cluster of ours, MethodNotAllowed for other methods."""
    cluster, inner = _within(path, default_cluster, clusters)
    if inner not in OPENAPI and (_CALL.fullmatch(inner) is None or _NO_CALL.fullmatch(inner)):
        raise NotFound("no_such_path")
    takes = methods_of(inner)
    if method not in takes or method == "OPTIONS":  # to which the front door has the answer
        allow = ", ".join(takes)
        raise MethodNotAllowed("method_not_allowed", detail=f"This call takes {allow}.", hint=f"Use one of {allow}.", headers=(("Allow", allow),))
    return Route(cluster, inner)


def is_events(path: str) -> bool:
    """Tell whether a canonical ``path`` is that of the events of a cluster, named or not."""
    return _EVENTS.fullmatch(path) is not None


def events_cluster(path: str, default_cluster: str, clusters: Container[str]) -> str:
    """Return the cluster whose events ``path`` means; raise NotFound when there is none of that name."""
    return _within(path, default_cluster, clusters)[0]


def _within(path: str, default_cluster: str, clusters: Container[str]) -> tuple[str, str]:
    """Return the cluster's name, and the path without it; raise NotFound."""
    cluster, inner = default_cluster, path
    if path.startswith("/clusters/") and (named := _CLUSTER.fullmatch(path)):
        cluster, inner = named[1], named[2]
    if cluster not in clusters:
        raise NotFound(
            "no_such_cluster", detail="The gateway knows no cluster of that name.", hint="Leave /clusters/NAME out for the default cluster."
        )
    return cluster, inner


def methods_of(path: str) -> tuple[str, ...]:
    """Return the methods that a call of Slurm's takes here; no HEAD where the GET changes something, for a HEAD only looks."""
    if is_events(path):
        return ("GET", "HEAD", "OPTIONS")
    head = () if _CHANGING_GET.fullmatch(path) else ("HEAD",)
    return ("GET", *head, "POST", "DELETE", "OPTIONS")


def changes_something(method: str, path: str) -> bool:
    """Tell whether the call may change the cluster; of GETs two do: reconfigure (23.11 and later) and requeue (26.05)."""
    return method not in _READING or (method != "OPTIONS" and _CHANGING_GET.fullmatch(path) is not None)


def named_job(path: str) -> int | None:
    """Return the id of the job that a call is about by its path, or None."""
    found = _JOB.fullmatch(path)
    return int(found[1]) if found else None


def is_submission(method: str, path: str) -> bool:
    """Tell whether the call submits a job, so that its answer names the job's id."""
    return method == "POST" and _SUBMIT.fullmatch(path) is not None


def submission_version(method: str, path: str) -> str | None:
    """Return the version of the API that a job is submitted to, or None for any other call."""
    found = _SUBMIT.fullmatch(path) if method == "POST" else None
    return found[1] if found else None
