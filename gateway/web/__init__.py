"""The front door.

``front`` (opens and ends each request) → ``doorman`` (who is it) → ``auth``, ``sessions``, ``tokens``, ``enrolment``, ``verify``, or
``authority`` (may they) and ``proxied`` · ``admin`` (health, metrics) · what they share: ``context``, ``body``, ``problem``.
"""
