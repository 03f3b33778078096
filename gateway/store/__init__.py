"""Keep what must last.

``tables`` · ``migrate`` (their shape) · ``engine`` (transactions) · ``sealing`` (of secrets) · one file a table: ``sessions``,
``authenticators``, ``attempts``.
"""
