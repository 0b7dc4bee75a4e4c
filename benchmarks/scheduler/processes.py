"""Whatever a benchmark starts ends with it: also what has left its session, or lost its parent."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import psutil

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
GRACE_S = 5.0


class TooLong(Exception):
    """A part took longer than it may."""


@contextmanager
def guarded() -> Iterator[None]:
    """Adopt the orphans of what is started within; end all of it at the end, and on INT, TERM and HUP."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        end_all()


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise TooLong within, once it has taken so long."""

    def late(_number: int, _frame: FrameType | None) -> NoReturn:
        raise TooLong(f"it took longer than {seconds:g} s, and was ended")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def end_all() -> None:
    """End every process below this one: asked first, then killed. Those that come up meanwhile, too."""
    me, ask = psutil.Process(), True
    while True:
        below = me.children(recursive=True)
        for process in below:
            try:
                process.terminate() if ask else process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(below, GRACE_S if ask else 1.0)
        _reap()
        if not below:
            return
        ask = False


def _reap() -> None:
    """Adopted orphans that have ended are no child of a Popen."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _interrupted(number: int, _frame: FrameType | None) -> NoReturn:
    print(f"ended by {signal.Signals(number).name}", file=sys.stderr)
    raise KeyboardInterrupt
