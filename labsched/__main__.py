"""``python -m labsched``: the command line, where the script `labsched` is not on the PATH."""

import sys

from labsched.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
