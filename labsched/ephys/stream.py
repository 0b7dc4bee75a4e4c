"""Going through a recording in bounded memory, block by block, always in the same blocks.

Blocks lie at fixed places in each segment and everything is computed for one block at a time, sums over blocks in
their order: what comes out does not depend, to the bit, on how much is read at once or on how many threads compute.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from labsched.ephys import realign
from labsched.ephys.errors import EphysError
from labsched.ephys.recording import Recording, Segment

BLOCK_VALUES = 1 << 20
#: At most this many blocks at this many places tell what the noise is.
NOISE_BLOCKS, NOISE_SAMPLES = 64, 4096
T = TypeVar("T")


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
    ratio: NDArray[np.float64] | None
    base: NDArray[np.float64]
    moved: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True)
class Statistics:
    """What the first pass gathers, per kept channel.

    `units`: µV of one unit (shape (c,)); `means`: per segment, in units, relative to each `Prepared.base`;
    `covariance`: µV², of the samples less their segment's mean; `peak`: largest distance from `base`, in units;
    `noise`: a robust standard deviation (median absolute deviation / 0.6745), µV.
    """

    units: NDArray[np.float64]
    means: NDArray[np.float64]
    covariance: NDArray[np.float64]
    peak: NDArray[np.float64]
    noise: NDArray[np.float64]


def block_length(channels: int) -> int:
    """Samples in a block: a power of two, about a million values over all channels."""
    return max(4096, 1 << (max(BLOCK_VALUES // channels, 1).bit_length() - 1))


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


def noise_places(everything: list[Block]) -> set[int]:
    """Indices of the blocks that the noise is judged by: spread evenly."""
    many = min(len(everything), NOISE_BLOCKS)
    return set(np.unique(np.linspace(0, len(everything) - 1, many).round().astype(int)).tolist())


def mad(pieces: list[NDArray]) -> NDArray[np.float64]:
    """Robust standard deviation per channel of pieces of shape (n, channels)."""
    together = np.concatenate(pieces).astype(np.float64)
    return np.median(np.abs(together - np.median(together, axis=0)), axis=0) / 0.6744897501960817


def prepare(recording: Recording) -> tuple[NDArray[np.float64], list[Prepared]]:
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


def read(prepared: Prepared, start: int, stop: int) -> NDArray:
    """Raw numbers of a piece, with what realignment needs on both sides; (channels, n), the file's type."""
    margin = realign.HALF if prepared.moved else 0
    return prepared.segment.fetch(start - margin, stop + margin)


def centred(prepared: Prepared, raw: NDArray) -> NDArray[np.float32]:
    """From raw numbers (with margins) to realigned units less the base: float32, (channels, n)."""
    if prepared.ratio is not None:
        raw = raw * prepared.ratio[:, None]
    if raw.dtype == np.float64:
        x = (raw - prepared.base[:, None]).astype(np.float32)
    else:
        x = np.subtract(raw, prepared.base[:, None].astype(np.float32), dtype=np.float32)
    return realign.apply(prepared.moved, x) if prepared.moved else x


def in_order(
    recording: Recording,
    prepared: list[Prepared],
    work: Callable[[int, Block, NDArray], T],
    *,
    chunk: int = 0,
    workers: int = 0,
) -> Iterator[tuple[int, Block, T]]:
    """``work(index, block, raw)`` for every block, results in order, in up to `workers` other threads (0: in this one).

    `chunk` is how many samples to read at once (rounded down to blocks, at least one); it changes nothing else.
    """
    everything = blocks(recording)
    length = block_length(len(recording.labels))
    at_once = max(chunk // length, 1)
    inline = workers < 1
    with ThreadPoolExecutor(max(workers, 1), thread_name_prefix="denoise") as pool:
        waiting: deque[tuple[int, Block, Future[T]]] = deque()
        try:
            for index, block, raw in _raw(everything, prepared, at_once):
                if inline:
                    yield index, block, work(index, block, raw)
                    continue
                waiting.append((index, block, pool.submit(work, index, block, raw)))
                del raw
                if len(waiting) > workers:
                    first, its, future = waiting.popleft()
                    yield first, its, future.result()
            while waiting:
                first, its, future = waiting.popleft()
                yield first, its, future.result()
        finally:
            for _, _, future in waiting:
                future.cancel()


def _raw(everything: list[Block], prepared: list[Prepared], at_once: int) -> Iterator[tuple[int, Block, NDArray]]:
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
    units: NDArray[np.float64],
    *,
    chunk: int = 0,
    workers: int = 0,
    told: Callable[[float], None] = lambda fraction: None,
) -> Statistics:
    """The first pass: means, covariance, peaks and noise. Raises EphysError for NaN or infinite values, by place."""
    everything = blocks(recording)
    places = noise_places(everything)
    channels = len(recording.labels)

    def work(index: int, block: Block, raw: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray | None]:
        how = prepared[block.segment]
        _finite(recording, how, block, raw)
        x = centred(how, raw)
        wide = x.astype(np.float64)
        peak = np.maximum(x.max(axis=1), -x.min(axis=1))
        piece = x[:, :NOISE_SAMPLES].T.copy() if index in places else None
        return wide.sum(axis=1), wide @ wide.T, peak, piece

    sums = np.zeros((len(recording.segments), channels))
    products = np.zeros((channels, channels))
    peaks = np.zeros(channels)
    pieces = []
    for index, block, (total, product, peak, piece) in in_order(
        recording, prepared, work, chunk=chunk, workers=workers
    ):
        sums[block.segment] += total
        products += product
        peaks = np.maximum(peaks, peak)
        if piece is not None:
            pieces.append(piece)
        told((index + 1) / len(everything))
    lengths = np.array([segment.n_samples for segment in recording.segments], dtype=float)
    means = sums / lengths[:, None]
    covariance = (products - (means.T * lengths) @ means) / lengths.sum()
    covariance = (covariance + covariance.T) / 2 * np.outer(units, units)
    return Statistics(units, means, covariance, peaks.astype(float), mad(pieces) * units)


def _finite(recording: Recording, how: Prepared, block: Block, raw: NDArray) -> None:
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
