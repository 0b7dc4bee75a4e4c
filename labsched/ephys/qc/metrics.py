"""Quality metrics of every cluster of a sorting: ``table(sorted)``, a dictionary for each."""

import math
from typing import Any

import numpy as np

from . import amplitudes, drift, separation, trains
from .labels import label
from .units import Shank, Sorted, Unit


def table(found: Sorted) -> list[dict[str, Any]]:
    """One row a cluster: ``unit``, ``shank``, ``cluster``, ``channel``, ``group``, ``label``, ``reasons``, then the
    metrics by SpikeInterface's names. What cannot be computed is None. Numbers are plain Python's."""
    rows = []
    for shank in found.shanks:
        units = [unit for unit in found.units if unit.shank == shank.number]
        for unit, separate in separation.shank_measures(shank, units):
            rows.append(_row(found, shank, unit, separate))
    return rows


def _row(found: Sorted, shank: Shank, unit: Unit, separate: dict[str, float]) -> dict[str, Any]:
    train = shank.samples[unit.spikes]
    noise = float(shank.noise[unit.peak]) if len(shank.noise) else 0.0
    spread = float(shank.spread[unit.peak]) if len(shank.spread) else 0.0
    measured = (
        trains.measures(train, found.n_samples, found.rate)
        | amplitudes.measures(
            unit.amplitudes, shank.samples[unit.measured], unit.mean[:, unit.peak], noise, spread, len(train),
            found.n_samples, found.rate,
        )
        | drift.measures(train, shank.depths[unit.spikes, 1], found.n_samples, found.rate)
        | separate
    )  # fmt: skip
    plain = {key: _plain(value) for key, value in measured.items()}
    word, reasons = label(plain, unit.special)
    return {
        "unit": unit.name,
        "shank": unit.shank,
        "cluster": unit.cluster,
        "channel": shank.labels[unit.peak],
        "depth_um": _plain(float(np.median(shank.depths[unit.spikes, 1]))),
        "group": unit.group,
        "label": word,
        "reasons": reasons,
        **plain,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, int):
        return value
    return float(f"{value:.7g}") if math.isfinite(value) else None
