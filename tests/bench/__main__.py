"""The benchmarks of the table: ``tests/bench/run [NAME…]``."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import time
from pathlib import Path

from tests.bench.servers import benching, running_site
from tests.bench.table import HEAD

NAMES = ("small_get", "submits", "stub", "verify", "slow_readers", "listeners", "pollers", "pollers_changing")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all without any")
    parser.add_argument("--rounds", type=int, default=3, help="how often each comparison is made (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="how long each side of it takes (%(default)s)")
    parser.add_argument("--state", type=Path, help="a site that runs already; else one is started and ended")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in NAMES]:
        parser.error(f"no benchmark is called {unknown[0]}; there are {', '.join(NAMES)}")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that nothing is left behind
    with running_site(arguments.state) as site, benching(site, arguments.rounds, arguments.seconds) as bench:
        print(
            f"\nSlurm {site.told['slurm_version']}, medians of {arguments.rounds} rounds of {arguments.seconds:.0f} s, interleaved\n\n{HEAD}",
            flush=True,
        )
        for name in arguments.names or NAMES:
            began = time.monotonic()
            for row in importlib.import_module(f"tests.bench.{name}").measure(bench):
                print(row, flush=True)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
