"""What a recording is once it has been opened: labels, a rate, and segments that are read piece by piece."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError

#: fetch(start, stop) -> raw values, shape (channels, stop - start), in the file's own type; see `Segment.fetch`.
Fetch = Callable[[int, int], NDArray]


@dataclass(frozen=True)
class Segment:
    """One run of samples without a gap, from one file.

    `start_s` is the time (s, on the file's clock) of sample 0 of the common time base, which is that of the earliest
    channel; sample i is at ``start_s + i / rate``. `first` is the index in the file of the segment's first sample.
    `shifts` (samples, 0 to 1) says per channel how much later than the time base it was really sampled: what
    `fetch` gives for sample i of channel c was taken at ``start_s + (i + shifts[c]) / rate``.
    ``microvolts = raw * gains + offsets``. `fetch(start, stop)` also takes indices before 0 and past `n_samples`, and
    repeats the outermost sample there, so that filters have something to stand on. `parallel` says that several
    threads may call it at the same time; otherwise they take turns.
    """

    file: Path
    first: int
    n_samples: int
    start_s: float
    shifts: tuple[float, ...]
    gains: tuple[float, ...]
    offsets: tuple[float, ...]
    counts: bool
    fetch: Fetch
    parallel: bool = False


@dataclass(frozen=True)
class Recording:
    """An open recording with the channels that are kept, in natural order of their labels.

    `omitted` are the labels left out, `gain_known` is False where a file does not say what one bit is worth (it is
    then taken as 1 µV), `notes` are sentences for people about what was found on the way.
    """

    labels: tuple[str, ...]
    omitted: tuple[str, ...]
    rate: float
    segments: tuple[Segment, ...]
    files: tuple[Path, ...]
    format: str
    gain_known: bool
    notes: tuple[str, ...]

    @property
    def n_samples(self) -> int:
        """Samples per channel, over all segments."""
        return sum(segment.n_samples for segment in self.segments)

    @property
    def duration_s(self) -> float:
        """Seconds recorded, gaps not counted."""
        return self.n_samples / self.rate


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key under which Port_2 comes before Port_10."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text) if part)


def listed(labels: Iterable[str]) -> str:
    """Labels for a sentence, in natural order."""
    return ", ".join(sorted(labels, key=natural))


def keep(labels: Collection[str], omit: Collection[str]) -> tuple[str, ...]:
    """The labels that stay once `omit` is taken out, in natural order.

    Raises EphysError for a label that is not there (it lists those that are) and where nothing would be left.
    """
    unknown = sorted(set(omit) - set(labels), key=natural)
    if unknown:
        which = "channel" if len(unknown) == 1 else "channels"
        raise EphysError(f"cannot omit unknown {which} {', '.join(unknown)}: the recording has {listed(labels)}")
    kept = tuple(sorted(set(labels) - set(omit), key=natural))
    if not kept:
        raise EphysError(f"all {len(set(labels))} channels would be omitted: leave at least one of {listed(labels)}")
    return kept


def padded(fetch: Callable[[int, int], NDArray], n_samples: int, start: int, stop: int) -> NDArray:
    """``fetch`` for any range: the part inside 0 to `n_samples`, its outermost samples (last axis) repeated outside."""
    low, high = min(max(start, 0), n_samples - 1), max(min(stop, n_samples), 1)
    low = min(low, high - 1)
    inside = fetch(low, high)
    if low == start and high == stop:
        return inside
    # The index of each wanted sample within what was read.
    take = np.clip(np.arange(start, stop), low, high - 1) - low
    return inside[..., take]


def file_times(segments: Sequence[dict], rate: float, samples: NDArray) -> tuple[NDArray, NDArray]:
    """Where samples of the output lie in the source: (index of the segment, time in s on that file's clock).

    `segments` is that of a NAME.denoise.json; `samples` are indices in the concatenated output, as klusta's spike
    times are. Raises ValueError for an index outside.
    """
    indices = np.asarray(samples, dtype=np.int64)
    starts = np.array([segment["output_first_sample"] for segment in segments], dtype=np.int64)
    end = segments[-1]["output_first_sample"] + segments[-1]["n_samples"]
    if indices.size and (indices.min() < 0 or indices.max() >= end):
        raise ValueError(f"a sample lies outside 0 to {end - 1}")
    which = np.searchsorted(starts, indices, side="right") - 1
    begin = np.array([segment["start_s"] for segment in segments])
    return which, begin[which] + (indices - starts[which]) / rate
