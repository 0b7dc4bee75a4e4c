"""Filtered traces and the thresholds that are found on them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import spikes
from .settings import Settings
from .traces import Traces


def filtered(raw: NDArray, settings: Settings) -> spikes.Traces:
    """(samples, channels), band-passed forth and back as klusta does it.

    Raises ValueError for what is too short to be filtered.
    """
    edge = settings.edge
    if len(raw) <= edge:
        raise ValueError(
            f"a chunk has {len(raw)} samples, and the filter needs more than {edge}: "
            "change spikedetekt.chunk_size_seconds a little"
        )
    # in the type of the samples, where it may wrap around, as scipy's does
    before, after = 2 * raw[:1] - raw[edge:0:-1], 2 * raw[-1:] - raw[-2 : -(edge + 2) : -1]
    whole = np.concatenate((before, raw, after))
    if whole.dtype != np.int16:
        whole = whole.astype(np.float64)
    return spikes.filtered(whole, edge, settings.b, settings.a, settings.zi)


@dataclass(frozen=True)
class Thresholds:
    """Weak and strong: a number, or one for each channel."""

    weak: Any
    strong: Any

    def of_channels(self, n_channels: int, live: NDArray[np.bool_]) -> tuple[spikes.Traces, spikes.Traces]:
        """Both for each channel, as the float32 that a float32 exceeds where it exceeds the threshold itself."""
        both = []
        for threshold in (self.weak, self.strong):
            exact = np.broadcast_to(np.asarray(threshold, np.float64), n_channels)
            near = exact.astype(np.float32)
            near = np.where(near > exact, np.nextafter(near, np.float32(-np.inf)), near)
            both.append(np.where(live, near, np.float32(np.inf)).astype(np.float32))
        return both[0], both[1]

    def normal(self, height: NDArray[np.float32], channels: NDArray[np.intp]) -> spikes.Doubles:
        """0 at the weak threshold and 1 at the strong one, for values on these channels."""
        weak, strong = (each if np.ndim(each) == 0 else each[channels] for each in (self.weak, self.strong))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.clip((height - weak) / (strong - weak), 0, 1)


def thresholds(traces: Traces, settings: Settings) -> Thresholds:
    """From the median magnitude (Quian Quiroga et al. 2004) of excerpts of the filtered signal."""
    x = filtered(_excerpts(traces, settings), settings)
    n_channels = x.shape[1]
    middle: Any = spikes.middle(x)
    if not settings.single:
        middle = np.array([spikes.middle(x, n_channels, c) for c in range(n_channels)])
    factors = np.array(settings.factors)
    found = (factors if settings.single else factors[:, None]) * (middle / 0.6745)
    return Thresholds(found[0], found[1])


def _excerpts(traces: Traces, settings: Settings) -> NDArray:
    """Pieces of the same length, evenly over the recording; all of it where it is shorter than they are together."""
    n, size, count = traces.n_samples, settings.excerpt, settings.excerpts
    if n < count * size:
        return traces.read(0, n)
    step = max((n - size) // (count - 1), size)
    return np.concatenate([traces.read(at, at + size) for at in range(0, min(count * step, n), step)])
