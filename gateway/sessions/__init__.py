"""Do I know you? ``tokens`` (opaque, pure) and ``sessions`` (issue, resolve, end); ``enrolling`` (tickets, and tokens for confirming)."""
