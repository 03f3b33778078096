"""Speaking Slurm. No I/O but key files.

``names`` (whom nothing is minted for) → ``keys`` → ``minting`` · ``versions`` of the API, ``repair`` of requests, ``meaning`` of answers.
"""
