"""Hum that a reference leaves is subtracted, and spikes are not."""

import json

import numpy as np
import pytest

from labsched.ephys import hum
from labsched.ephys.denoise import denoise

RATE, BIT = 20000.0, 0.2


def recorded(folder, hums, seconds=14, channels=4, hz=50.06):
    """A flat block of noise, spikes on one channel, and hum of any phase and size on each channel; (path, spikes)."""
    draw = np.random.default_rng(7)
    n = round(seconds * RATE)
    t = np.arange(n) / RATE
    x = 8 * draw.standard_normal((channels, n))
    for harmonic, size in hums.items():
        phases, sizes = draw.uniform(0, 2 * np.pi, channels), size * draw.uniform(0.5, 1.5, channels)
        x += sizes[:, None] * np.sin(2 * np.pi * hz * harmonic * t + phases[:, None])
    at = np.cumsum(draw.integers(800, 2800, n // 1800)) + 500
    at = at[at < n - 500]
    shape = -200 * np.exp(-0.5 * (np.arange(-15, 16) / 2.5) ** 2)
    for one in at:
        x[2, one - 15 : one + 16] += shape
    folder.mkdir(parents=True)
    np.rint(x.T / BIT).astype("<i2").tofile(folder / "a.dat")
    (folder / "a.toml").write_text(f"rate = {RATE}\nn_channels = {channels}\ngain = {BIT}\n")
    return folder, at


def denoised(folder, hums, **options):
    source, at = recorded(folder / "mat", hums, **options)
    report = denoise(source, folder / "out", "b", format="dat", reference="none")
    traces = np.fromfile(report.data, dtype="<i2").reshape(-1, len(report.labels)).T * report.microvolts_per_bit
    return json.loads(report.json.read_text()), traces, at


@pytest.mark.parametrize("hz", [50.06, 59.9])
def test_hum_of_any_phase_and_its_harmonics_go_and_spikes_stay(tmp_path, hz):
    said, traces, at = denoised(tmp_path, {1: 60.0, 3: 20.0, 11: 15.0}, hz=hz)
    assert said["hum"]["hz"] == pytest.approx(hz, abs=0.05)
    assert {1, 3, 11} <= set(said["hum"]["harmonics"])
    quiet = np.ones(traces.shape[1], dtype=bool)
    for one in at:
        quiet[one - 20 : one + 21] = False
    assert traces[:, quiet].std() < 8.6
    mean = np.mean([traces[2, one - 60 : one + 61] for one in at], axis=0)
    assert mean[60] == pytest.approx(-200, abs=5)
    assert np.abs(np.delete(mean, np.arange(40, 81))).max() < 3


def test_where_there_is_none_nothing_is_subtracted(tmp_path):
    said, traces, _ = denoised(tmp_path, {})
    assert said["hum"] is None
    source = np.fromfile(tmp_path / "mat" / "a.dat", dtype="<i2").reshape(-1, 4).T * BIT
    assert np.abs(traces - source).max() < 1


def test_four_seconds_are_enough_and_a_tenth_is_taken_as_it_is(tmp_path):
    said, traces, _ = denoised(tmp_path / "long", {1: 60.0}, seconds=4)
    assert said["hum"]["harmonics"] == [1]
    assert traces[0].std() < 9
    assert denoised(tmp_path / "short", {1: 60.0}, seconds=0.3)[1].shape == (4, 6000)


def test_samples_that_are_not_good_do_not_decide():
    t = np.arange(8192) / RATE
    wave = 300 * np.sin(2 * np.pi * 50 * t + 1)
    y = np.rint(wave).astype("<i2")[:, None].copy()
    good = np.ones(8192, dtype=bool)
    good[1000:2000] = False
    y[1000:2000] = 20000
    hum.subtract(y, hum.Hum(50.0, (1,)), RATE, good)
    assert np.abs(y[good]).max() <= 1
