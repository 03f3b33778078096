"""Requests that were written for another version of the API, in the form of the one that they are sent to (all pure).

``values`` (of single fields) → ``fields`` (of a job, a table) → ``submission`` (a whole body); ``media`` names what a body is.
"""

from __future__ import annotations

from gateway.slurm.repair.media import content_type_for
from gateway.slurm.repair.submission import Repaired, repair_submission

__all__ = ["Repaired", "content_type_for", "repair_submission"]
