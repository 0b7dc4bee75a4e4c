"""Realignment: as good as the theory, better than a cubic spline, and nothing where there is nothing to do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from labsched.ephys import kernels, realign


def moved(shifts: list[float], data: np.ndarray) -> np.ndarray:
    """Realigned (channels, n), from data whose ends are repeated."""
    wide = np.pad(data, ((0, 0), (realign.HALF, realign.HALF)), mode="edge")
    taps = realign.weights(shifts)
    if taps is None:
        return data.astype(np.float32)
    x, out = (kernels.block(n, kernels.width(len(data))) for n in (wide.shape[1], data.shape[1]))
    kernels.load(wide, None, np.zeros(len(data)), x)
    kernels.fir(x, taps, out)
    return out[:, : len(data)].T


@pytest.mark.parametrize("shift", [0.03, 0.25, 0.5, 0.9, 0.97])
@pytest.mark.parametrize(("frequency", "error"), [(0.02, 5e-5), (0.2, 1e-4), (0.35, 1e-4), (0.44, 3e-4)])
def test_a_sine_is_what_it_was_at_the_common_times(shift, frequency, error):
    time = np.arange(2000)
    late = np.sin(2 * np.pi * frequency * (time + shift))
    middle = slice(100, -100)
    found = moved([shift], late[None])[0]
    right = np.sin(2 * np.pi * frequency * time)
    assert np.abs(found - right)[middle].max() < error
    spline = CubicSpline(time + shift, late)(time)
    assert np.abs(spline - right)[middle].max() > np.abs(found - right)[middle].max() or frequency < 0.1


@settings(max_examples=40, deadline=None)
@given(
    shifts=st.lists(st.one_of(st.just(0.0), st.floats(0, 0.999)), min_size=1, max_size=4),
    samples=st.integers(1, 300),
    seed=st.integers(0, 9),
)
def test_it_is_the_convolution_with_the_kernel(shifts, samples, seed):
    data = np.random.default_rng(seed).integers(-3000, 3000, (len(shifts), samples))
    found = moved(shifts, data)
    for shift, row, out in zip(shifts, data, found, strict=True):
        wide = np.pad(row.astype(float), realign.HALF, mode="edge")
        np.testing.assert_allclose(out, np.correlate(wide, realign.kernel(shift), "valid"), atol=0.01)
        if shift < realign.ALIGNED:
            assert out.tolist() == row.tolist()


def test_a_constant_stays_one_and_no_sample_is_lost():
    out = moved([0.3, 0.7], np.full((2, 77), 1000))
    assert out.shape == (2, 77)
    np.testing.assert_allclose(out, 1000, rtol=1e-6)
