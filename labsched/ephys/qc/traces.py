"""The de-noised samples, read here and there: snippets around spikes, band-passed as klusta did, in µV."""

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import EphysError
from ..klusta.stage import Input

Floats = NDArray[np.float32]
#: So much (s) on either side of a snippet is filtered with it; what lies farther weighs less than 1e-4 at 500 Hz.
MARGIN_S = 0.006
#: Noise is measured on so many chunks of so many samples, as SpikeInterface does.
NOISE_CHUNKS, NOISE_SAMPLES = 20, 10_000
#: So many values are gathered at once, and snippets: the bound of the memory, with the pages of the file around them.
AT_ONCE, SNIPPETS = 4_000_000, 1000


@dataclass(frozen=True)
class Traces:
    """All samples, mapped (samples × channels, int16): only what is touched is read, and it is let go again.

    ``pages`` is the map itself and ``offset`` (bytes) where in the file the samples begin. ``gain`` is in µV a bit;
    ``low``, ``high`` (Hz) and ``order`` are those of klusta's own filter.
    """

    data: NDArray[np.int16] = field(repr=False)
    pages: mmap.mmap = field(repr=False)
    offset: int
    rate: float
    gain: float
    low: float
    high: float
    order: int

    @property
    def margin(self) -> int:
        """Samples on either side of a snippet that its filter wants."""
        return max(math.ceil(MARGIN_S * self.rate * 500.0 / max(self.low, 50.0)), 8)

    def operator(self, width: int) -> Floats:
        """The filter as a matrix (width + 2 margins × width): snippet @ operator, band-passed and in µV."""
        return _operator(width, self.margin, self.rate, self.low, self.high, self.order) * np.float32(self.gain)

    def snippets(
        self, samples: NDArray[np.int64], columns: NDArray[np.int64], before: int, after: int
    ) -> Iterator[tuple[slice, Floats]]:
        """Band-passed snippets (spikes × channels × time, µV) from ``before`` samples ahead of each one of ``samples``
        to ``after`` past it, in batches: (which of the samples, their snippets). Beyond the ends of the recording the
        outermost sample is repeated."""
        width = before + after
        operator = self.operator(width)
        reach = np.arange(-before - self.margin, after + self.margin)
        batch = min(max(1, AT_ONCE // (len(reach) * len(columns))), SNIPPETS)
        for begin in range(0, len(samples), batch):
            which = slice(begin, min(begin + batch, len(samples)))
            raw = self._gather(samples[which], columns, reach)
            # a constant is nothing to a band-pass; taken off before, it costs no digits
            raw -= raw.mean(axis=2, keepdims=True)
            self.forget()
            yield which, raw @ operator

    def _gather(self, samples: NDArray[np.int64], columns: NDArray[np.int64], reach: NDArray[np.int64]) -> Floats:
        """What was recorded around each of these samples (samples × channels × reach), in bits."""
        raw = np.empty((len(samples), len(columns), len(reach)), dtype=np.float32)
        # The channels of one sample lie side by side: one piece a spike is read once, and not once a channel.
        first, last = int(columns.min()), int(columns.max()) + 1
        inside = columns - first
        for k, sample in enumerate(samples.tolist()):
            start, stop = sample + int(reach[0]), sample + int(reach[-1]) + 1
            if start < 0 or stop > len(self.data):
                piece = self.data[np.clip(sample + reach, 0, len(self.data) - 1), first:last]
            else:
                piece = self.data[start:stop, first:last]
            raw[k] = piece.T[inside]
        return raw

    def noise(self, columns: NDArray[np.int64], seed: int = 0) -> tuple[Floats, Floats]:
        """Each channel's noise (µV) in random chunks: (median absolute deviation over 0.6745, standard deviation)."""
        draw = np.random.Generator(np.random.PCG64(seed))
        size = min(NOISE_SAMPLES, len(self.data))
        count = min(NOISE_CHUNKS, max(1, len(self.data) // size))
        starts = np.sort(draw.integers(0, len(self.data) - size + 1, count))
        pieces = [self.chunk(int(start), int(start) + size, columns) for start in starts]
        joined = np.concatenate(pieces)
        middle = np.median(joined, axis=0)
        robust = np.median(np.abs(joined - middle), axis=0) / 0.6744897501960817
        return robust.astype(np.float32), joined.std(axis=0)

    def forget(self) -> None:
        """Let go of the pages that were read: they stay in the system's cache, and count no longer as our memory."""
        self.pages.madvise(mmap.MADV_DONTNEED)

    def chunk(self, start: int, stop: int, columns: NDArray[np.int64]) -> Floats:
        """Samples ``start`` to ``stop`` of some channels, band-passed, in µV (samples × channels)."""
        from scipy.signal import sosfiltfilt

        first, last = max(0, start - self.margin), min(len(self.data), stop + self.margin)
        raw = self.data[first:last][:, columns].astype(np.float64)
        self.forget()
        pad = min(3 * self.margin, len(raw) - 1)
        filtered = sosfiltfilt(_sos(self.rate, self.low, self.high, self.order), raw, axis=0, padlen=pad)
        return np.asarray(filtered[start - first : stop - first] * self.gain, dtype=np.float32)


def _sos(rate: float, low: float, high: float, order: int) -> NDArray[np.float64]:
    """klusta's Butterworth band-pass as second-order sections; it is run forwards and backwards."""
    from scipy.signal import butter

    return np.asarray(butter(order, (low, high), "bandpass", fs=rate, output="sos"))


@cache
def _operator(width: int, margin: int, rate: float, low: float, high: float, order: int) -> Floats:
    """What the filter makes of each sample of a snippet with margins, for every sample within them."""
    from scipy.signal import sosfiltfilt

    # The response to one impulse, far from either end, says it all: the filter is the same everywhere.
    reach = width + 2 * margin
    impulse = np.zeros(4 * reach + 1)
    impulse[2 * reach] = 1.0
    response = sosfiltfilt(_sos(rate, low, high, order), impulse, padtype=None)
    lags = margin + np.arange(width)[None, :] - np.arange(reach)[:, None]
    return np.ascontiguousarray(response[2 * reach + lags], dtype=np.float32)


def open_traces(data: Input) -> Traces:
    """Map what stage 1 wrote; EphysError where it is not there or not as it should be."""
    if len(data.raw) != 1:
        raise EphysError(f"{data.name} has {len(data.raw)} raw data files, and one is expected: run both stages again")
    path = data.raw[0]
    try:
        offset, shape, dtype = _kwd(path) if path.name.endswith(".kwd") else _flat(path, data.channels, data.dtype)
        with path.open("rb") as file:
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        samples: NDArray[np.int16] = np.ndarray(shape, dtype, pages, offset)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise EphysError(f"{path} cannot be read ({said}): run the denoise stage again") from None
    if shape[1] != data.channels:
        raise EphysError(f"{path} has {shape[1]} channels and {data.name}.prm says {data.channels}: mend the .prm")
    detect = data.params.spikedetekt
    return Traces(
        samples,
        pages,
        offset,
        data.rate,
        data.gain or 1.0,
        detect.filter_low,
        detect.filter_high_factor * data.rate,
        detect.filter_butter_order,
    )


def _flat(path: Path, channels: int, name: str) -> tuple[int, tuple[int, int], np.dtype]:
    dtype = np.dtype(name)
    return 0, (path.stat().st_size // (channels * dtype.itemsize), channels), dtype


def _kwd(path: Path) -> tuple[int, tuple[int, int], np.dtype]:
    """Our own .kwd has its samples in one piece: where they begin (bytes), their shape and type."""
    import h5py

    with h5py.File(path, "r") as file:
        names = sorted(file["recordings"])
        if len(names) != 1:
            raise ValueError(f"it has {len(names)} recordings where one is expected")
        data = file["recordings"][names[0]]["data"]
        offset, shape, dtype = data.id.get_offset(), data.shape, data.dtype
    if offset is None:
        raise ValueError("its samples are not in one piece")
    return int(offset), (int(shape[0]), int(shape[1])), dtype
