"""Taking a word of our own command line out of what `ps` shows."""

import os
from contextlib import suppress
from pathlib import Path

_START, _END = 47, 48  # fields of /proc/self/stat after the name, counted from its first: proc(5) calls them 48 and 49


def word(secret: str) -> None:
    """Write dots over a word in the memory that /proc/PID/cmdline is read from. Where that cannot be done, it stays."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[_START - 2]), int(fields[_END - 2])
        with open("/proc/self/mem", "r+b", buffering=0) as memory:  # noqa: PTH123
            memory.seek(start)
            words = memory.read(end - start)
            what = os.fsencode(secret)
            at = words.find(b"\0" + what + b"\0")
            while at >= 0:
                memory.seek(start + at + 1)
                memory.write(b"." * len(what))
                at = words.find(b"\0" + what + b"\0", at + 1)
