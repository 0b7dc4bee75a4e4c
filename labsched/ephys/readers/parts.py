"""A block in parts of many channels each, files or what a file calls segments, as one source."""

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError
from labsched.ephys.probes import Rig
from labsched.ephys.readers import times
from labsched.ephys.readers.source import Source
from labsched.ephys.recording import Segment, keep, listed, natural, padded

Fetch = Callable[[int, int], NDArray]


@dataclass(frozen=True)
class Part:
    """Samples of all channels from one file, before any is omitted.

    ``opener(stack, columns)`` gives ``fetch(start, stop)``, raw numbers (columns, n) within the part. `runs` are those
    without a gap. ``microvolts = raw * gains + offsets``; `known`: the file says so. `counts`: raw are a converter's.
    """

    file: Path
    labels: tuple[str, ...]
    rate: float
    runs: tuple[times.Run, ...]
    gains: tuple[float, ...]
    offsets: tuple[float, ...]
    known: bool
    counts: bool
    opener: Callable[[ExitStack, Sequence[int]], Fetch]
    parallel: bool = False


def together(
    path: Path,
    format: str,
    parts: Sequence[Part],
    omit: Collection[str],
    *,
    files: Sequence[Path],
    notes: Sequence[str] = (),
    stream: str = "",
    wiring: Rig | None = None,
) -> Source:
    """Parts of one recording, in their order. Raises EphysError where rates or channels differ, or there are none."""
    filled = [part for part in parts if part.runs and part.runs[0].count]
    if not filled:
        raise EphysError(f"{path} has no samples: copy it here again")
    first = filled[0]
    for part in filled:
        repeated = sorted({label for label in part.labels if part.labels.count(label) > 1}, key=natural)
        if repeated:
            raise EphysError(f"{part.file} has more than one channel called {listed(repeated)}: rename them")
        if abs(part.rate - first.rate) > 1e-6 * first.rate:
            raise EphysError(
                f"different sampling rates: {first.file.name} {first.rate:g} Hz, {part.file.name} {part.rate:g} Hz: "
                "put them into blocks of their own"
            )
        if set(part.labels) != set(first.labels):
            odd = listed(set(part.labels) ^ set(first.labels))
            raise EphysError(
                f"{first.file} and {part.file} do not have the same channels ({odd} only in one): put them into blocks "
                "of their own"
            )
    return Source(
        path=path,
        files=tuple(files),
        format=format,
        labels=tuple(sorted(first.labels, key=natural)),
        kept=keep(first.labels, omit),
        omitted=tuple(sorted(set(omit), key=natural)),
        rate=first.rate,
        n_samples=sum(run.count for part in filled for run in part.runs),
        n_bytes=sum(file.stat().st_size for file in files),
        gain_known=all(part.known for part in filled),
        notes=tuple(notes),
        opener=lambda kept, scratch, stack: tuple(
            segment for part in filled for segment in _segments(part, kept, stack)
        ),
        stream=stream,
        wiring=wiring,
    )


def _segments(part: Part, kept: Sequence[str], stack: ExitStack) -> list[Segment]:
    columns = [part.labels.index(label) for label in kept]
    inside = part.opener(stack, columns)
    return [
        Segment(
            file=part.file,
            first=run.first,
            n_samples=run.count,
            start_s=run.start_s,
            shifts=(0.0,) * len(columns),
            gains=tuple(part.gains[column] for column in columns),
            offsets=tuple(part.offsets[column] for column in columns),
            counts=part.counts,
            fetch=_within(inside, run),
            parallel=part.parallel,
        )
        for run in part.runs
    ]


def _within(inside: Fetch, run: times.Run) -> Fetch:
    def part(start: int, stop: int) -> NDArray:
        return inside(run.first + start, run.first + stop)

    return lambda start, stop: padded(part, run.count, start, stop)


def timed(path: Path, what: str, stamps: Any, count: int, rate: float) -> list[times.Run]:
    """The runs without a gap by the times (s) of `count` samples, anything that can be sliced.

    Raises EphysError where they go back.
    """
    if len(stamps) != count:
        raise EphysError(f"{what} in {path} has {count} samples but {len(stamps)} times: write the file again")
    try:
        return times.runs(lambda start, stop: np.asarray(stamps[start:stop]), count, 1.0 / rate)
    except times.Backwards as error:
        raise EphysError(
            f"the times of {what} in {path} go back at sample {error.args[0]}: write the file again"
        ) from None
