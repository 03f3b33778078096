"""Do I know you? ``tokens`` (opaque, pure) and ``sessions`` (issue, resolve, end)."""
