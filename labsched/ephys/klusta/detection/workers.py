"""Segments in several processes at a time."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from ..child import die_with
from .chunks import Finder
from .segments import Segment, write


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
        min(processes, len(todo)), mp_context=get_context("fork"), initializer=die_with, initargs=(os.getpid(),)
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
