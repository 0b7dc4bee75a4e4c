"""The spikes of one chunk: where it lies, and what is found in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...kernels import spikes
from .filtering import Thresholds, filtered
from .settings import Settings
from .spline import Spline
from .traces import Traces


@dataclass(frozen=True)
class Chunk:
    """Samples `start` to `stop` are looked at; of what is found there, `low` to `high`, both included, is kept."""

    start: int
    stop: int
    low: int
    high: int

    def keeps(self, times: spikes.Doubles) -> NDArray[np.bool_]:
        """Which times, counted from `start`, are kept."""
        when = times + self.start
        return (self.low <= when) & (when <= self.high)


def chunks(n_samples: int, size: int, overlap: int) -> Iterator[Chunk]:
    """Chunks of `size` that share `overlap` samples with the next, of which each keeps half; the last may be short.

    As klusta has it, the first one also keeps what would lie past the end, and the spikes right between two chunks
    are in both.
    """
    low, start, stop = 0, 0, size
    while True:
        yield Chunk(start, stop, low, stop - overlap // 2)
        low, start, stop = stop - overlap // 2, stop - overlap, stop - overlap + size
        if stop >= n_samples:
            break
    if start < n_samples:
        yield Chunk(start, n_samples, low, n_samples)


@dataclass(frozen=True)
class Group:
    """The kept spikes of a shank, in time: which component each is, its waveform and its masks."""

    components: NDArray[np.int32]
    waveforms: spikes.Traces
    masks: spikes.Traces


@dataclass(frozen=True)
class Found:
    """All components of a chunk as they were found (`times` count from its start), and the kept ones by shank."""

    times: spikes.Doubles
    group_of: NDArray[np.int32]
    groups: dict[int, Group]


@dataclass(frozen=True)
class Finder:
    """Finds the spikes of chunks."""

    traces: Traces
    settings: Settings
    thresholds: Thresholds

    @cached_property
    def spline(self) -> Spline:
        """Interpolates waveforms."""
        return Spline(self.settings.before, self.settings.after)

    @cached_property
    def bounds(self) -> tuple[spikes.Traces, spikes.Traces]:
        """The thresholds of each channel."""
        return self.thresholds.of_channels(self.traces.n_channels, self.settings.live)

    def find(self, chunk: Chunk) -> Found:
        """What is in it. Raises ValueError for data in which klusta's own detection comes to no end either."""
        settings = self.settings
        x = filtered(self.traces.read(chunk.start, chunk.stop), settings)
        n, channels = x.shape
        if x.size >= 2**31:
            raise ValueError("a chunk has more than 2^31 numbers: lower spikedetekt.chunk_size_seconds")
        found = spikes.components(x, settings.mode, *self.bounds, settings.graph, settings.join)
        if not len(found.ends):
            return Found(np.empty(0), np.empty(0, np.int32), {})
        times, masks = self._times(x, found)
        whole = times.astype(np.int64)
        if np.any((whole < settings.before + 1) & (whole + settings.after + 2 >= n)):
            raise ValueError("a chunk is shorter than a waveform: raise spikedetekt.chunk_size_seconds")
        firsts = found.places[np.concatenate(([0], found.ends[:-1]))]
        group_of = settings.group_of[firsts % channels]
        # not a stable sort: spikes at the same time come in the order that klusta gives them
        order = np.argsort(times)
        order = order[chunk.keeps(times[order])]
        groups = {}
        for group in np.unique(group_of[order]):
            mine, columns = order[group_of[order] == group], settings.columns[int(group)]
            waveforms = self.spline.waveforms(x, times[mine], columns)
            groups[int(group)] = Group(mine.astype(np.int32), waveforms, masks[mine][:, columns])
        return Found(times, group_of, groups)

    def _times(self, x: spikes.Traces, found: spikes.Components) -> tuple[spikes.Doubles, spikes.Traces]:
        n, n_channels = x.shape
        height = x.reshape(-1)[found.places]
        height = (height, -height, np.abs(height))[self.settings.mode]
        power = self.settings.weight_power
        normal = self.thresholds.normal(height, found.places % n_channels)
        still = self.thresholds.normal(np.zeros(n_channels, np.float32), np.arange(n_channels))
        still_power = np.power(still, power)
        times, masks = spikes.times(found, n, normal, np.power(normal, power), float(still_power[0]), still)
        if np.isnan(still_power).any() or np.isnan(times).any():
            raise ValueError(
                "most of the signal is exactly 0 on some channel, so that there is no threshold: "
                "omit flat channels, or the flat stretch"
            )
        return times, masks
