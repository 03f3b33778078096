"""Do I know you, and are you still who you were?

``tokens`` (opaque, pure) and ``sessions`` (issue, resolve, end) · ``accounts`` (what the directory says now of those who are in) · ``standby``
(what is known while the store is out) · ``enrolling`` (tickets, and tokens for confirming).
"""
