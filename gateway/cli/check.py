"""``slurm-gateway check FILE``: everything that is wrong with a job file, without submitting it.

It is judged for the newest version of the API that the cluster serves, by the description that the cluster gives of itself, after what the gateway
would bring into its form. Without FILE, ``slurm-gateway check`` is for the gateway's administrators: it says everything that is wrong with the
configuration that --config or SLURM_GATEWAY_CONFIG names.
"""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli import person
from gateway.errors import CommandError

_CONFIGURATION = 3


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("check", help="say everything that is wrong with a job file, or with a configuration", description=__doc__)
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="a job file in JSON or YAML, or a batch script with #SBATCH lines; - is standard input"
    )
    person.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check a job file, or the configuration."""
    if arguments.file is not None:
        from gateway.cli import check_job  # noqa: PLC0415 - one of the two is for the server's host alone

        return check_job.run(arguments)
    if arguments.config is None:
        hint = "Name a job file: slurm-gateway check FILE. Administrators name the gateway's configuration: --config, or SLURM_GATEWAY_CONFIG."
        raise CommandError("neither a job file nor a configuration is named", hint, exit_code=_CONFIGURATION)
    from gateway.cli import check_configuration  # noqa: PLC0415 - likewise

    return check_configuration.run(arguments)
