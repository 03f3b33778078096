"""Speaking Slurm: ``names`` (whom nothing is minted for) → ``keys`` → ``minting`` · ``meaning`` (of its answers). No I/O but key files."""
