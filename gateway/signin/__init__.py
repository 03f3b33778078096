"""Find out who somebody is.

``credentials`` (read strictly) → ``throttle`` → ``directory`` (password) → ``factor`` (code: ``totp``, ``recovery``), put together by
``login``; ``enrolment`` gives people their second factor.
"""
