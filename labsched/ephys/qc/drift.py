"""How far a unit moves along the shank. Names and formulas are SpikeInterface's (0.105)."""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .trains import bins

INTERVAL_S, LEAST_SPIKES, LEAST_INTERVALS, LEAST_PART = 60.0, 100, 2, 0.5


def measures(samples: NDArray[np.int64], depths: NDArray[np.float32], n_samples: int, rate: float) -> dict[str, float]:
    """Peak to peak, standard deviation and median absolute deviation (µm) of the median ``depths`` in minutes that have
    at least 100 spikes; NaN where fewer than two minutes were recorded, or more than half of them have too few."""
    edges = bins(n_samples, INTERVAL_S, rate)
    nothing = dict.fromkeys(("drift_ptp", "drift_std", "drift_mad"), math.nan)
    if len(edges) - 1 < LEAST_INTERVALS:
        return nothing
    bounds = np.searchsorted(samples, edges)
    pairs = pairwise(bounds)
    medians = [float(np.median(depths[a:b])) for a, b in pairs if b - a >= LEAST_SPIKES]
    if len(edges) - 1 - len(medians) > LEAST_PART * (len(edges) - 1) or not medians:
        return nothing
    moved = np.array(medians) - float(np.median(depths))
    return {
        "drift_ptp": float(np.ptp(moved)),
        "drift_std": float(np.std(moved)),
        "drift_mad": float(np.median(np.abs(moved - np.median(moved)))),
    }
