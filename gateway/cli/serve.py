"""``slurm-gateway serve``: run the gateway until SIGTERM; SIGHUP reads the keys anew and opens the audit file anew."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from gateway import preflight
from gateway.cli.configuration import EXIT_CONFIGURATION, configuration
from gateway.config import Config
from gateway.errors import CommandError, StoreUnavailable
from gateway.observe import logs
from gateway.sockets import bind
from gateway.store.migrate import migrate

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("serve", help="run the gateway", description=__doc__)
    parser.add_argument("--workers", type=int, metavar="N", help="processes that serve requests; overrides server.workers")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve; return 0 after a graceful stop."""
    config = _with_workers(configuration(arguments), arguments.workers)
    problems = preflight.problems(config)
    if problems:
        sys.stderr.writelines(f"{problem}\n" for problem in problems)
        raise CommandError(
            f"{arguments.config}: {len(problems)} problem(s)", "Correct them; 'slurm-gateway check' tells.", exit_code=EXIT_CONFIGURATION
        )
    try:
        migrate(config.store)
    except StoreUnavailable as error:
        # Nothing that 'check' looks at: preflight has looked at that.
        raise CommandError(f"store.url: {error.cause}", "See that the gateway's user may write there, and that there is room.") from None
    logs.set_up(config.log.level)
    # Until there is something to reload, a reload is none; by default it would be the end of the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _allow_many_files()
    _leave_no_core()
    listen = config.server
    with contextlib.ExitStack() as held:
        public = held.enter_context(bind(listen.listen, "server.listen", int(listen.socket_mode, 8)))
        admin = held.enter_context(bind(listen.admin_listen, "server.admin_listen")) if listen.admin_listen else None
        if listen.workers == 1:
            # Imported here: what keeps the metrics looks at the environment when it is first imported, and _supervise sets it.
            from gateway import worker  # noqa: PLC0415

            worker.run(config, public, admin)
        else:
            _supervise(config, public, admin)
    for endpoint in (listen.listen, listen.admin_listen):
        if endpoint is not None and endpoint.path is not None:
            Path(endpoint.path).unlink(missing_ok=True)
    return 0


def _with_workers(config: Config, workers: int | None) -> Config:
    if workers is None:
        return config
    if not 1 <= workers <= 64:  # noqa: PLR2004 - as gateway.config.model has it
        raise CommandError("--workers takes a number from 1 to 64", "One for each core that the gateway may use is enough.", exit_code=2)
    return config.model_copy(update={"server": config.server.model_copy(update={"workers": workers})})


def _supervise(config: Config, public: socket.socket, admin: socket.socket | None) -> None:
    folder = tempfile.mkdtemp(prefix="slurm-gateway-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        from prometheus_client import multiprocess  # noqa: PLC0415 - as above

        from gateway import supervisor, worker  # noqa: PLC0415 - as above
        from gateway.proxy.recency import Recency  # noqa: PLC0415 - as above

        recency = Recency(config.server.workers)

        def work(lifeline: int, number: int) -> None:
            recency.write_into(number)
            worker.run(config, public, admin, lifeline, recency)

        supervisor.Supervisor(
            config,
            work,
            multiprocess.mark_process_dead,
            public.close,
        ).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _allow_many_files() -> None:
    """Raise the soft limit on open files to the hard one: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _leave_no_core() -> None:
    """Leave no core dump, which would have keys and tokens in it, and let no other process of this user look inside (prctl(2), PR_SET_DUMPABLE)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)
