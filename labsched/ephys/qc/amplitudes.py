"""Metrics of how large a unit's spikes are. Names and formulas are SpikeInterface's (0.105).

Amplitudes are those of a sample of the spikes, spread over the recording, where there are very many.
"""

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
NAN = math.nan

CUTOFF_BINS, CUTOFF_SMOOTHING, CUTOFF_SPIKES = 100, 3, 500
SPIKES_A_BIN, LEAST_BINS = 50, 10
CENSORED_MS = 4.0


def measures(
    amplitudes: Floats,
    samples: Ints,
    mean: Floats,
    noise: float,
    spread: float,
    spikes: int,
    n_samples: int,
    rate: float,
) -> dict[str, Any]:
    """All of this module, by name, for one unit.

    ``amplitudes`` (µV) are those of its spikes at ``samples``; ``mean`` (µV) is its mean waveform on its peak channel,
    which has the robust ``noise`` and the standard deviation ``spread`` (µV); ``spikes`` is how many it has in all.
    """
    if not len(amplitudes):
        names = "snr amplitude_median amplitude_cutoff amplitude_cv_median amplitude_cv_range sd_ratio"
        return dict.fromkeys(names.split(), NAN)
    middle, reach = cv(amplitudes, samples, n_samples)
    return {
        "snr": float(np.abs(mean).max()) / noise if noise > 0 else NAN,
        "amplitude_median": float(np.median(amplitudes)),
        "amplitude_cutoff": cutoff(amplitudes),
        "amplitude_cv_median": middle,
        "amplitude_cv_range": reach,
        "sd_ratio": sd_ratio(amplitudes, samples, mean, spread, spikes, n_samples, rate),
    }


def cutoff(amplitudes: Floats) -> float:
    """The part of the spikes that detection has missed, if their amplitudes were spread alike to both sides of the
    most frequent one; at most 0.5, NaN for fewer than 500 spikes. Hill et al. 2011, J Neurosci 31:8699."""
    from scipy.ndimage import gaussian_filter1d

    if len(amplitudes) < CUTOFF_SPIKES:
        return NAN
    upright = amplitudes if np.median(amplitudes) >= 0 else -amplitudes
    counts, _ = np.histogram(upright, CUTOFF_BINS)
    # the counts stay whole numbers when smoothed, as they do there
    smooth = gaussian_filter1d(counts, CUTOFF_SMOOTHING, mode="nearest")
    mirror = int(np.flatnonzero(smooth >= smooth[0])[-1])
    missed = int(smooth[mirror + 1 :].sum())
    return min(missed / (len(amplitudes) + missed), 0.5)


def cv(amplitudes: Floats, samples: Ints, n_samples: int) -> tuple[float, float]:
    """(Median, and 5th to 95th percentile) of the standard deviation over the mean amplitude, in bins of time with 50
    spikes on average; NaN for fewer than 10 bins (S. Musall's and A. Buccino's)."""
    size = int(SPIKES_A_BIN / len(amplitudes) * n_samples)
    bounds = np.searchsorted(samples, np.arange(0, n_samples + 1, max(size, 1)))
    if len(bounds) - 1 < LEAST_BINS:
        return NAN, NAN
    pairs = pairwise(bounds)
    whole = abs(float(amplitudes.mean()))
    # a bin without a spike makes everything NaN there: so it does here
    found = [float(np.std(amplitudes[a:b])) / whole if b > a else NAN for a, b in pairs]
    if any(math.isnan(each) for each in found):
        return NAN, NAN
    low, high = np.percentile(found, (5, 95))
    return float(np.median(found)), float(high - low)


def sd_ratio(
    amplitudes: Floats, samples: Ints, mean: Floats, spread: float, spikes: int, n_samples: int, rate: float
) -> float:
    """The standard deviation of the amplitudes (from each spike to the next, so that drift does not count; without
    spikes within 4 ms of one before) over that of the channel without the unit itself (Pouzat, Mazor & Laurent 2002,
    J Neurosci Methods 122:43, and SpikeInterface's own corrections)."""
    kept = amplitudes[_apart(samples, round(CENSORED_MS * 1e-3 * rate))].astype(np.float64)
    if len(kept) < 2:
        return 0.0
    part = len(mean) * spikes / n_samples
    own = part * float(np.mean(mean.astype(np.float64) ** 2)) - part**2 * float(np.mean(mean)) ** 2
    rest = spread**2 - own
    return float(np.std(np.diff(kept))) / math.sqrt(2) / math.sqrt(rest) if rest > 0 else NAN


def _apart(samples: Ints, reach: int) -> Ints:
    """Indices of the spikes that remain when each one removes those within `reach` samples after it."""
    following = np.searchsorted(samples, samples + reach, side="right").tolist()
    kept, at = [], 0
    while at < len(following):
        kept.append(at)
        at = following[at]
    return np.array(kept, dtype=np.int64)
