"""Everything that is wrong with a configuration, at once: what ``serve`` would say, without serving."""

from __future__ import annotations

import argparse
import json
import sys

from gateway import preflight
from gateway.cli.configuration import EXIT_CONFIGURATION
from gateway.cli.privileges import act_as_owner_of
from gateway.config import Config, ConfigurationError, Parts, load
from gateway.errors import CommandError
from gateway.store.migrate import home


def run(arguments: argparse.Namespace) -> int:
    """Print the problems; return 0 when there are none, else 3."""
    if arguments.config is None:
        raise CommandError("no configuration is named", "Give --config FILE, or set SLURM_GATEWAY_CONFIG.", exit_code=EXIT_CONFIGURATION)
    found, config = _problems(arguments)
    if arguments.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        for problem in found:
            sys.stderr.write(f"{problem}\n")
    if config is None or found:
        raise CommandError(f"{arguments.config}: {len(found)} problem(s)", "Correct them, then check again.", exit_code=EXIT_CONFIGURATION)
    if not arguments.json:
        sys.stdout.write(f"{arguments.config}: nothing is wrong\n")
    return 0


def _problems(arguments: argparse.Namespace) -> tuple[list[str], Config | None]:
    try:
        config = load(arguments.config)
    except ConfigurationError as error:
        # What its right sections name is looked at all the same: everything at once, not one thing after the other.
        _judge_as_the_gateway(error.parts)
        return [*map(str, error.problems), *preflight.problems_of(error.parts)], None
    _judge_as_the_gateway(Parts.of(config))
    return list(preflight.problems(config)), config


def _judge_as_the_gateway(parts: Parts) -> None:
    """See the files with the eyes of the one who will have to read them, not with root's, who may read all."""
    folder = home(parts.store) if parts.store is not None else None
    if folder is not None and folder.is_dir():
        act_as_owner_of(folder)
