"""Keep what must last.

``tables`` · ``migrate`` (their shape) · ``engine`` (transactions) on ``sqlite`` or ``postgresql``, run on ``threads``, with their
``failures`` · ``sealing`` (of secrets) · ``resealing`` (under another key) · ``backup`` · ``people`` (at a glance) · one file a table:
``sessions``, ``accounts``, ``authenticators``, ``attempts``, ``known`` (addresses), ``tickets``, ``spent`` (what is used once), ``audit_heads``,
``submissions`` (idempotency keys).
"""
