"""What slurmrestd's answers mean, where their status alone would mislead (all pure).

``answers`` (what stands in one, was the gateway's token refused) and ``causes`` (Slurm's error numbers, in words) → ``explain`` (one answer).
"""

from __future__ import annotations

from gateway.slurm.meaning.answers import controller_answers, might_have_refused_the_token, refused_the_token, submitted_job_id, telltale
from gateway.slurm.meaning.explain import Explained, explain

__all__ = [
    "Explained",
    "controller_answers",
    "explain",
    "might_have_refused_the_token",
    "refused_the_token",
    "submitted_job_id",
    "telltale",
]
