"""A bounded sample of a recording: short windows, spread evenly over all of it, however long it is."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.recording import Recording

#: Length of a window (s): long enough for slow field potentials, short enough for many of them.
WINDOW_S = 0.5
#: How many windows are read, and at most so many values (samples × channels) in all of them.
WINDOWS = 20
VALUES = 16_000_000
#: At least so many windows are read, whatever the time that it takes, and however many channels there are.
FEWEST = 4
#: Of fewer samples in a row, nothing can be said.
LEAST = 64


@dataclass(frozen=True)
class Window:
    """A piece of the recording: `raw` (channels, n) as the file has it, and `start`, its place in the output."""

    segment: int
    start: int
    raw: NDArray[Any]


def places(lengths: list[int], rate: float, channels: int) -> tuple[int, list[tuple[int, int]]]:
    """(samples of a window, [(segment, first sample in it)]): up to `WINDOWS` of them, spread evenly.

    A window lies within one segment; where all segments are shorter than a window, the longest tells its length.
    """
    size = min(round(WINDOW_S * rate), max(lengths))
    wanted = min(WINDOWS, max(sum(lengths) // size, 1), max(VALUES // (channels * size), FEWEST))
    size = min(size, max(VALUES // (channels * wanted), 256))
    found = []
    ends = np.cumsum(lengths)
    for k in range(wanted):
        middle = int((k + 0.5) / wanted * ends[-1])
        at = int(np.searchsorted(ends, middle, side="right"))
        if lengths[at] < size:
            at = int(np.argmax(np.array(lengths) >= size))
        first = int(np.clip(middle - (ends[at] - lengths[at]) - size // 2, 0, lengths[at] - size))
        if (at, first) not in found:
            found.append((at, first))
    return size, found


def windows(recording: Recording, seconds: float | None = None) -> Iterator[Window]:
    """The windows of a recording, in an order in which the first few are spread over all of it, too.

    With `seconds`, none is begun after so much time has passed, but for the first few.
    """
    began = time.monotonic()
    size, found = places([segment.n_samples for segment in recording.segments], recording.rate, len(recording.labels))
    starts = np.cumsum([0, *(segment.n_samples for segment in recording.segments)])
    for count, k in enumerate(_spread(len(found))):
        if seconds is not None and count >= FEWEST and time.monotonic() - began > seconds:
            return
        at, first = found[k]
        yield Window(at, int(starts[at]) + first, recording.segments[at].fetch(first, first + size))


def _spread(count: int) -> list[int]:
    """0 to count - 1, so that each beginning of the list is spread over the whole (by the bits in reverse)."""
    bits = max(count - 1, 1).bit_length()
    return sorted(range(count), key=lambda k: int(f"{k:0{bits}b}"[::-1], 2))
