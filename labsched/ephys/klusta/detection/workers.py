"""Segments in several processes at a time."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from .chunks import Finder
from .segments import Segment, write

PR_SET_PDEATHSIG = 1


def search(
    finder: Finder, todo: Iterable[Segment], folder: Path, fingerprint: str, processes: int
) -> Iterator[Segment]:
    """Find what is in each segment and keep it in `folder`; yields each once it is there, in whatever order.

    Raises BrokenProcessPool where a process was killed.
    """
    todo = list(todo)
    if min(processes, len(todo)) <= 1:
        for segment in todo:
            _search(finder, segment, folder, fingerprint)
            yield segment
        return
    # forked: each begins at once, with all that is imported; they use no thread of this process
    with ProcessPoolExecutor(
        min(processes, len(todo)), mp_context=get_context("fork"), initializer=_begin, initargs=(os.getpid(),)
    ) as pool:
        asked = {pool.submit(_search, finder, segment, folder, fingerprint): segment for segment in todo}
        try:
            for done in as_completed(asked):
                done.result()
                yield asked[done]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _search(finder: Finder, segment: Segment, folder: Path, fingerprint: str) -> None:
    write(folder, fingerprint, segment, [finder.find(chunk) for chunk in segment.chunks])


def _begin(parent: int) -> None:
    """Have the kernel end us when our parent ends, however it does."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGTERM)
