"""Find out who somebody is.

``credentials`` (read strictly) → ``gate`` and ``throttle`` → ``directory`` (password) → ``factor`` (code: ``totp``, ``recovery``,
``radius``), put together by ``login``. ``enrolment`` gives people their second factor, ``munge`` proves a Unix user for it, and
``ways`` says in words which ways there are.
"""
