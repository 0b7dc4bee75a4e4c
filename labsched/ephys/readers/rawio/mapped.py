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
from pathlib import Path
from threading import Event, RLock, Thread
from typing import Any
from weakref import WeakSet

#: Read at most this much (bytes) before pages are given back.
LOT = 1 << 25
_known: "WeakSet[mmap.mmap]" = WeakSet()
_patching = RLock()
_handler: Any = None
#: What is read right now, for the last words of a process whose map has gone.
_reading: list[str] = []
#: What is to be tidied up before the process ends so.
last: list[Callable[[], None]] = []


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


class _Map(mmap.mmap):
    """A map that is known here."""

    def __new__(cls, *args: Any, **options: Any) -> "_Map":
        made = super().__new__(cls, *args, **options)
        _known.add(made)
        return made


def forget() -> None:
    """Give the pages of all known maps back; they are read again where they are wanted again."""
    for each in list(_known):
        if not each.closed:
            each.madvise(mmap.MADV_DONTNEED)


@contextmanager
def known() -> Iterator[None]:
    """Within, whatever is mapped is known, here and in other threads; what they map stays valid as ever."""
    with _patching:
        plain, mmap.mmap = mmap.mmap, _Map  # type: ignore[misc]
        try:
            yield
        finally:
            mmap.mmap = plain  # type: ignore[misc]


@contextmanager
def trimmed() -> Iterator[None]:
    """Within, pages are given back every 3 ms: for what goes through a whole file without a pause."""
    done = Event()

    def trim() -> None:
        while not done.wait(0.003):
            forget()

    thread = Thread(target=trim, name="forget", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        forget()


@contextmanager
def reading(what: object) -> Iterator[None]:
    """Within, a map that has gone ends the process with exit code 1 and a sentence that names `what`."""
    _install()
    _reading.append(str(what))
    try:
        yield
    finally:
        _reading.pop()


class _Action(ctypes.Structure):
    """glibc's struct sigaction."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ulong * (128 // ctypes.sizeof(ctypes.c_ulong))),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


def _install() -> None:
    global _handler
    if _handler is not None:
        return

    # Called by the kernel in the midst of the access that failed, which cannot go on and cannot raise either.
    def gone(number: int, info: int, context: int) -> None:
        what = _file_at(ctypes.c_void_p.from_address(info + 16).value or 0)
        what = what or (_reading[-1] if _reading else "a file")
        for tidy in last:
            tidy()
        line = f"error: cannot read {what}: it became shorter, or its disk or network has gone: see that it is whole "
        os.write(2, (line + "and there, then retry\n").encode())
        os._exit(1)

    kind = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    _handler = kind(gone)
    with_information = 4  # SA_SIGINFO
    action = _Action(ctypes.cast(_handler, ctypes.c_void_p), flags=with_information)
    ctypes.CDLL(None).sigaction(signal.SIGBUS, ctypes.byref(action), None)


def _file_at(address: int) -> str:
    """The file that is mapped there; nothing where none is."""
    with Path("/proc/self/maps").open(encoding="utf-8", errors="replace") as table:
        for line in table:
            row = line.split(maxsplit=5)
            begin, end = (int(each, 16) for each in row[0].split("-"))
            if begin <= address < end and len(row) == 6:
                return row[5].strip().removesuffix(" (deleted)")
    return ""
