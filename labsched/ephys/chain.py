"""From a recording's raw numbers to the samples that are referenced: converted, centred, realigned, band-passed.

All of it is linear and the same for every block, so that a block needs nothing but its own raw numbers and, on either
side, as many more as the filters look at.
"""

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsched.ephys import kernels, realign
from labsched.ephys.band import Band, Filter, design
from labsched.ephys.errors import EphysError
from labsched.ephys.recording import Recording, Segment
from labsched.ephys.stream import Block

Floats = NDArray[np.float64]
#: Raw numbers of whatever type the file has.
Numbers = NDArray[Any]
PILOT = 4096


@dataclass(frozen=True)
class Link:
    """What turns a segment's raw numbers into centred units: ``x = raw * ratio - base``, then realigned (`taps`).

    One unit is `Chain.units` µV. `base` is near the mean, so that float32 keeps its precision.
    """

    segment: Segment
    ratio: Floats | None
    base: Floats
    taps: NDArray[np.float32] | None


class Chain:
    """How each segment of a recording becomes samples; `units` are µV per unit, shape (c,), the first segment's.

    Its methods may be called from several threads at once.
    """

    def __init__(self, recording: Recording, band: Band | None = None) -> None:
        """Reads a few samples of each segment. Raises EphysError for a band that the rate does not allow."""
        self.recording = recording
        self.channels = len(recording.labels)
        self.width = kernels.width(self.channels)
        self.units: Floats = np.array(recording.segments[0].gains)
        self.filter: Filter | None = None if band is None else design(band, recording.rate)
        self.links = [_link(segment, self.units) for segment in recording.segments]
        self._lock = threading.Lock()
        self._local = threading.local()

    def samples(self, blocks: Sequence[Block], around: int = 0) -> "Samples":
        """Read neighbouring blocks at once, with at least `around` raw numbers on either side."""
        return Samples(self, blocks, around)

    def margin(self, link: Link) -> int:
        """Samples needed on either side of a block."""
        return (0 if link.taps is None else realign.HALF) + (0 if self.filter is None else self.filter.margin)

    def fetch(self, link: Link, start: int, stop: int) -> Numbers:
        """Raw numbers; one thread at a time where the reader needs that."""
        guard: AbstractContextManager = nullcontext() if link.segment.parallel else self._lock
        with guard:
            return link.segment.fetch(start, stop)

    def scratch(self, name: str, rows: int) -> kernels.Block:
        """A block of this thread's own, to be overwritten at the next call."""
        held = getattr(self._local, name, None)
        if held is None or len(held) < rows:
            held = kernels.block(rows, self.width)
            held[:] = 0.0  # the columns past the last channel are computed along: zeros are fastest
            setattr(self._local, name, held)
        return held[:rows]

    def converted(self, block: Block, link: Link, raw: Numbers) -> kernels.Block:
        """A block's samples (n, width), from its raw numbers with their margins; overwritten at the next call.

        Raises EphysError where a number is NaN or infinite.
        """
        x = self.scratch("loaded", raw.shape[1])
        if not kernels.load(raw, link.ratio, link.base, x):
            raise self.odd(block, link, raw)
        if link.taps is not None:
            moved = self.scratch("moved", len(x) - 2 * realign.HALF)
            kernels.fir(x, link.taps, moved)
            x = moved
        if self.filter is not None:
            kernels.zero_phase(x, self.filter.sos, self.filter.zi)
            x = x[self.filter.margin : len(x) - self.filter.margin]
        return x

    def odd(self, block: Block, link: Link, raw: Numbers) -> EphysError:
        """The sentence for numbers that are none, by the first one's channel and place."""
        wide = np.isfinite(raw.astype(np.float64) if link.ratio is None else raw * link.ratio[:, None])
        at = int(np.argmin(wide.all(axis=0)))
        channel = int(np.argmin(wide[:, at]))
        segment = link.segment
        sample = min(max(block.start + at - self.margin(link), 0), segment.n_samples - 1)
        kind = "NaN" if np.isnan(raw[channel, at]) else "infinite"
        return EphysError(
            f"channel {self.recording.labels[channel]} in {segment.file} has {kind} values, the first at sample "
            f"{segment.first + sample} ({segment.start_s + sample / self.recording.rate:.4f} s): omit the channel, "
            "or export the file again"
        )


class Samples:
    """The samples of some neighbouring blocks, read together, converted one block at a time."""

    def __init__(self, chain: Chain, blocks: Sequence[Block], around: int = 0) -> None:
        self._chain, self._first = chain, blocks[0]
        self._link = chain.links[blocks[0].segment]
        self._margin = chain.margin(self._link)
        self._held = max(self._margin, around)
        self._raw = chain.fetch(self._link, blocks[0].start - self._held, blocks[-1].stop + self._held)

    def raw(self, block: Block, around: int = 0) -> Numbers:
        """Its raw numbers (channels, n + 2 * around), as the file has them; `around` no more than was asked for."""
        begin = block.start - self._first.start + self._held - around
        return self._raw[:, begin : begin + block.n_samples + 2 * around]

    def of(self, block: Block) -> kernels.Block:
        """(n, width) float32, less the base, in units; overwritten at this thread's next call."""
        return self._chain.converted(block, self._link, self.raw(block, self._margin))


def _link(segment: Segment, units: Floats) -> Link:
    ratio = np.array(segment.gains) / units
    plain = np.allclose(ratio, 1, rtol=1e-12, atol=0)
    raw = segment.fetch(0, min(segment.n_samples, PILOT))
    pilot = raw.astype(np.float64)
    base = np.median(np.where(np.isfinite(pilot), pilot, 0.0), axis=1)
    if np.issubdtype(raw.dtype, np.integer):
        base = np.round(base)
    return Link(segment, None if plain else ratio, base if plain else base * ratio, realign.weights(segment.shifts))
