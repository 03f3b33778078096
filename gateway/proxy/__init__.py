"""Carrying it.

One call: ``headers`` (allow-lists, pure) → ``forward`` (sent once) → ``pool`` (whose turn: ``fairness``; which slurmrestd: ``endpoints``,
``breaker``, ``checkup``) → ``connection`` (one exchange, llhttp).

What people share: ``shared`` (kept and joined answers), ``recency`` (who changed what when), ``packing`` and ``negotiation`` (of forms), ``feed``
and ``history`` (of events), and ``workshop`` with its ``workbench``, the process beside the worker where lists are taken apart.
"""
