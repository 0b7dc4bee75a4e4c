"""Going through a recording in bounded memory, block by block, always in the same blocks.

Blocks lie at fixed places in each segment and everything is computed for one block at a time, sums over blocks in
their order: what comes out does not depend, to the bit, on how much is read at once or on how many threads compute.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from labsched.ephys import realign
from labsched.ephys.errors import EphysError
from labsched.ephys.recording import Recording, Segment

#: Values (samples × channels) of a block, so that what is computed for it stays in a processor's cache; and of a read.
BLOCK_VALUES, READ_VALUES = 1 << 18, 1 << 20
#: At most this many samples at this many places tell what the noise is.
NOISE_BLOCKS, NOISE_SAMPLES = 64, 1024
#: At most this many blocks tell the covariance: with 32 channels four million samples, spread over the recording.
COVARIANCE_BLOCKS = 512
T = TypeVar("T")
Floats = NDArray[np.float64]
#: Raw numbers of whatever type the file has.
Numbers = NDArray[Any]


@dataclass(frozen=True)
class Block:
    """Samples `start` to `stop` of a segment; `output` is where they begin in the concatenated output."""

    segment: int
    start: int
    stop: int
    output: int


@dataclass(frozen=True)
class Prepared:
    """What turns a segment's raw numbers into centred units: ``x = raw * ratio - base``, then realigned.

    One unit is `Statistics.units` µV. `base` is near the mean, so that float32 keeps its precision.
    """

    segment: Segment
    ratio: Floats | None
    base: Floats
    moved: realign.Moves


@dataclass(frozen=True)
class Statistics:
    """What the first pass gathers, per kept channel.

    `units`: µV of one unit (shape (c,)); `means`: per segment, in units, relative to each `Prepared.base`;
    `covariance`: µV², of the samples less their segment's mean; `peak`: largest distance from `base`, in units;
    `noise`: a robust standard deviation (median absolute deviation / 0.6745), µV.
    """

    units: Floats
    means: Floats
    covariance: Floats
    peak: Floats
    noise: Floats


def block_length(channels: int) -> int:
    """Samples in a block: a power of two, about a quarter of a million values over all channels."""
    return max(2048, 1 << (max(BLOCK_VALUES // channels, 1).bit_length() - 1))


def blocks(recording: Recording) -> list[Block]:
    """The fixed blocks of a recording, in order."""
    length = block_length(len(recording.labels))
    found, output = [], 0
    for index, segment in enumerate(recording.segments):
        for start in range(0, segment.n_samples, length):
            stop = min(start + length, segment.n_samples)
            found.append(Block(index, start, stop, output + start))
        output += segment.n_samples
    return found


def spread(everything: list[Block], most: int = NOISE_BLOCKS) -> set[int]:
    """Indices of at most `most` blocks, spread evenly."""
    many = min(len(everything), most)
    return set(np.unique(np.linspace(0, len(everything) - 1, many).round().astype(int)).tolist())


def mad(pieces: list[Numbers]) -> Floats:
    """Robust standard deviation per channel of pieces of shape (n, channels)."""
    together = np.concatenate(pieces).astype(np.float64)
    return np.median(np.abs(together - np.median(together, axis=0)), axis=0) / 0.6744897501960817


def prepare(recording: Recording) -> tuple[Floats, list[Prepared]]:
    """(µV per unit of each channel, how to prepare each segment); the unit is the first segment's raw unit."""
    units = np.array(recording.segments[0].gains)
    prepared = []
    for segment in recording.segments:
        ratio = np.array(segment.gains) / units
        plain = np.allclose(ratio, 1, rtol=1e-12, atol=0)
        raw = segment.fetch(0, min(segment.n_samples, 4096))
        pilot = raw.astype(np.float64)
        base = np.median(np.where(np.isfinite(pilot), pilot, 0.0), axis=1)
        if np.issubdtype(raw.dtype, np.integer):
            base = np.round(base)
        moved = realign.plan(segment.shifts)
        prepared.append(Prepared(segment, None if plain else ratio, base if plain else base * ratio, moved))
    return units, prepared


def read(prepared: Prepared, start: int, stop: int) -> Numbers:
    """Raw numbers of a piece, with what realignment needs on both sides; (channels, n), the file's type."""
    margin = realign.HALF if prepared.moved else 0
    return prepared.segment.fetch(start - margin, stop + margin)


def centred(prepared: Prepared, raw: Numbers, move: bool = True) -> NDArray[np.float32]:
    """From raw numbers (with margins) to units less the base, realigned or not: float32, (channels, n)."""
    if not move:
        raw = raw[:, realign.HALF : raw.shape[1] - realign.HALF]
    if prepared.ratio is not None:
        raw = raw * prepared.ratio[:, None]
    if raw.dtype == np.float64:
        x = (raw - prepared.base[:, None]).astype(np.float32)
    else:
        x = np.subtract(raw, prepared.base[:, None].astype(np.float32), dtype=np.float32)
    return realign.apply(prepared.moved, x) if prepared.moved and move else x


