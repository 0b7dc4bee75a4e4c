"""Metrics of when a unit fires. Names and formulas are SpikeInterface's (0.105); `samples` rise, durations in samples.

What cannot be computed is NaN.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
NAN = math.nan

PRESENCE_BIN_S = 60.0
RANGE_BIN_S = 5.0
ISI_MS = 1.5
REFRACTORY_MS = 1.0
#: Of the sliding refractory period (IBL): contaminations that are tried, the bin (ms), where it begins and ends (ms).
CONTAMINATIONS = np.arange(1, 71) * 0.005
SLIDING_BIN_MS, SLIDING_FROM_MS, SLIDING_TO_MS = 0.25, 0.5, 10.0
CONFIDENCE = 0.9


def measures(samples: Ints, n_samples: int, rate: float) -> dict[str, Any]:
    """All of this module, by name, for one unit of at least one spike."""
    count, ratio = isi_violations(samples, n_samples, rate)
    violations, contamination = rp_violations(samples, n_samples, rate)
    return {
        "num_spikes": len(samples),
        "firing_rate": len(samples) / n_samples * rate,
        "presence_ratio": presence_ratio(samples, n_samples, rate),
        "isi_violations_ratio": ratio,
        "isi_violations_count": count,
        "rp_contamination": contamination,
        "rp_violations": violations,
        "sliding_rp_violation": sliding_rp_violation(samples, n_samples, rate),
        "firing_range": firing_range(samples, n_samples, rate),
    }


def bins(n_samples: int, seconds: float, rate: float) -> Ints:
    """The edges (samples) of the whole bins that a recording has."""
    size = int(seconds * rate)
    return np.arange(0, n_samples // size * size + 1, size)


def presence_ratio(samples: Ints, n_samples: int, rate: float) -> float:
    """The part of all minutes in which the unit fires; NaN for a recording of less than one."""
    edges = bins(n_samples, PRESENCE_BIN_S, rate)
    if len(edges) < 2:
        return NAN
    counts, _ = np.histogram(samples, edges)
    return float(np.mean(counts > 0))


def firing_range(samples: Ints, n_samples: int, rate: float) -> float:
    """From the 5th to the 95th percentile of the firing rate (Hz) in bins of 5 s (S. Musall's)."""
    edges = bins(n_samples, RANGE_BIN_S, rate)
    if len(edges) < 2:
        return NAN
    counts, _ = np.histogram(samples, edges)
    low, high = np.percentile(counts / RANGE_BIN_S, (5, 95))
    return float(high - low)


def isi_violations(samples: Ints, n_samples: int, rate: float) -> tuple[int, float]:
    """(How many intervals are shorter than 1.5 ms, the rate of the spikes that would cause as many over the unit's):
    Hill et al. 2011, J Neurosci 31:8699, as UltraMegaSort has it."""
    # in seconds, as the threshold is: an interval of just 1.5 ms is one or the other by the last digit
    count = int(np.count_nonzero(np.diff(samples / rate) < ISI_MS / 1000))
    n, seconds = len(samples), n_samples / rate
    return count, count / (2 * n * ISI_MS / 1000) / (n / seconds)


def rp_violations(samples: Ints, n_samples: int, rate: float) -> tuple[int, float]:
    """(How many pairs of spikes are no more than 1 ms apart, which part of the spikes would then be another unit's):
    Llobet, Wyngaard & Barbour 2022, bioRxiv 2022.02.08.479192."""
    reach = round(REFRACTORY_MS * rate * 1e-3)
    n = len(samples)
    pairs = int((np.searchsorted(samples, samples + reach, side="right") - np.arange(n) - 1).sum())
    if n < 2:
        return pairs, NAN
    rest = 1 - pairs * n_samples / (n**2 * reach)
    return pairs, 1.0 if rest < 0 else 1 - math.sqrt(rest)


def sliding_rp_violation(samples: Ints, n_samples: int, rate: float) -> float:
    """The least contamination (0.005 to 0.35) that some refractory period from 0.5 to 10 ms rules out with 90 %
    confidence; NaN where none does. IBL et al. 2022 (figshare 19705522), after slidingRefractory (Steinmetz lab)."""
    from scipy.special import pdtr

    size = round(rate * SLIDING_BIN_MS * 1e-3)
    if size < 1:
        return NAN
    width = size * 1e3 / rate
    count = int(SLIDING_TO_MS / width + 1e-9)
    counts = np.cumsum(_lags(samples, size, count))
    ends = np.arange(1, count + 1) * size / rate
    centres = ends - size / rate / 2
    tested = centres > SLIDING_FROM_MS / 1000
    n = len(samples)
    alien = n * CONTAMINATIONS[:, None]
    expected = 2 * ends * rate / n_samples * alien * (n - alien + (alien - 1) / 2)
    confidence = 1 - pdtr(counts, np.maximum(expected, 0))
    sure = np.flatnonzero((confidence[:, tested] > CONFIDENCE).any(axis=1))
    return float(CONTAMINATIONS[sure[0]]) if len(sure) else NAN


def _lags(samples: Ints, size: int, count: int) -> Ints:
    """How many pairs of spikes lie 0 to `size`, `size` to 2 `size`, ... samples apart: `count` numbers."""
    found = np.zeros(count, dtype=np.int64)
    for step in range(1, len(samples)):
        apart = samples[step:] - samples[:-step]
        near = apart[apart < size * count] // size
        if not len(near):
            break  # samples rise: those of more steps are farther apart
        found += np.bincount(near, minlength=count)
    return found
