"""Job files as people write them (JSON, YAML, a batch script with #SBATCH lines), and the request that submits them.

``reading`` (what a file is) → ``trees`` (JSON, YAML) or ``sbatch`` (scripts: ``options``, ``values``) → ``changes`` (what was set by hand, of
``fields``). Only ``reading`` opens files.
"""

from __future__ import annotations

from gateway.client.jobfile.reading import LARGEST, JobFile, read, read_file

__all__ = ["LARGEST", "JobFile", "read", "read_file"]
