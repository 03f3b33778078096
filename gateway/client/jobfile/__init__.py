"""Job files as people write them (JSON, YAML, a batch script with #SBATCH lines), and the request that submits them (pure)."""

from __future__ import annotations

from gateway.client.jobfile.reading import JobFile, read

__all__ = ["JobFile", "read"]
