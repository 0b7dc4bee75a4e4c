"""The band-pass is scipy's zero-phase Butterworth, and a block knows enough of its surroundings."""

import numpy as np
import pytest
import scipy.signal

from labsched.ephys import band, kernels
from labsched.ephys.errors import EphysError

BANDS = [(25000, 300, 6000), (20000, 300, 6000), (30000, 500, 12_000), (30000, 100, 9000), (25000, 600, 800)]


@pytest.mark.parametrize(("rate", "low", "high"), BANDS)
def test_it_is_butterworth(rate, low, high):
    found = band.sections(band.Band(low, high), rate)
    full = np.c_[found[:, :3], np.ones(len(found)), found[:, 3:]]
    right = scipy.signal.butter(band.ORDER, [low, high], "bandpass", fs=rate, output="sos")
    at = np.linspace(1, rate / 2 - 1, 1000)
    mine, scipys = (scipy.signal.freqz_sos(each, at, fs=rate)[1] for each in (full, right))
    np.testing.assert_allclose(mine, scipys, atol=1e-10)


@pytest.mark.parametrize(("rate", "low", "high"), BANDS)
def test_a_block_with_its_margins_is_the_whole_to_a_hundredth_of_a_bit(rate, low, high):
    random = np.random.default_rng(1)
    data = np.cumsum(random.standard_normal((40_000, 8)), axis=0) * 30 + random.standard_normal((40_000, 8)) * 80
    data = np.rint(np.clip(data, -32768, 32767))
    sos = scipy.signal.butter(band.ORDER, [low, high], "bandpass", fs=rate, output="sos")
    right = scipy.signal.sosfiltfilt(sos, data, axis=0, padtype="constant", padlen=8000)
    filter = band.design(band.Band(low, high), rate)
    wide = np.pad(data, ((filter.margin, filter.margin), (0, 0)), mode="edge")
    for start, stop in ((0, 5000), (12_345, 14_321), (35_000, 40_000)):
        x = kernels.block(stop - start + 2 * filter.margin, 8)
        x[:] = wide[start : stop + 2 * filter.margin]
        kernels.zero_phase(x, filter.sos, filter.zi)
        found = x[filter.margin : len(x) - filter.margin]
        assert np.abs(found - right[start:stop]).max() < 0.03, (start, stop)


@pytest.mark.parametrize("text", ["", "none", "None", "off"])
def test_no_band_is_none(text):
    assert band.parse(text) is None


def test_a_band_is_two_frequencies_in_order():
    assert band.parse(" 300, 6000 ") == band.Band(300, 6000)
    for text in ("300", "300-6000", "6000,300", "0,300", "-1,5", "a,b", "1,2,3", "300,inf", "nan,300"):
        with pytest.raises(EphysError, match="a band is"):
            band.parse(text)


def test_a_band_that_the_rate_does_not_have_is_a_sentence():
    with pytest.raises(EphysError, match="let it end at 4500 Hz or lower"):
        band.design(band.Band(300, 6000), 10_000)
    with pytest.raises(EphysError, match="let it begin at 25 Hz or higher"):
        band.design(band.Band(1, 6000), 25_000)
