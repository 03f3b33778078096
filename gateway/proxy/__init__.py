"""Carrying it: ``headers`` (allow-lists, pure) → ``forward`` (one request) → ``batching`` → ``pool`` → ``connection`` (one exchange, llhttp)."""
