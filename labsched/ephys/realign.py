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

#: Samples needed on either side.
HALF = 32
BETA = 8.0
#: A shift (samples) below this is none: the channel passes as it is, to the bit.
ALIGNED = 1e-5
FRAME = 64
#: Channel to the two matrices that move it; see `plan`.
Moves = dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]]


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


def plan(shifts: Sequence[float]) -> Moves:
    """For each channel that must be moved, its kernel as two 64 × 64 matrices.

    64 results in a row need 128 samples in a row: the first 64 times one matrix plus the second 64 times the other.
    As matrix products, frame by frame, this runs several times faster than a convolution.
    """
    # Rounded to a millionth of a sample, so that thousands of segments share their matrices.
    return {channel: _frames(round(shift, 6)) for channel, shift in enumerate(shifts) if abs(shift) >= ALIGNED}


@lru_cache(maxsize=2048)
def _frames(shift: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    weights = kernel(shift)
    matrix = np.zeros((2 * FRAME, FRAME), dtype=np.float32)
    for column in range(FRAME):
        matrix[column : column + 2 * HALF + 1, column] = weights
    return np.ascontiguousarray(matrix[:FRAME]), np.ascontiguousarray(matrix[FRAME:])


def apply(moved: Moves, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Realign a piece: x is (channels, 32 + n + 32) float32, the result (channels, n); others pass to the bit."""
    n = x.shape[1] - 2 * HALF
    out = np.ascontiguousarray(x[:, HALF : HALF + n])
    if not moved:
        return out
    frames = -(-n // FRAME)
    line = np.zeros((frames + 1) * FRAME, dtype=np.float32)
    for channel, (first, second) in moved.items():
        line[: x.shape[1]] = x[channel]
        rows = line.reshape(frames + 1, FRAME)
        out[channel] = (rows[:-1] @ first + rows[1:] @ second).reshape(-1)[:n]
    return out
