"""``python -m gateway`` is the command ``slurm-gateway``."""

import signal
import sys


def main() -> int:
    """Run the command; an interrupt that comes while it is loaded ends it as any program, not with a traceback."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from gateway.cli.main import main as run  # noqa: PLC0415 - see above

    signal.signal(signal.SIGINT, handler)
    return run()


if __name__ == "__main__":
    sys.exit(main())
