"""Speaking Slurm. No I/O but key files.

``names`` (whom nothing is minted for) → ``keys`` → ``minting`` · ``versions`` of the API, ``repair`` of requests, ``meaning`` of answers ·
``marking`` (jobs that are to be found again) and ``submitted`` (what became of them) · ``freshness`` of lists, ``views`` of them, the ``states``
of their jobs in Slurm's ``vocabulary``, and the ``body`` that they are kept in.
"""
