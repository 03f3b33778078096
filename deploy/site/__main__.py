"""`python3 -m deploy.site`, started by the script deploy/demo."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
