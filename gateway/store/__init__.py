"""What must last.

``tables`` · ``migrate`` (their shape) · ``engine`` (transactions) · ``sealing`` (of secrets) · ``sessions``, ``authenticators``, ``attempts`` (one file a table).
"""
