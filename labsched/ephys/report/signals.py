"""What the signal was before and after stage 1: traces, spectra and noise, from a bounded sample of the recording."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .block import Block
from .pack import number, scaled
from .raw import Raw

Floats = NDArray[np.float64]
#: Traces: windows so long (s), and so many values in all of them, raw and de-noised together.
TRACE_S, TRACE_VALUES, TRACES = 0.1, 900_000, 4
#: A window is no shorter (s), and not of more channels.
LEAST_S, MOST_CHANNELS = 0.02, 384
#: Spectra: windows of so many seconds, so many of them, so many values in all, and so many bins of a spectrum.
WINDOW_S, WINDOWS, VALUES, BINS = 0.5, 20, 12_000_000, 120


def spread(n_samples: int, size: int, count: int) -> list[int]:
    """First samples of up to `count` windows of `size`, spread evenly over all, none over another."""
    count = min(count, n_samples // size) if size else 0
    return [int((k + 0.5) / count * n_samples - size / 2) for k in range(count)]


def traces(block: Block, raw: Raw | None) -> dict[str, Any]:
    """Short windows, raw beside de-noised, each channel's mean of the window taken away."""
    if not block.traces or not block.n_samples:
        return {"windows": []}
    shown = list(range(min(len(block.labels), MOST_CHANNELS)))
    labels = [block.labels[k] for k in shown]
    rows = [raw.labels.index(label) for label in labels] if raw else []
    omitted = [label for label in raw.labels if label not in block.labels][:MOST_CHANNELS] if raw else []
    width = (len(shown) * 2 + len(omitted)) if raw else len(shown)
    size = int(min(TRACE_S * block.rate, block.n_samples, TRACE_VALUES / 2 / width))
    size = max(size, min(round(LEAST_S * block.rate), block.n_samples))
    room = max(TRACE_VALUES // max(width * size, 1), 1)
    wanted = [("", start) for start in spread(block.n_samples, size, min(TRACES - 1, room))]
    wanted += _artefact(block, size, block.n_samples) if len(wanted) < room else []
    found = []
    for why, start in wanted:
        after = block.read(start, start + size)[shown]
        before = raw.read(start, start + size) if raw else None
        extra = [raw.labels.index(label) for label in omitted] if raw else []
        found.append(
            {
                "start": start,
                "start_s": start / block.rate,
                "why": why,
                "after": scaled(_centred(after)),
                "before": None if before is None else scaled(_centred(before[rows])),
                "omitted": None if before is None or not extra else scaled(_centred(before[extra])),
            }
        )
    return {"labels": labels, "omitted": omitted, "rate": block.rate, "windows": found}


def _centred(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(x - np.median(x, axis=1, keepdims=True), dtype=np.float32)


def _artefact(block: Block, size: int, total: int) -> list[tuple[str, int]]:
    """The window around the beginning of the longest artefact."""
    listed = [each for each in block.note.get("artefacts") or () if isinstance(each, dict)]
    if not listed:
        return []
    longest = max(listed, key=lambda each: each.get("n_samples") or 0)
    start = int(longest.get("output_first_sample") or 0) - size // 3
    return [(str(longest.get("kind", "artefact")), int(np.clip(start, 0, total - size)))]


def spectra(block: Block, raw: Raw | None) -> dict[str, Any] | None:
    """Power density (µV²/Hz, log10) of each channel before and after: (channels, bins), the median of the windows."""
    if not block.traces or not block.n_samples:
        return None
    size = min(round(WINDOW_S * block.rate), block.n_samples)
    starts = spread(block.n_samples, size, min(WINDOWS, max(VALUES // (size * max(len(block.labels), 1)), 4)))
    hz = np.fft.rfftfreq(size, 1 / block.rate)
    if len(hz) < 4:
        return None
    edges = _edges(hz)
    rows = [raw.labels.index(label) for label in block.labels] if raw else []
    after, before = [], []
    for start in starts:
        after.append(_power(block.read(start, start + size), block.rate, edges))
        was = raw.read(start, start + size) if raw else None
        if was is not None:
            before.append(_power(was[rows], block.rate, edges))
    return {
        "hz": [number(hz[a:b].mean()) for a, b in pairwise(edges)],
        "after": scaled(_median(after)),
        "before": scaled(_median(before)) if before else None,
        "seconds": size * len(starts) / block.rate,
    }


def _edges(hz: NDArray[Any]) -> list[int]:
    """Where bins begin, in equal ratios as far as there are frequencies, and the last one's end."""
    edges = np.unique(np.searchsorted(hz, np.geomspace(hz[1], hz[-1], BINS)))
    return [int(edge) for edge in edges if edge >= 1]


def _power(x: NDArray[np.float32], rate: float, edges: Sequence[int]) -> Floats:
    """µV²/Hz of each channel in bins, by a Hann window."""
    from scipy import fft

    taper = np.hanning(x.shape[1]).astype(np.float32)
    bins = fft.rfft((x - x.mean(axis=1, keepdims=True)) * taper, axis=1)
    power = (np.abs(bins) ** 2) * (2 / (rate * float((taper**2).sum())))
    summed = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
    return np.asarray(summed / np.diff(edges), dtype=np.float64)


def _median(windows: Sequence[Floats]) -> Floats:
    """log10 of the median; 1e-6 µV²/Hz, far below any amplifier, is the least that is told apart."""
    return np.log10(np.maximum(np.median(windows, axis=0), 1e-6))
