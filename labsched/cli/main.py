"""`labsched` as a program: what happens before and after the command line, which `door` has."""

import gc
import os
import sys
from contextlib import suppress

LITTLE_GARBAGE = 50_000  # objects
# As a shell says it, 128 and the signal's number; importing `signal` would take a millisecond.
INTERRUPTED = 128 + 2
BROKEN_PIPE = 128 + 13


def script() -> None:
    """Run the command line, then end the process.

    Of the time of a `labsched status`, taking the interpreter apart is a tenth, and so is looking for garbage while
    modules are loaded; there is nothing to take apart here, and no garbage. Hence nothing heavy is imported above.
    """
    gc.set_threshold(LITTLE_GARBAGE)
    from labsched.cli.door import main

    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
