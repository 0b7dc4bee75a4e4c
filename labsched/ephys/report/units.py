"""What the page shows of each unit: its waveform, amplitudes, correlograms, presence, metrics and neighbours."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..qc.units import Shank, Sorted, Unit
from .pack import number, scaled, whole

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
#: Correlograms: bins of 1 ms to so many ms on either side, of at most so many spikes of either unit.
BIN_MS, REACH_MS, SPIKES = 1.0, 50.0, 20_000
#: Waveforms are drawn on so many channels at most; so many amplitudes; presence in so many stretches.
CHANNELS, POINTS, STRETCHES = 16, 600, 60
#: Cross-correlograms with so many of the most similar units of the shank, as far as they are so similar.
NEAR, SIMILAR = 3, 0.5
#: Spikes in the drift map, of all shanks together.
DRIFT = 24_000


def gather(found: Sorted, table: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A dictionary for each unit, by shank and cluster. `table` is that of `qc.metrics`."""
    metrics = {(int(row["shank"]), int(row["cluster"])): row for row in table}
    units = []
    for shank in found.shanks:
        mine = [unit for unit in found.units if unit.shank == shank.number]
        likeness = similarities(mine)
        for k, unit in enumerate(mine):
            said = _unit(found, shank, unit, metrics.get((unit.shank, unit.cluster), {}))
            others = [
                j for j in np.argsort(-likeness[k], kind="stable").tolist() if likeness[k, j] >= SIMILAR and j != k
            ]
            said["near"] = [
                {
                    "unit": mine[j].name,
                    "similarity": number(likeness[k, j], 3),
                    "ccg": whole(correlogram(found.train(unit), found.train(mine[j]), found.rate), "i"),
                }
                for j in others[:NEAR]
            ]
            units.append(said)
    return units


def _unit(found: Sorted, shank: Shank, unit: Unit, row: Mapping[str, Any]) -> dict[str, Any]:
    train = found.train(unit)
    shown = channels(unit)
    picked = _some(len(unit.measured), POINTS)
    at = shank.samples[unit.measured][picked]
    edges = np.linspace(0, found.n_samples, STRETCHES + 1)
    return {
        "unit": unit.name,
        "shank": unit.shank,
        "cluster": unit.cluster,
        "label": str(row.get("label") or unit.special or unit.group),
        "group": unit.group,
        "spikes": len(train),
        "peak": shank.labels[unit.peak] if shank.labels else "",
        "reasons": [str(each) for each in row.get("reasons") or ()],
        "metrics": {key: _value(value) for key, value in row.items() if key != "reasons"},
        "wave": {
            "channels": [shank.labels[c] for c in shown],
            "x": [number(shank.positions[c, 0]) for c in shown],
            "y": [number(shank.positions[c, 1]) for c in shown],
            "mean": scaled(unit.mean[:, shown].T),
            "std": scaled(unit.std[:, shown].T),
            "before": found.before,
            "averaged": unit.averaged,
        },
        "amplitudes": {"t": scaled(at / found.rate, "H"), "uv": scaled(unit.amplitudes[picked])},
        "presence": whole(np.histogram(train, edges)[0], "i"),
        "acg": whole(correlogram(train, None, found.rate), "i"),
    }


def _value(value: Any) -> Any:
    return value if value is None or isinstance(value, str | bool) else number(value)


def channels(unit: Unit) -> list[int]:
    """The shank's channels on which a unit is drawn: all, or those where it is largest."""
    size = np.ptp(unit.mean, axis=0) if len(unit.mean) else np.zeros(unit.mean.shape[1])
    return sorted(np.argsort(-size, kind="stable")[:CHANNELS].tolist())


def similarities(units: Sequence[Unit]) -> Floats:
    """Cosines between mean waveforms, all channels together: (units, units); 0 where there is no waveform."""
    if not units:
        return np.zeros((0, 0))
    flat = np.stack([unit.mean.ravel() for unit in units]).astype(np.float64)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    flat = np.divide(flat, norms, out=np.zeros_like(flat), where=norms > 0)
    return np.asarray(flat @ flat.T)


def correlogram(train: Ints, other: Ints | None, rate: float) -> Ints:
    """How often `other` fired so long after `train` (None: itself, the spike itself not counted): counts in bins of
    `BIN_MS` from -`REACH_MS` to `REACH_MS`. Of more spikes than `SPIKES`, the first in each of some stretches count."""
    reach, half = REACH_MS * rate / 1000, round(REACH_MS / BIN_MS)
    counts = np.zeros(2 * half, dtype=np.int64)
    later = train if other is None else other
    if not len(train) or not len(later):
        return counts
    one = _stretches(train)
    low = np.searchsorted(later, one - reach, side="left")
    high = np.searchsorted(later, one + reach, side="left")
    # Each pass pairs every spike with one more of those near it, so that it takes as many passes as there are at most.
    for step in range(int((high - low).max(initial=0))):
        with_one = low + step < high
        lag = later[low[with_one] + step] - one[with_one]
        if other is None:
            lag = lag[(low[with_one] + step) != np.searchsorted(train, one[with_one], side="left")]
        place = np.floor(lag / rate * 1000 / BIN_MS).astype(np.int64) + half
        counts += np.bincount(place[(place >= 0) & (place < 2 * half)], minlength=2 * half)
    return counts


def _stretches(train: Ints) -> Ints:
    """At most `SPIKES` of a train, in runs that are spread over all of it."""
    if len(train) <= SPIKES:
        return train
    runs = 20
    size = SPIKES // runs
    starts = np.linspace(0, len(train) - size, runs).astype(np.int64)
    return np.concatenate([train[start : start + size] for start in starts])


def _some(count: int, most: int) -> Ints:
    """At most so many of the indices below `count`, evenly."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)


def drift(found: Sorted) -> list[dict[str, Any]]:
    """The drift map: of a sample of each shank's spikes, when (s), at which depth (µm), and how large (0 to 1)."""
    result = []
    total = sum(len(shank.samples) for shank in found.shanks)
    for shank in found.shanks:
        if not len(shank.samples):
            continue
        room = max(round(DRIFT * len(shank.samples) / total), 500)
        picked = _some(len(shank.samples), room)
        sizes = {unit.cluster: float(np.abs(unit.amplitudes).mean()) for unit in found.units
                 if unit.shank == shank.number and len(unit.amplitudes)}  # fmt: skip
        level = np.array([sizes.get(int(k), 0.0) for k in shank.clusters[picked]])
        depth = shank.depths[picked, 1]
        low = float(depth.min())
        result.append(
            {
                "shank": shank.number,
                "t": scaled(shank.samples[picked] / found.rate, "H"),
                "low": number(low),
                "depth": scaled(depth - low, "H"),
                "size": scaled(level, "H"),
                "shown": len(picked),
                "spikes": len(shank.samples),
            }
        )
    return result
