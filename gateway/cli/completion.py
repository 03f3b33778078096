"""``slurm-gateway completion SHELL``: prints what makes TAB complete for you.

It knows commands, options, sites, job files and the numbers of your jobs.

bash, for good: add this line to ~/.bashrc
    eval "$(slurm-gateway completion bash)"

zsh, for good: add this line to ~/.zshrc, below the one that calls compinit
    eval "$(slurm-gateway completion zsh)"

fish, for good: run this once, in ~/.config/fish/completions
    slurm-gateway completion fish > slurm-gateway.fish
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

SHELLS = ("bash", "zsh", "fish")


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser(
        "completion", help="have TAB complete in your shell", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the code that the shell is to read."""
    from argcomplete.shell_integration import shellcode  # noqa: PLC0415 - no other command needs it

    sys.stdout.write(shellcode(["slurm-gateway"], shell=arguments.shell))
    if sys.stdout.isatty():
        sys.stderr.write(f"That is for {arguments.shell} to read: 'slurm-gateway completion --help' tells how.\n")
    return 0
