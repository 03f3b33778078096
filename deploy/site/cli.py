"""What people type, and how a refusal looks: one line what went wrong, one line `hint:`, exit 1; 2 for usage."""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import control, packages, preconditions, second_debian
from .layout import Layout
from .release import DEFAULT, RELEASES, Release
from .site import ORDER
from .trouble import Trouble
from .up import NO_ORIGIN, up

PORTS = range(1, 65536)
DEFAULT_STATE = "/var/lib/slurm-gateway-demo"

_DESCRIPTION = """\
A whole real Slurm site on loopback: MariaDB, munge, slurmdbd, slurmctld, slurmd, slurmrestd, OpenLDAP, the gateway,
and nginx with TLS. It needs Debian 12 and root. It installs the Debian packages that are missing; apart from those
nothing outside its state directory changes: no account, no file in /etc, no service of the host.
With --release trixie its Slurm is Debian 13's, from a folder in /var/cache/slurm-gateway-demo that all sites share."""
_EPILOG = """\
Several demos run side by side, each with its own --state and --port. A demo's data outlives `down`;
to remove it: `deploy/demo down`, then remove its state directory."""


def main(argv: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    os.umask(0o022)
    try:
        return _run(arguments)
    except Trouble as trouble:
        print(trouble.report(), file=sys.stderr, flush=True)
    except OSError as cause:
        print(f"error: {cause}.\nhint: mend that, then run the command again.", file=sys.stderr, flush=True)
    except Exception as cause:  # noqa: BLE001 - a person gets a sentence, whatever it was
        print(f"error: deploy/demo itself failed: {cause!r}.\nhint: this is a fault of the demo; please report it.", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("error: interrupted.\nhint: `deploy/demo up` goes on from here, `deploy/demo down` ends it.", file=sys.stderr)
    return 1


def _run(arguments: argparse.Namespace) -> int:
    preconditions.check_root()
    if arguments.command == "packages":
        return _install(arguments.names, RELEASES[arguments.release])
    layout = Layout.at(Path(os.path.realpath(arguments.state)))
    match arguments.command:
        case "up":
            return up(layout, arguments.release, arguments.port, arguments.python and arguments.python.absolute(), arguments.origin)
        case "down":
            return control.down(layout)
        case "status":
            return control.status(layout, as_json=arguments.json)
        case "otp":
            return control.otp(layout, arguments.user)
        case action:
            return control.one_service(layout, arguments.service, action)


def _install(names: Sequence[str], release: Release) -> int:
    """Install what Debian lacks, and have the folder of another one, the way `up` does, and no more."""
    lacking = packages.look(*names)
    if lacking:
        print(f"installing {' '.join(lacking)}", flush=True)
        with tempfile.TemporaryDirectory(prefix="slurm-gateway-packages-") as folder:
            packages.install(lacking, Path(folder) / "apt.log")
    if release.folder:
        second_debian.ensure(release.folder)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deploy/demo", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        added.add_argument("--state", default=DEFAULT_STATE, metavar="DIR", help=f"where the site lives (default: {DEFAULT_STATE})")
        return added

    up_command = command("up", "bring the site up, repair what is down, run a first job, print curl lines")
    up_command.add_argument("--port", type=_port, metavar="N", help="the HTTPS port on 127.0.0.1 (default: 8443)")
    up_command.add_argument("--release", choices=tuple(RELEASES), help=f"whose Slurm (default: {DEFAULT})")
    up_command.add_argument("--python", type=Path, metavar="PATH", help="an interpreter whose environment has the gateway, instead of making one")
    up_command.add_argument(
        "--origin",
        type=_origin,
        action="append",
        default=[],
        metavar="URL",
        help="whose web pages may call the gateway, like http://127.0.0.1:8000; repeatable, and remembered until others or 'none' are given",
    )
    add = commands.add_parser("packages", help="only install the Debian packages that the site needs, and those that are named")
    add.add_argument("--release", choices=tuple(RELEASES), default=DEFAULT, help="whose Slurm to have ready as well")
    add.add_argument("names", metavar="NAME", nargs="*")
    command("down", "end the site; its data stays")
    command("status", "say what runs").add_argument("--json", action="store_true", help="for programs")
    command("otp", "print a one-time code that the gateway will accept now").add_argument("user", metavar="USER")
    for action in ("start", "stop", "restart"):
        command(action, f"{action} one service").add_argument("service", metavar="NAME", choices=ORDER, help=", ".join(ORDER))
    return parser


def _origin(text: str) -> str:
    if text != NO_ORIGIN and not re.fullmatch(r"https?://[a-z0-9.:\[\]-]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no origin: scheme, host and port as a browser sends them, and no path")
    return text


def _port(text: str) -> int:
    port = int(text)
    if port not in PORTS:
        raise argparse.ArgumentTypeError(f"{port} is not a port: {PORTS.start} to {PORTS[-1]}")
    return port
