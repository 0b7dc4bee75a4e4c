"""Planted artefacts are found, listed and blanked, and nothing else is."""

import json
from dataclasses import replace

import numpy as np
import pytest

from labsched.ephys import artefacts
from labsched.ephys.denoise import denoise
from labsched.ephys.synth import Recipe, make
from labsched.ephys.synth.recipe import plan
from labsched.ephys.synth.signal import _events, _saturations

CALM = Recipe(
    seconds=24.0,
    seed=5,
    shanks=1,
    sites=8,
    dead=0,
    noisy=0,
    times=False,
    movements=0.0,
    saturations=0.0,
    epochs=2,
    gap=7.0,
)


def denoised(folder, recipe, **options):
    block = make(folder / "mat", recipe)
    report = denoise(block.folder, folder / "out", "b", probe=block.rig, format="dat", **options)
    said = json.loads(report.json.read_text())
    traces = np.fromfile(report.data, dtype="<i2").reshape(-1, len(report.labels)) * report.microvolts_per_bit
    return said, traces


def of(said, kind):
    rate, each = said["rate_hz"], [one for one in said["artefacts"] if one["kind"] == kind]
    return [(one["output_first_sample"] / rate, (one["output_first_sample"] + one["n_samples"]) / rate) for one in each]


def hit(found, planted, slack=0.1):
    """Whether each planted stretch (start, end) is touched by one found, and each found one touches one planted."""
    near = [[a < d + slack and c < b + slack for c, d in planted] for a, b in found]
    return np.array(near).any(axis=0).all() and np.array(near).any(axis=1).all()


def test_saturations_are_found_and_blanked(tmp_path):
    recipe = replace(CALM, saturations=20.0)
    said, traces = denoised(tmp_path, recipe)
    planted = [(a, b) for a, b, _ in _saturations(plan(recipe))]
    found = of(said, "saturation")
    assert len(planted) == 8
    assert hit(found, planted, 0.01)
    assert all(len(each["channels"]) == 8 for each in said["artefacts"])
    for start, end in planted:
        a, b = round((start - 0.005) * 20000), round((end + 0.005) * 20000)
        assert not traces[max(a, 0) : b].any()
    assert np.abs(traces).max() < 600


def test_times_in_the_list_are_on_the_files_clock(tmp_path):
    said, _ = denoised(tmp_path, replace(CALM, saturations=20.0))
    second = said["segments"][1]
    late = [each for each in said["artefacts"] if each["output_first_sample"] >= second["output_first_sample"]]
    assert late
    for each in late:
        at = (each["output_first_sample"] - second["output_first_sample"]) / said["rate_hz"]
        assert each["start_s"] == pytest.approx(second["start_s"] + at, abs=1e-5)
        assert each["end_s"] - each["start_s"] == pytest.approx(each["n_samples"] / said["rate_hz"], abs=1e-5)


def test_movements_are_found_and_what_is_left_of_them_is_small(tmp_path):
    recipe = replace(CALM, seconds=36.0, movements=10.0)
    said, traces = denoised(tmp_path, recipe, band=None)
    planted = [(a, a + length) for a, length, _ in _events(plan(recipe))]
    assert hit(of(said, "movement"), planted)
    assert {each["action"] for each in said["artefacts"]} == {"referenced"}
    for start, end in planted:
        middle = slice(round((start + end) / 2 * 20000) - 1000, round((start + end) / 2 * 20000) + 1000)
        assert np.median(np.abs(np.diff(traces[middle], axis=0))) < 2 * np.median(np.abs(np.diff(traces, axis=0)))


@pytest.mark.parametrize("sites", [4, 8])
def test_a_recording_without_artefacts_has_none(tmp_path, sites):
    said, _ = denoised(tmp_path, replace(CALM, sites=sites, lfp=150.0))
    assert said["artefacts"] == []


def test_threads_and_chunks_change_nothing(tmp_path):
    recipe = replace(CALM, saturations=20.0, movements=10.0)
    one, first = denoised(tmp_path / "a", recipe, threads=1)
    two, second = denoised(tmp_path / "b", recipe, threads=3, chunk=70_000)
    assert one["artefacts"] == two["artefacts"]
    np.testing.assert_array_equal(first, second)


def test_the_log_counts_them():
    kinds = [artefacts.Stretch("saturation", 0, 2000, (1,)), artefacts.Stretch("movement", 5000, 15000)]
    assert (
        artefacts.told(kinds, 20000.0) == "artefacts: 1 saturation (0.10 s, blanked), 1 movement (0.50 s, referenced)"
    )
    assert artefacts.told([], 20000.0) == "artefacts: none"


def test_the_curve_is_zero_around_a_bad_sample_and_smooth():
    bad = np.zeros(1000, dtype=bool)
    bad[500] = True
    curve = artefacts.gain(bad, 20000.0)
    assert not curve[380:621].any()
    assert (curve[:299] == 1).all()
    assert np.abs(np.diff(curve)).max() < 0.03
    assert artefacts.gain(np.zeros(5, dtype=bool), 20000.0) is None


@pytest.mark.parametrize("n", [1, 3, 4, 5, 16, 17, 100, 1023, 1025, 2000])
def test_blocks_of_any_length_have_a_loudness(n):
    x = np.random.default_rng(1).standard_normal((n, 3)).astype(np.float32)
    one = np.ones(3)
    found = artefacts.loudness(x, 0 * one, one, 1.4 * one, 1024)
    assert len(found) == -(-max(n - artefacts.LAG, 0) // 1024)
    assert np.isfinite(found).all()
