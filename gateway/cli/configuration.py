"""What the administrators' commands share: the configuration that the command line names, or a clear end."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from gateway.config import Config, ConfigurationError, SecretFileError, load
from gateway.errors import CommandError
from gateway.store.sealing import KeyRing, load_key_ring

EXIT_CONFIGURATION = 3


def configuration(arguments: argparse.Namespace) -> Config:
    """Return the configuration; every problem goes to standard error, a line each, before CommandError is raised."""
    if arguments.config is None:
        raise CommandError("no configuration is named", "Give --config FILE, or set SLURM_GATEWAY_CONFIG.", exit_code=EXIT_CONFIGURATION)
    try:
        return load(arguments.config)
    except ConfigurationError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        raise CommandError(
            f"{arguments.config} cannot be used", "Correct the lines above; README.md lists every setting.", exit_code=EXIT_CONFIGURATION
        ) from None


def key_ring(config: Config) -> KeyRing:
    """Return the key ring; raise CommandError when it cannot be had."""
    try:
        return load_key_ring(config.store.key_ring_file)
    except SecretFileError as error:
        raise unusable("store.key_ring_file", config.store.key_ring_file, error) from None


def unusable(setting: str, file: Path, error: SecretFileError) -> CommandError:
    """Return the error for keys that ``keys init`` makes: it leaves alone what is there already, so that is no way out then."""
    there = os.path.lexists(file)
    hint = "Mend it, or restore it from a backup: 'keys init' leaves alone what is there." if there else "Make one with 'slurm-gateway keys init'."
    return CommandError(f"{setting}: {error}", hint, exit_code=EXIT_CONFIGURATION)
