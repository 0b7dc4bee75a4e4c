"""Reading through memory maps of neo's without their two faults.

Pages of a map count as memory of this process once they have been touched: they are given back now and then. And a
file that becomes shorter, or whose disk or network is gone, is no error in a map but SIGBUS, which ends the process
without a word: here it ends with a sentence, nothing half-written stays.
"""

import ctypes
import io
import mmap
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

#: Read at most this much (bytes) before pages are given back.
LOT = 1 << 25
_handler: Any = None
#: What is read right now, for the last words of a process whose map has gone.
_reading: list[str] = []
#: What is to be tidied up before the process ends so.
last: list[Callable[[], None]] = []


def maps(holder: Any) -> list[mmap.mmap]:
    """The memory maps that an object of neo's holds, in its attributes and the containers in them."""
    found: dict[int, mmap.mmap] = {}
    for value, _, _ in _held(vars(holder)):
        base: Any = value if isinstance(value, np.ndarray) else None
        while base is not None and not isinstance(base, mmap.mmap):
            base = getattr(base, "_mmap", None) or getattr(base, "base", None)
        if base is not None:
            found[id(base)] = base
    return list(found.values())


def close(holder: Any) -> None:
    """Close the files that an object of neo's keeps open; it opens those of a dictionary again."""
    for value, container, key in list(_held(vars(holder))):
        if isinstance(value, io.IOBase):
            value.close()
            if isinstance(container, dict):
                del container[key]


def _held(container: Any, depth: int = 5) -> Iterator[tuple[Any, Any, Any]]:
    """Everything in nested containers: (value, the container that it is in, under which key)."""
    pairs = container.items() if isinstance(container, dict) else enumerate(container)
    for key, value in list(pairs):
        yield value, container, key
        if depth and isinstance(value, dict | list | tuple) and len(value) < 100_000:
            yield from _held(value, depth - 1)


def forget(known: list[mmap.mmap]) -> None:
    """Give the pages of these maps back; they are read again where they are wanted again."""
    for each in known:
        if not each.closed:
            each.madvise(mmap.MADV_DONTNEED)


@contextmanager
def reading(what: object) -> Iterator[None]:
    """Within, a map that has gone ends the process with exit code 1 and a sentence that names `what`."""
    _install()
    _reading.append(str(what))
    try:
        yield
    finally:
        _reading.pop()


def _install() -> None:
    global _handler
    if _handler is not None:
        return

    # Called by the kernel in the midst of the access that failed, which cannot go on and cannot raise either.
    def gone(number: int) -> None:
        what = _reading[-1] if _reading else "a file"
        for tidy in last:
            tidy()
        line = f"error: cannot read {what}: it became shorter, or its disk or network has gone: see that it is whole "
        os.write(2, (line + "and there, then retry\n").encode())
        os._exit(1)

    library = ctypes.CDLL(None)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int)
    library.signal.argtypes, library.signal.restype = (ctypes.c_int, kind), ctypes.c_void_p
    _handler = kind(gone)
    library.signal(signal.SIGBUS, _handler)
