"""Find out who somebody is.

``credentials`` (read strictly) → ``turns`` → ``directory`` (whom the name stands for) → ``gate`` and ``throttle`` → ``directory`` (the
password) → ``factor`` (the code: ``totp``, ``recovery``, ``radius``), put together by ``login``. ``enrolment`` gives people their second
factor, ``munge`` proves a Unix user for it, and ``ways`` says in words which ways there are.
"""