def in_order(
    recording: Recording,
    prepared: list[Prepared],
    work: Callable[[int, Block, Numbers], T],
    *,
    chunk: int = 0,
    workers: int = 0,
) -> Iterator[tuple[int, Block, T]]:
    """``work(index, block, raw)`` for every block, results in order, in up to `workers` other threads (0: in this one).

    `chunk` is how many samples to read at once (rounded down to blocks, at least one; 0: about a million values); it
    changes nothing else.
    """
    everything = blocks(recording)
    length = block_length(len(recording.labels))
    at_once = max((chunk or READ_VALUES // len(recording.labels)) // length, 1)
    window = 2 * at_once + workers if workers > 0 else 0
    with ThreadPoolExecutor(max(workers, 1), thread_name_prefix="denoise") as pool:
        waiting: deque[tuple[int, Block, Future[T]]] = deque()
        try:
            for index, block, raw in _raw(everything, prepared, at_once):
                if sum(not future.done() for _, _, future in waiting) < window:
                    waiting.append((index, block, pool.submit(work, index, block, raw)))
                else:
                    # Enough is waiting for the others: this thread lends a hand instead of reading on.
                    own: Future[T] = Future()
                    own.set_result(work(index, block, raw))
                    waiting.append((index, block, own))
                while waiting and waiting[0][2].done():
                    first, its, future = waiting.popleft()
                    yield first, its, future.result()
            while waiting:
                first, its, future = waiting.popleft()
                yield first, its, future.result()
        finally:
            for _, _, future in waiting:
                future.cancel()


def _raw(everything: list[Block], prepared: list[Prepared], at_once: int) -> Iterator[tuple[int, Block, Numbers]]:
    index = 0
    while index < len(everything):
        first = everything[index]
        group = [each for each in everything[index : index + at_once] if each.segment == first.segment]
        how = prepared[first.segment]
        margin = realign.HALF if how.moved else 0
        raw = read(how, first.start, group[-1].stop)
        for each in group:
            yield index, each, raw[:, each.start - first.start : each.stop - first.start + 2 * margin]
            index += 1


def statistics(
    recording: Recording,
    prepared: list[Prepared],
    units: Floats,
    *,
    chunk: int = 0,
    workers: int = 0,
    told: Callable[[float], None] = lambda fraction: None,
) -> Statistics:
    """The first pass: means, covariance, peaks and noise. Raises EphysError for NaN or infinite values, by place.

    Means, peaks and the search for NaN take in every sample, the covariance `COVARIANCE_BLOCKS`.
    """
    everything = blocks(recording)
    heard, correlated = spread(everything), spread(everything, COVARIANCE_BLOCKS)
    channels = len(recording.labels)

    def work(
        index: int, block: Block, raw: Numbers
    ) -> tuple[Floats, Floats, Floats | None, NDArray[np.float32] | None]:
        how = prepared[block.segment]
        _finite(recording, how, block, raw)
        plain = index not in correlated and how.moved
        x = centred(how, raw, move=not plain)
        total = x.sum(axis=1, dtype=np.float64)
        peak = np.maximum(x.max(axis=1), -x.min(axis=1))
        piece = x[:, :NOISE_SAMPLES].T.copy() if index in heard else None
        if index not in correlated:
            return total, peak, None, piece
        wide = x.astype(np.float64)
        return total, peak, wide @ wide.T, piece

    sums = np.zeros((len(recording.segments), channels))
    used = np.zeros_like(sums)
    lengths = np.array([segment.n_samples for segment in recording.segments], dtype=float)
    counts = np.zeros_like(lengths)
    products = np.zeros((channels, channels))
    peaks = np.zeros(channels)
    pieces = []
    for index, block, (total, peak, product, piece) in in_order(
        recording, prepared, work, chunk=chunk, workers=workers
    ):
        sums[block.segment] += total
        peaks = np.maximum(peaks, peak)
        if product is not None:
            products += product
            used[block.segment] += total
            counts[block.segment] += block.stop - block.start
        if piece is not None:
            pieces.append(piece)
        told((index + 1) / len(everything))
    inner = used / np.maximum(counts, 1)[:, None]
    covariance = (products - (inner.T * counts) @ inner) / counts.sum()
    covariance = (covariance + covariance.T) / 2 * np.outer(units, units)
    return Statistics(units, sums / lengths[:, None], covariance, peaks.astype(float), mad(pieces) * np.abs(units))


def _finite(recording: Recording, how: Prepared, block: Block, raw: Numbers) -> None:
    if np.issubdtype(raw.dtype, np.integer) or np.isfinite(raw.sum(dtype=np.float64)):
        return
    channel, at = (int(each[0]) for each in np.nonzero(~np.isfinite(raw)))
    margin = realign.HALF if how.moved else 0
    sample = min(max(block.start + at - margin, 0), how.segment.n_samples - 1)
    kind = "NaN" if np.isnan(raw[channel, at]) else "infinite"
    raise EphysError(
        f"channel {recording.labels[channel]} in {how.segment.file} has {kind} values, the first at sample "
        f"{how.segment.first + sample} ({how.segment.start_s + sample / recording.rate:.4f} s): omit the channel, "
        "or export the file again"
    )
