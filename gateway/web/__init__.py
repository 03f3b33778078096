"""The front door.

``front`` (opens and ends each request) → ``doorman`` (who is it) → ``auth``, ``sessions``, ``tokens``, ``enrolment``, ``verify``, or ``slurm``,
which leads to ``proxied`` and ``events`` · ``admin`` (health, metrics) · what they share: ``context``, ``body``, ``problem``, ``cors``, ``whole``.

``proxied``: ``versions`` (what the path means) → ``authority`` (may they) → for a read ``waits`` → ``reads``, for a change ``uploads`` (with
``decoding``) → ``mending`` → ``keyed`` (``submitting``, ``looking``) → ``carrying``. One ``call`` is what they hand on.

``events``: ``choosing`` (what one wants to hear) → ``company`` (who listens) → ``eyes`` (who looks at Slurm for them).
"""
