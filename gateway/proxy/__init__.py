"""Carrying it: ``headers`` (allow-lists, pure) → ``forward`` (one request) → ``pool`` → ``connection`` (one exchange, llhttp)."""
