"""What the gateway makes of Slurm's lists of jobs and nodes itself (all pure): fewer fields, fewer items, pages, NDJSON and CSV.

``asking`` (a request to a ``view``) → ``accept`` (which form) · ``cursor`` (where a page ends)
``render`` (a view and slurmrestd's answer to the answer that goes out) → ``reply`` (its parts) · ``choice`` (which items) ·
``values`` (single values) · ``projection`` (which fields) · ``table`` (CSV)

``render`` and what it imports are all that the process needs in which it runs (``gateway.proxy.workshop``); nothing here imports them.
"""
