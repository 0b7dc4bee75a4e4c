"""A finished sorting read back: ``load(folder, name)`` gives every cluster with waveforms, amplitudes and features.

Memory is bounded by samples of each cluster's spikes: traces are mapped, features are read piece by piece.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EphysError
from ..klusta.stage import Input, whole
from . import clusters, places
from .traces import Traces, open_traces

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

#: Of a waveform: so much before and after the spike (ms), as SpikeInterface's.
BEFORE_MS, AFTER_MS = 1.0, 2.0
#: Mean waveforms are of at most so many spikes, amplitudes of so many, and so many waveforms are kept for pictures.
WAVEFORMS, AMPLITUDES, KEPT = 500, 5000, 60
#: Features of at most so many spikes of a cluster are kept.
FEATURES = 500


@dataclass(frozen=True)
class Shank:
    """One shank (t: time, c: its channels, n: its spikes).

    ``columns`` are its channels' columns in the data and ``labels`` their names; ``positions`` (c × 2) in µm; ``noise``
    (c, robust) and ``spread`` (c, the standard deviation, spikes and all) in µV. ``samples`` (n, rising) and
    ``clusters`` (n) are the spikes; ``rows`` (n) where each stands in the .kwik and .kwx; ``depths`` (n × 2, µm) where
    each was, by its features (see `places`). Of a sample of the spikes (m): ``picked`` (m), which; ``features``
    (m × c × f).
    """

    number: int
    columns: Ints
    labels: tuple[str, ...]
    positions: Floats
    noise: Floats = field(repr=False)
    spread: Floats = field(repr=False)
    samples: Ints = field(repr=False)
    clusters: Ints = field(repr=False)
    rows: Ints = field(repr=False)
    depths: Floats = field(repr=False)
    picked: Ints = field(repr=False)
    features: Floats = field(repr=False)


@dataclass(frozen=True)
class Unit:
    """One cluster of a shank.

    ``group`` is what the .kwik says of it: noise, mua, good or unsorted; ``special`` is "noise" or "mua" for klusta's
    clusters of what it gave up on, else "". ``spikes`` are indices into the shank's spikes. ``mean`` and ``std``
    (t × c, µV) are of ``averaged`` spikes; ``waveforms`` (k × t × c) are some of them, of the shank's spikes
    ``shown``. ``peak`` is the index among the shank's channels of the one where the mean is farthest from zero (to the
    side on which spikes were detected). ``amplitudes`` (µV) are those there of the shank's spikes ``measured``.
    """

    shank: int
    cluster: int
    group: str
    special: str
    spikes: Ints = field(repr=False)
    mean: Floats = field(repr=False)
    std: Floats = field(repr=False)
    averaged: int
    waveforms: Floats = field(repr=False)
    shown: Ints = field(repr=False)
    peak: int
    amplitudes: Floats = field(repr=False)
    measured: Ints = field(repr=False)

    @property
    def name(self) -> str:
        """As people call it: shank and cluster."""
        return f"{self.shank}.{self.cluster}"


@dataclass(frozen=True)
class Sorted:
    """A whole sorting: ``rate`` in Hz, ``n_samples`` of the recording (gaps not counted), ``before`` the index of the
    spike in a waveform, ``sign`` that of the detected peaks (negative, positive or both)."""

    name: str
    folder: Path
    rate: float
    n_samples: int
    before: int
    sign: str
    gain_known: bool
    shanks: tuple[Shank, ...]
    units: tuple[Unit, ...]
    traces: Traces = field(repr=False)
    data: Input = field(repr=False)

    @property
    def duration_s(self) -> float:
        """Seconds recorded, gaps not counted."""
        return self.n_samples / self.rate

    def shank(self, number: int) -> Shank:
        """The shank of that number."""
        return next(shank for shank in self.shanks if shank.number == number)

    def train(self, unit: Unit) -> Ints:
        """When the unit fired (samples, rising)."""
        return self.shank(unit.shank).samples[unit.spikes]


def load(folder: str | Path, name: str, *, waveforms: bool = True) -> Sorted:
    """Read the finished sorting of block ``name`` in ``folder``; the same every time.

    Without ``waveforms`` nothing is read of the traces: means, noise and amplitudes are empty. Raises EphysError where
    the block is not sorted (yet), or its files cannot be read or do not go together.
    """
    folder = Path(folder)
    if not (folder / f"{name}.sorting.json").is_file():
        raise EphysError(
            f"{name} has no finished sorting in {folder} (no {name}.sorting.json): wait for the klusta stage, or run it"
        )
    data = whole(folder, name)
    traces = open_traces(data)
    before, after = (int(ms * data.rate / 1000) for ms in (BEFORE_MS, AFTER_MS))
    sign = data.params.spikedetekt.detect_spikes
    shanks, units = [], []
    for found in clusters.read(folder / f"{name}.kwik"):
        if len(found.samples) and int(found.samples[-1]) >= len(traces.data):
            raise EphysError(f"{name}.kwik has spikes past the end of {data.raw[0].name}: run the klusta stage again")
        shank = _shank(data, found, traces if waveforms else None)
        shanks.append(shank)
        for cluster in np.unique(found.clusters):
            unit = _unit(found, shank, int(cluster))
            units.append(_measured(unit, shank, traces, before, after, sign) if waveforms else unit)
    if not any(len(shank.samples) for shank in shanks):
        raise EphysError(f"the sorting of {name} has no spikes: there is nothing to look at; sort it again")
    return Sorted(
        name, folder.resolve(), data.rate, len(traces.data), before, sign, bool(data.note.get("gain_known", True)),
        tuple(shanks), tuple(units), traces, data,
    )  # fmt: skip


def _shank(data: Input, found: clusters.Found, traces: Traces | None) -> Shank:
    columns = np.array(found.channels, dtype=np.int64)
    labels: Any = data.note.get("labels") or ()
    picked = _picked(found)
    depths, features = places.read(data.folder / f"{data.name}.kwx", found, picked)
    none = np.zeros(len(columns), dtype=np.float32)
    noise, deviation = traces.noise(columns) if traces and len(columns) else (none, none)
    return Shank(
        found.number,
        columns,
        tuple(str(labels[k]) if k < len(labels) else str(k) for k in columns),
        found.positions,
        noise,
        deviation,
        found.samples,
        found.clusters,
        found.rows,
        depths,
        picked,
        features,
    )


def _picked(found: clusters.Found) -> Ints:
    """Spikes of every cluster, at most so many of each, spread over the recording."""
    each = [spread(np.flatnonzero(found.clusters == k), FEATURES) for k in np.unique(found.clusters)]
    return np.sort(np.concatenate(each)) if each else np.empty(0, dtype=np.int64)


def spread(spikes: Ints, most: int) -> Ints:
    """At most so many of them, as a fixed draw gives them: all parts of the recording alike, rising."""
    if len(spikes) <= most:
        return spikes
    draw = np.random.Generator(np.random.PCG64(len(spikes)))
    return np.sort(draw.choice(spikes, most, replace=False))


def _unit(found: clusters.Found, shank: Shank, cluster: int) -> Unit:
    nothing = np.empty(0, dtype=np.float32)
    none = np.empty(0, dtype=np.int64)
    flat = np.empty((0, len(shank.columns)), dtype=np.float32)
    return Unit(
        shank.number, cluster, found.groups.get(cluster, "unsorted"), found.special.get(cluster, ""),
        np.flatnonzero(shank.clusters == cluster), flat, flat, 0, flat[None], none, 0, nothing, none,
    )  # fmt: skip


def _measured(unit: Unit, shank: Shank, traces: Traces, before: int, after: int, sign: str) -> Unit:
    chosen = spread(unit.spikes, WAVEFORMS)
    shown = spread(chosen, KEPT)
    total = np.zeros((len(shank.columns), before + after))
    squares = np.zeros_like(total)
    kept = []
    for which, waves in traces.snippets(shank.samples[chosen], shank.columns, before, after):
        total += waves.sum(axis=0, dtype=np.float64)
        squares += np.einsum("kct,kct->ct", waves, waves, dtype=np.float64)
        kept.append(waves[np.isin(chosen[which], shown)])
    mean = total / len(chosen)
    std = np.sqrt(np.maximum(squares / len(chosen) - mean**2, 0))
    peak, shift = _peak(mean, before, sign)
    measured = spread(unit.spikes, AMPLITUDES)
    at, column = shank.samples[measured] + shift, shank.columns[peak : peak + 1]
    amplitudes = [waves[:, 0, 0] for _, waves in traces.snippets(at, column, 0, 1)]
    return replace(
        unit,
        mean=np.ascontiguousarray(mean.T, dtype=np.float32),
        std=np.ascontiguousarray(std.T, dtype=np.float32),
        averaged=len(chosen),
        waveforms=np.ascontiguousarray(np.concatenate(kept).transpose(0, 2, 1)),
        shown=shown,
        peak=peak,
        amplitudes=np.concatenate(amplitudes),
        measured=measured,
    )


def _peak(mean: NDArray[np.float64], before: int, sign: str) -> tuple[int, int]:
    """(Which channel of a mean waveform (c × t) has the peak, how many samples after the spike it lies)."""
    seen = {"negative": -mean, "positive": mean}.get(sign, np.abs(mean))
    channel = int(np.argmax(seen.max(axis=1)))
    return channel, int(np.argmax(seen[channel])) - before
