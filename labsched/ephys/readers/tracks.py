"""Channels that are sampled one after the other, as Spike2 does it, put together to segments of one time base."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import times
from labsched.ephys.recording import Segment, padded

#: Channels of one recording may differ by this many samples in length and start: they are sampled one after the other.
SLACK = 2
#: Samples; the precision of times in a long file is no better.
ALIGNED = 1e-5


@dataclass(frozen=True)
class Track:
    """A channel of a file, open: ``fetch(start, stop)`` gives its raw numbers; `runs` are its runs without a gap.

    ``microvolts = raw * gain + offset``.
    """

    label: str
    fetch: Callable[[int, int], NDArray]
    runs: tuple[times.Run, ...]
    gain: float
    offset: float


def aligned(path: Path, tracks: Sequence[Track], counts: bool, rate: float, *, parallel: bool = False) -> list[Segment]:
    """The segments of a file from its kept channels, in their order; `counts`: raw numbers are a converter's;
    `parallel`: several threads may call the tracks' fetch at once.

    Raises EphysError, naming the channel, where their gaps, starts or lengths differ by more than `SLACK` samples.
    """
    first = tracks[0]
    for track in tracks:
        if len(track.runs) != len(first.runs):
            raise EphysError(
                f"channels {first.label} and {track.label} in {path} do not have the same gaps: export the file again, "
                f"or omit {track.label}"
            )
    return [_segment(path, tracks, index, counts, rate, parallel) for index in range(len(first.runs))]


def _segment(path: Path, tracks: Sequence[Track], index: int, counts: bool, rate: float, parallel: bool) -> Segment:
    runs = [track.runs[index] for track in tracks]
    start = min(run.start_s for run in runs)
    late = [(run.start_s - start) * rate for run in runs]
    # Rounded down, so that sample i stays sample i for channels sampled one after the other within an interval.
    whole = [math.floor(each + ALIGNED) for each in late]
    length = max(run.count for run in runs)
    for track, run, shift in zip(tracks, runs, late, strict=True):
        if shift > SLACK + 0.5:
            raise EphysError(
                f"channel {track.label} in {path} begins {shift:.1f} samples after the others "
                f"(at {run.start_s:.6f} s): omit it, or export the channels over the same time"
            )
        if run.count < length - SLACK:
            raise EphysError(
                f"channel {track.label} in {path} has {run.count} samples where others have {length}: omit it, "
                "or export the channels over the same time"
            )
    return Segment(
        file=path,
        first=runs[0].first,
        n_samples=max(run.count + shift for run, shift in zip(runs, whole, strict=True)),
        start_s=start,
        shifts=tuple(max(each - n, 0.0) for each, n in zip(late, whole, strict=True)),
        gains=tuple(track.gain for track in tracks),
        offsets=tuple(track.offset for track in tracks),
        counts=counts,
        fetch=_stacked([track.fetch for track in tracks], runs, whole),
        parallel=parallel,
    )


def _stacked(
    fetches: Sequence[Callable[[int, int], NDArray]], runs: Sequence[times.Run], whole: Sequence[int]
) -> Callable[[int, int], NDArray]:
    """One fetch for all channels, each from its own first sample and whole-sample shift on."""

    def fetch(start: int, stop: int) -> NDArray:
        rows = []
        for get, run, shift in zip(fetches, runs, whole, strict=True):
            begin = run.first

            def inside(a: int, b: int, get: Callable[[int, int], NDArray] = get, begin: int = begin) -> NDArray:
                return get(begin + a, begin + b)

            rows.append(padded(inside, run.count, start - shift, stop - shift))
        return np.stack(rows)

    return fetch
