"""The first pass: means, covariance, peaks and noise, from a bounded sample of a recording's blocks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.chain import Chain
from labsched.ephys.errors import EphysError
from labsched.ephys.stream import Block, blocks, in_order, spread

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
#: At most this many blocks tell the covariance and the means: with 32 channels a million samples, all over the
#: recording. A recording of up to half a minute is taken as a whole.
SAMPLED_BLOCKS = 128
#: Each fourth of so many samples at so many places, at most, tells what the noise is.
NOISE_BLOCKS, NOISE_SAMPLES = 64, slice(0, 1024, 4)


@dataclass(frozen=True)
class Statistics:
    """What the first pass gathers, per kept channel, of the samples that a `Chain` gives.

    `units`: µV of one unit (shape (c,)); `means`: per segment, in units, relative to each `Link.base` (zeros under a
    band-pass, which leaves none); `covariance`: µV², of the samples less their segment's mean; `peak`: largest
    distance from `base`, in units; `noise`: a robust standard deviation (median absolute deviation / 0.6745), µV;
    `fast`: the same of differences over `artefacts.LAG` samples; `broad`: the same before a band-pass;
    `complete`: every block was looked at.
    """

    units: Floats
    means: Floats
    covariance: Floats
    peak: Floats
    noise: Floats
    fast: Floats
    broad: Floats
    complete: bool


def mad(pieces: list[NDArray]) -> Floats:
    """Robust standard deviation per channel of pieces of shape (n, channels)."""
    together = np.concatenate(pieces).astype(np.float64)
    return np.median(np.abs(together - np.median(together, axis=0)), axis=0) / 0.6744897501960817


def gather(
    chain: Chain,
    *,
    most: int = SAMPLED_BLOCKS,
    threads: int = 1,
    told: Callable[[float], None] = lambda fraction: None,
) -> Statistics:
    """The statistics of a recording, from `most` of its blocks. Raises EphysError for NaN or infinite values, by place.

    Where it finds one it looks for the first; it does not find those that lie outside of the sample.
    """
    everything = blocks(chain.recording)
    chosen = sampled(chain, everything, most)
    heard = spread(len(chosen), NOISE_BLOCKS)
    channels, segments = chain.channels, len(chain.recording.segments)

    def work(task: tuple[int, Block]) -> tuple[Floats, Floats, Floats32, Floats32 | None, Floats | None]:
        number, block = task
        samples = chain.samples([block])
        full = samples.of(block)
        x = full[:, :channels]
        wide = x.astype(np.float64)
        total, product, peak = np.ones(len(wide)) @ wide, wide.T @ wide, _peak(full)[:channels]
        if number not in heard:
            return total, product, peak, None, None
        ratio = chain.links[block.segment].ratio
        raw = samples.raw(block)[:, NOISE_SAMPLES].astype(np.float64).T
        return total, product, peak, x[NOISE_SAMPLES].copy(), raw if ratio is None else raw * ratio

    sums, counts = np.zeros((segments, channels)), np.zeros(segments)
    products, peaks = np.zeros((channels, channels)), np.zeros(channels)
    pieces, raws = [], []
    try:
        made = in_order(enumerate(chosen), work, threads=threads)
        for block, (total, product, peak, piece, raw) in zip(chosen, made, strict=True):
            sums[block.segment] += total
            counts[block.segment] += block.n_samples
            products += product
            peaks = np.maximum(peaks, peak)
            if piece is not None and raw is not None:
                pieces.append(piece)
                raws.append(raw)
                told(len(pieces) / len(heard))
    except EphysError:
        _first_odd(chain, everything)
        raise
    means = sums / np.maximum(counts, 1)[:, None]
    covariance = (products - (means.T * counts) @ means) / counts.sum()
    covariance = (covariance + covariance.T) / 2 * np.outer(chain.units, chain.units)
    return Statistics(
        units=chain.units,
        means=means if chain.filter is None else np.zeros_like(means),
        covariance=covariance,
        peak=peaks.astype(float),
        noise=mad(pieces) * np.abs(chain.units),
        fast=mad([np.diff(piece, axis=0) if len(piece) > 1 else piece * 0 for piece in pieces]) * np.abs(chain.units),
        broad=mad(raws) * np.abs(chain.units),
        complete=len(chosen) == len(everything),
    )


def _peak(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest absolute value of each column; in long rows, since numpy is slow in short ones."""
    fold = np.gcd(len(x), 64)
    rows = x.reshape(len(x) // fold, fold * x.shape[1])
    return np.maximum(rows.max(axis=0), -rows.min(axis=0)).reshape(fold, x.shape[1]).max(axis=0)


def sampled(chain: Chain, everything: list[Block], most: int) -> list[Block]:
    """The blocks that are looked at: spread evenly, and, where means are wanted, at least one of each segment."""
    indices = spread(len(everything), most)
    if chain.filter is None:
        seen = {everything[index].segment for index in indices}
        mine: dict[int, list[int]] = {}
        for block in everything:
            mine.setdefault(block.segment, []).append(block.index)
        indices |= {its[len(its) // 2] for segment, its in mine.items() if segment not in seen}
    return [everything[index] for index in sorted(indices)]


def _first_odd(chain: Chain, everything: list[Block]) -> None:
    """Raises EphysError for the first NaN or infinite value: the sample may have shown a later one."""
    for block in everything:
        link = chain.links[block.segment]
        raw = chain.fetch(link, block.start, block.stop)
        if not np.isfinite(raw).all():
            chain.samples([block]).of(block)
