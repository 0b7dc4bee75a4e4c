"""Realignment of channels that were sampled one after the other: a constant delay of part of a sample for each.

A band-limited signal is sampled anew by convolution with a sinc, here under a Kaiser window (Smith, "Digital Audio
Resampling", ccrma.stanford.edu/~jos/resample; Kaiser & Schafer 1980). 65 taps with
β = 8 keep a sine's error below 2e-4 up to 0.46 of the sampling rate; a cubic spline through the samples (which at a
constant delay is a 65-tap FIR too) is off by up to 0.01 at 0.2 of the rate, 0.07 at 0.3 and 0.5 at 0.44.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from labsched.ephys import kernels

#: Samples needed on either side.
HALF = 32
BETA = 8.0
#: A shift (samples) below this is none: the channel passes as it is, to the bit.
ALIGNED = 1e-5


def kernel(shift: float) -> NDArray[np.float64]:
    """The 65 weights h with ``y[i] = sum_k h[k + 32] * x[i + k]``, k = -32 .. 32.

    x[i] was taken at i + shift (0 <= shift < 1), y[i] is at i. The weights sum to 1, so that a constant stays one.
    """
    if abs(shift) < ALIGNED:
        return (np.arange(-HALF, HALF + 1) == 0).astype(float)
    at = np.arange(-HALF, HALF + 1) + shift
    edge = np.clip(1 - (at / (HALF + 1)) ** 2, 0, None)
    weights = np.sinc(at) * np.i0(BETA * np.sqrt(edge)) / np.i0(BETA)
    return weights / weights.sum()


def weights(shifts: Sequence[float]) -> NDArray[np.float32] | None:
    """The kernels of all channels as `kernels.fir` takes them, (65, width); None where no channel must be moved."""
    # Rounded to a millionth of a sample, so that thousands of segments share theirs.
    rounded = tuple(round(shift, 6) if abs(shift) >= ALIGNED else 0.0 for shift in shifts)
    return _weights(rounded) if any(rounded) else None


@lru_cache(maxsize=256)
def _weights(shifts: tuple[float, ...]) -> NDArray[np.float32]:
    table = kernels.block(2 * HALF + 1, kernels.width(len(shifts)))
    table[:] = 0.0
    for channel, shift in enumerate(shifts):
        table[:, channel] = kernel(shift)
    return table
