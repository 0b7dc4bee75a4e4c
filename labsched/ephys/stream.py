"""Going through a recording in bounded memory, block by block, always in the same blocks.

Blocks lie at fixed places in each segment and everything is computed for one block at a time, sums over blocks in
their order: what comes out does not depend, to the bit, on how much is read at once or on how many threads compute.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from labsched.ephys.recording import Recording

#: Values (samples × channels) of a block, so that what is computed for it stays in a processor's cache; and of a read.
BLOCK_VALUES, READ_VALUES = 1 << 18, 1 << 20
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Block:
    """Samples `start` to `stop` of a segment; `output` is where they begin in the concatenated output."""

    index: int
    segment: int
    start: int
    stop: int
    output: int

    @property
    def n_samples(self) -> int:
        return self.stop - self.start


def block_length(channels: int) -> int:
    """Samples in a block: a power of two, about a quarter of a million values over all channels."""
    return max(2048, 1 << (max(BLOCK_VALUES // channels, 1).bit_length() - 1))


def blocks(recording: Recording) -> list[Block]:
    """The fixed blocks of a recording, in order."""
    length = block_length(len(recording.labels))
    found: list[Block] = []
    output = 0
    for index, segment in enumerate(recording.segments):
        for start in range(0, segment.n_samples, length):
            stop = min(start + length, segment.n_samples)
            found.append(Block(len(found), index, start, stop, output + start))
        output += segment.n_samples
    return found


def spread(count: int, most: int) -> set[int]:
    """At most `most` of the indices 0 to `count` - 1, spread evenly."""
    return set(np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist())


def grouped(everything: Sequence[Block], channels: int, chunk: int = 0) -> list[list[Block]]:
    """Blocks that are read together: neighbours in a segment.

    `chunk` is how many samples to read at once (rounded down to blocks, at least one; 0: about a million values).
    """
    at_once = max((chunk or READ_VALUES // channels) // block_length(channels), 1)
    groups: list[list[Block]] = []
    for block in everything:
        group = groups[-1] if groups else []
        if group and len(group) < at_once and (group[-1].segment, group[-1].stop) == (block.segment, block.start):
            group.append(block)
        else:
            groups.append([block])
    return groups


def in_order(
    tasks: Iterable[T], work: Callable[[T], R], *, threads: int = 1, aside: Callable[[int], None] = lambda done: None
) -> Iterator[R]:
    """``work(task)`` for each, results in order, by `threads` threads, of which this one is one.

    At most twice as many tasks as threads are under way. `aside` is called by this thread now and then, with the
    number of results that were handed out: for what must be done beside, in order. What a task raises is raised here,
    when its turn comes.
    """
    others = max(threads, 1) - 1
    coming = iter(tasks)
    waiting: deque[Future[R]] = deque()
    done = 0
    # A pool of no threads there is not; it starts none before it is asked.
    with ThreadPoolExecutor(max(others, 1), thread_name_prefix="denoise") as pool:
        try:
            while True:
                while sum(not each.done() for each in waiting) < 2 * others:
                    task = next(coming, None)
                    if task is None:
                        break
                    waiting.append(pool.submit(work, task))
                while waiting and waiting[0].done():
                    yield waiting.popleft().result()
                    done += 1
                aside(done)
                if len(waiting) < 4 * others + 1 and (task := next(coming, None)) is not None:
                    waiting.append(_at_once(work, task))
                elif waiting:
                    yield waiting.popleft().result()
                    done += 1
                else:
                    break
        finally:
            for each in waiting:
                each.cancel()


def _at_once(work: Callable[[T], R], task: T) -> Future[R]:
    own: Future[R] = Future()
    try:
        own.set_result(work(task))
    except Exception as error:
        own.set_exception(error)
    return own
