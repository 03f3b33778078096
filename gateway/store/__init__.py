"""Keep what must last.

``tables`` · ``migrate`` (their shape) · ``engine`` (transactions) on ``sqlite`` or ``postgresql`` · ``sealing`` (of secrets) ·
``resealing`` (under another key) · ``backup`` · one file a table: ``sessions``, ``accounts``, ``authenticators``, ``attempts``,
``known`` (addresses), ``tickets``, ``spent`` (what is used once).
"""
