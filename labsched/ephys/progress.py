"""Telling whoever runs us how far we are: one line in the file that LABSCHED_PROGRESS names.

The line is ``FRACTION MESSAGE``, for example ``0.40 shank 2 of 4``; the last one written stays as the note of the run.
"""

import os
import time
from pathlib import Path

MIN_INTERVAL_S = 0.2

_last = 0.0


def report(fraction: float, message: str = "") -> None:
    """Write how far we are (0 to 1) and what we do; silent where nobody asked, and where the file cannot be written.

    Calls that follow each other within 0.2 s are dropped, except the first and one with ``fraction`` at 1.
    """
    global _last
    target = os.environ.get("LABSCHED_PROGRESS")
    now = time.monotonic()
    if not target or (fraction < 1 and now - _last < MIN_INTERVAL_S):
        return
    _last = now
    line = f"{min(max(fraction, 0.0), 1.0):.4f} {' '.join(message.split())}\n"
    temporary = Path(f"{target}.{os.getpid()}")
    try:
        temporary.write_text(line)
        temporary.replace(target)
    except OSError:
        temporary.unlink(missing_ok=True)  # progress is a courtesy: a full disk must not fail the work itself
