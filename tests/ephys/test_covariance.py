"""The covariance for a regression is of the spikes' band, and without artefacts."""

import numpy as np
import pytest

from labsched.ephys import covariance
from labsched.ephys.band import Band
from labsched.ephys.chain import Chain
from labsched.ephys.readers import examine, opened
from tests.ephys.exports import channel, write73

RATE = 20000.0


@pytest.fixture
def folder(tmp_path):
    """Four channels of a common and an own noise, with a slow swing; and the same with an artefact of 100 ms."""
    draw = np.random.default_rng(4)
    common, own = draw.standard_normal(200_000), draw.standard_normal((4, 200_000))
    slow = 800 * np.sin(2 * np.pi * 3 * np.arange(200_000) / RATE)
    plain = 60 * common + 30 * own + slow
    bad = plain.copy()
    bad[:, 50_000:52_000] += 12_000 * np.sign(np.sin(2 * np.pi * 700 * np.arange(2000) / RATE)) * [[1], [-1], [1], [2]]
    for name, rows in (("plain", plain), ("bad", bad)):
        home = tmp_path / name
        home.mkdir()
        write73(home / "a.mat", {f"Port_{i}": channel(np.rint(row).astype("<i2")) for i, row in enumerate(rows)})
    return tmp_path


def found(folder, threads=1):
    with opened(examine(folder)) as recording:
        return covariance.robust(Chain(recording, Band(300, 6000)), threads=threads)


def test_slow_swings_are_not_in_it_and_artefacts_are_left_out(folder):
    plain, bad = found(folder / "plain"), found(folder / "bad")
    ratio = plain[0, 1] / plain[0, 0]
    assert 0.7 < ratio < 0.9
    np.testing.assert_allclose(bad, plain, rtol=0.02)


def test_threads_change_nothing(folder):
    np.testing.assert_array_equal(found(folder / "bad", 1), found(folder / "bad", 3))


def test_never_more_than_half_is_left_out():
    powers = np.ones((10, 3))
    powers[6:] = 1000
    assert covariance.usual(powers).tolist() == list(range(6))
    powers[:] = np.geomspace(1, 1e9, 10)[:, None]
    assert len(covariance.usual(powers)) >= 5
    assert len(covariance.usual(np.zeros((4, 2)))) == 4


def test_a_slow_recording_has_no_band_of_spikes():
    assert covariance.band(1000.0) is None
    assert covariance.band(20000.0) == Band(300.0, 6000.0)
    assert covariance.band(5000.0) == Band(300.0, 2250.0)
