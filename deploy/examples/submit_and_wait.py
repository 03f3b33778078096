"""Submit a job file, wait for the job, and end with its exit code.

Sign in once, then give it a job file::

    slurm-gateway login https://gateway.example.org
    python submit_and_wait.py job.json
"""  # noqa: INP001

import sys
from pathlib import Path

from gateway.client import Gateway, GatewayError


def main(file: Path) -> int:
    """Submit what is in ``file`` and say how it ends."""
    with Gateway.from_site() as gateway:
        submitted = gateway.submit(file)
        for warning in submitted.warnings:
            print("Slurm says:", warning)
        print("submitted as job", submitted.job_id, flush=True)
        failed = 0
        for job in gateway.wait(submitted.job_id):
            print(f"job {job.id} ({job.name}): {job.state}, exit code {job.exit_code}")
            failed = failed or (0 if job.succeeded else job.exit_code or 1)
        return failed


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except GatewayError as error:
        sys.exit(f"{error}\nhint: {error.hint}")
