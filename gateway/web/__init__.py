"""The front door.

``front`` (opens and ends each request) → ``doorman`` (who is it) → ``auth`` or ``proxied`` · ``admin`` (health, metrics) · what they
share: ``context``, ``body``, ``problem``.
"""
