"""May you? All pure.

``path`` (the one spelling of a request target) → ``route`` (where it leads, and whether it changes something) → ``scopes`` (what a
personal token may be used for) and ``rules`` (the policy), on ``pattern`` and ``networks``.
"""
