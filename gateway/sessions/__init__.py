"""Know whom a token belongs to, and whether they are still who they were.

``tokens`` (opaque, pure) and ``sessions`` (issue, resolve, end) · ``accounts`` (what the directory says now of those who are in) · ``standby``
(what is known while the store is out) · ``enrolling`` (tickets, and tokens for confirming).
"""
