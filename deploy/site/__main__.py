"""`python3 -m deploy.site`, started by the script deploy/demo."""

import os
import sys

from .cli import main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a step that still runs beside the one that failed must not hold the answer up
