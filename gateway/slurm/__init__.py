"""Speaking Slurm, without I/O but key files.

``names`` (whom nothing is minted for) → ``keys`` → ``minting`` · ``meaning`` (of its answers) · ``marking`` (jobs that are to be found again) and
``submitted`` (what became of them).
"""
