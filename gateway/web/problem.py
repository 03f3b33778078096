"""A refusal as RFC 9457 problem details; on Slurm's paths also as the ``errors`` that slurmrestd's clients already show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from gateway.errors import CredentialsRefused, Refusal
from gateway.slurm.meaning import Explained

CONTENT_TYPE = "application/problem+json"
# RFC 9110 section 11.6.1 asks for a challenge. Basic is taken as well, but naming it would make browsers ask for a password alone.
_CHALLENGE = 'Bearer realm="slurm-gateway"'


def document(refusal: Refusal, request_id: str, *, proxied: bool) -> dict[str, Any]:
    """Return the problem document; the inside cause is not in it."""
    tree: dict[str, Any] = {
        "type": "about:blank",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "reason": refusal.reason,
        "hint": refusal.hint,
        "request_id": request_id,
    }
    if proxied:
        error = {"error": refusal.title, "error_number": refusal.status, "description": f"{refusal.detail} {refusal.hint}", "source": "slurm-gateway"}
        tree["errors"] = [error]
    return tree


def of_slurm(explained: Explained, request_id: str) -> bytes:
    """Return the body of the problem document that takes the place of an answer of slurmrestd's which is no JSON."""
    error = {
        "error": explained.title,
        "error_number": explained.status,
        "description": f"{explained.detail} {explained.hint}",
        "source": "slurmrestd",
    }
    tree = {
        "type": "about:blank",
        "title": explained.title,
        "status": explained.status,
        "detail": explained.detail,
        "reason": "slurm_refused",
        "hint": explained.hint,
        "request_id": request_id,
        "errors": [error],
    }
    return json.dumps(tree).encode() + b"\n"


def response(refusal: Refusal, request_id: str, *, proxied: bool) -> web.Response:
    """Return the answer that carries ``refusal``."""
    headers = dict(refusal.headers)
    if refusal.status == 401:  # noqa: PLR2004 - RFC 9110 section 15.5.2
        headers.setdefault("WWW-Authenticate", _CHALLENGE)
    headers["Content-Type"] = CONTENT_TYPE
    body = json.dumps(document(refusal, request_id, proxied=proxied)).encode() + b"\n"
    return web.Response(status=refusal.status, headers=headers, body=body)


@contextmanager
def refused_as(kind: type[CredentialsRefused]) -> Iterator[None]:
    """Put the one answer to whatever was wrong into the words of what was shown here; one that tells more keeps its own."""
    try:
        yield
    except CredentialsRefused as refusal:
        if type(refusal) is not CredentialsRefused:
            raise
        raise kind(refusal.cause) from None
