"""``python -m ecnas``."""

import sys

from ecnas.cli import main

if __name__ == "__main__":
    sys.exit(main())
