"""One body of a request: what it is called, and, where it submits a job, what is in it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.slurm.repair.fatal import fatal_field
from gateway.slurm.repair.media import JSON, content_type_for
from gateway.slurm.repair.submission import repair_submission
from gateway.slurm.yaml import is_yaml

CONTENT_TYPE = "content-type"
"""What the repair of a body's type is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """The type to send and the body, None where it stays as it is; what was repaired, and why the rest was not, if it had to be left alone."""

    content_type: str | None
    content: bytes | None = None
    repairs: tuple[str, ...] = ()
    problem: str | None = None
    fatal: str | None = None
    """The field for which slurmrestd would end, so that the body must not be sent."""


def repair_body(content: bytes, content_type: str | None, version: str | None) -> Mended:
    """Return what becomes of a body; ``version`` is the one that a submission goes to, None for any other call. It never raises."""
    right = content_type_for(content_type, content)
    named = () if right is None else (CONTENT_TYPE,)
    right = right or content_type
    if version is not None and (fatal := _fatal(content, right, version)) is not None:
        return Mended(content_type=right, fatal=fatal)
    if version is None or right != JSON:
        return Mended(content_type=right, repairs=named)
    done = repair_submission(version, content)
    return Mended(content_type=right, content=done.content if done.repairs else None, repairs=(*named, *done.repairs), problem=done.problem)


def _fatal(content: bytes, content_type: str | None, version: str) -> str | None:
    number = version.rpartition(".")[2]
    return fatal_field(int(number), content, is_yaml=is_yaml(content_type)) if number.isascii() and number.isdigit() else None
