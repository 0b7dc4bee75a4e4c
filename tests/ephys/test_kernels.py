"""The compiled loops do what numpy does, for any number of channels and samples, and whatever the strides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from labsched.ephys import kernels
from labsched.ephys.kernels import spikes

SIZES = {"channels": st.integers(1, 41), "samples": st.integers(1, 70), "seed": st.integers(0, 99)}


def blank(samples: int, channels: int) -> np.ndarray:
    made = kernels.block(samples, kernels.width(channels))
    made[:] = 0.0
    return made


def test_a_block_is_as_wide_as_vectors_are_and_aligned():
    for channels, wide in ((1, 8), (8, 8), (9, 16), (32, 32)):
        assert kernels.block(3, kernels.width(channels)).shape == (3, wide)
        assert kernels.block(3, wide).ctypes.data % 64 == 0


@settings(max_examples=60, deadline=None)
@given(
    **SIZES,
    dtype=st.sampled_from(["<i2", ">i2", "<i4", "<f4", "<f8", "<u2"]),
    major=st.booleans(),
    scaled=st.booleans(),
)
def test_numbers_of_any_type_and_layout_are_loaded(channels, samples, seed, dtype, major, scaled):
    random = np.random.default_rng(seed)
    raw = np.asarray(random.integers(0, 30_000, (channels, samples)), dtype=dtype)
    raw = raw if major else np.asfortranarray(raw)
    ratio = random.uniform(0.5, 2, channels) if scaled else None
    base = np.round(random.uniform(-500, 500, channels))
    out = blank(samples, channels)
    assert kernels.load(raw[:, ::-1], ratio, base, out)
    right = raw[:, ::-1].astype(float) * (1 if ratio is None else ratio[:, None]) - base[:, None]
    np.testing.assert_array_equal(out[:, :channels], right.T.astype(np.float32))
    assert not out[:, channels:].any()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_noticed(dtype, value):
    raw = np.zeros((5, 50), dtype=dtype)
    assert kernels.load(raw, None, np.zeros(5), blank(50, 5))
    raw[4, 49] = value
    assert not kernels.load(raw, None, np.zeros(5), blank(50, 5))


@settings(max_examples=40, deadline=None)
@given(**SIZES, taps=st.integers(1, 20))
def test_each_channel_is_convolved_with_its_own_weights(channels, samples, seed, taps):
    random = np.random.default_rng(seed)
    x, weights, out = blank(samples + taps - 1, channels), blank(taps, channels), blank(samples, channels)
    x[:, :channels] = random.standard_normal((samples + taps - 1, channels))
    weights[:, :channels] = random.standard_normal((taps, channels))
    kernels.fir(x, weights, out)
    right = [np.correlate(x[:, c].astype(float), weights[:, c], "valid") for c in range(channels)]
    np.testing.assert_allclose(out[:, :channels].T, right, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(**SIZES, loud=st.sampled_from([1.0, 300.0]))
def test_the_product_is_rounded_to_even_clipped_and_counted(channels, samples, seed, loud):
    random = np.random.default_rng(seed)
    x, outputs = blank(samples, channels), int(random.integers(1, 41))
    # Whole numbers and halves, so that everything is exact and there are ties.
    x[:, :channels] = random.integers(-300, 300, (samples, channels))
    matrix = random.integers(-4, 5, (outputs, channels)) * 0.5 * loud
    bias = np.zeros(kernels.width(outputs), dtype=np.float32)
    bias[:outputs] = random.integers(-3, 4, outputs) * 0.5
    y, clipped = np.full((samples, outputs), 99, dtype=np.int16), np.full(outputs, 7)
    kernels.product(x, kernels.packed(matrix), bias, y, clipped)
    right = np.rint(x[:, :channels].astype(float) @ matrix.T + bias[:outputs])
    cut = np.clip(right, -32768, 32767)
    np.testing.assert_array_equal(y, cut)
    np.testing.assert_array_equal(clipped - 7, (cut != right).sum(axis=0))


def test_too_many_sections_are_refused():
    with pytest.raises(ValueError, match="at most 8"):
        kernels.zero_phase(blank(3, 1), np.zeros((9, 5), np.float32), np.zeros((9, 2), np.float32))


def test_a_filter_that_is_given_in_strided_arrays_is_the_same():
    draw = np.random.Generator(np.random.PCG64(1))
    b, a = signal.butter(3, (0.05, 0.95), "pass")
    zi, raw = signal.lfilter_zi(b, a), draw.integers(-900, 900, (300, 5)).astype(np.int16)
    whole = np.concatenate((2 * raw[:1] - raw[21:0:-1], raw, 2 * raw[-1:] - raw[-2:-23:-1]))
    got = spikes.filtered(whole, 21, b, a, zi[::-1].copy()[::-1])
    assert np.array_equal(got, signal.filtfilt(b, a, raw, axis=0).astype(np.float32))
