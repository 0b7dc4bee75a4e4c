"""Metrics are those of SpikeInterface: of a small block, as it gave them once, and as it gives them where it is there.

The golden file is written anew by: python -m tests.ephys.qc.test_metrics
"""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.ephys.qc import amplitudes, separation, trains
from labsched.ephys.qc.labels import label
from labsched.ephys.qc.metrics import table
from labsched.ephys.qc.units import Sorted, load
from tests.ephys import peers

from .blocks import block

GOLDEN = Path(__file__).with_name("spikeinterface.json")
SCRIPT = Path(__file__).with_name("spikeinterface_metrics.py")
#: What rests on the same numbers is the same. Noise is of another random draw; templates and amplitudes there are of
#: all spikes and filtered in one piece.
LOOSE = {"snr": 0.06, "sd_ratio": 0.2, "amplitude_median": 0.003, "amplitude_cutoff": 0.25} | dict.fromkeys(
    ("amplitude_cv_median", "amplitude_cv_range"), 0.02
)


def theirs(whole: Sorted, scratch: Path) -> dict:
    """What SpikeInterface says of it now."""
    given = {}
    for shank in whole.shanks:
        units = [unit for unit in whole.units if unit.shank == shank.number]
        labels = shank.clusters[shank.picked]
        for unit in units:
            columns = separation.near(shank, unit)
            given[f"features {unit.name}"] = shank.features[:, columns].reshape(len(labels), -1).astype(float)
            given[f"labels {unit.name}"] = labels
            given[f"places {unit.name}"] = shank.depths[unit.spikes, 1]
    np.savez(scratch / "features.npz", **given)
    said = peers.run(SCRIPT, whole.folder, whole.name, scratch / "features.npz")
    return json.loads(said[said.index("{") :])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    made = block(tmp_path_factory.mktemp("sorted") / "out")
    return load(made.folder, made.name)


@pytest.fixture(scope="module")
def rows(whole):
    return {row["unit"]: row for row in table(whole)}


def same(rows: dict, expected: dict) -> None:
    assert set(rows) == set(expected)
    wrong = []
    for unit, metrics in expected.items():
        for name, value in metrics.items():
            # cluster 0 has 12 moments at random: the largest deflection may be on another shank, and of 12 features
            # there is no covariance, which SpikeInterface inverts all the same
            if unit.endswith(".0") and name in {*LOOSE, "isolation_distance", "l_ratio"}:
                continue
            ours = rows[unit][name]
            near = None if value is None else pytest.approx(value, rel=LOOSE.get(name, 1e-5), abs=1e-9)
            if ours != near:
                wrong.append((unit, name, ours, value))
    assert not wrong


def test_they_are_as_spikeinterface_gave_them(rows):
    same(rows, json.loads(GOLDEN.read_text())["units"])


def test_they_are_as_spikeinterface_gives_them(whole, rows, tmp_path):
    same(rows, theirs(whole, tmp_path)["units"])


def test_what_cannot_be_computed_is_none(rows):
    noise = rows["0.0"]
    assert noise["isolation_distance"] is noise["amplitude_cutoff"] is noise["drift_ptp"] is None
    assert (noise["label"], noise["num_spikes"]) == ("noise", 12)


def test_clean_units_are_good(rows):
    assert {rows[unit]["label"] for unit in ("0.2", "0.7", "1.2", "1.7")} == {"good"}


def train(*gaps: float) -> np.ndarray:
    return (np.cumsum(gaps) * 10).astype(np.int64)


def test_pairs_are_counted_and_intervals_too():
    # four spikes 0.4 ms apart: three intervals, but five pairs within 1 ms
    samples = train(100, 0.4, 0.4, 0.4, 500)
    measured = trains.measures(samples, 10_000, 10_000.0)
    assert (measured["isi_violations_count"], measured["rp_violations"]) == (3, 5)


def test_a_recording_of_less_than_a_minute_has_no_presence():
    measured = trains.measures(train(100, 200, 300), 100_000, 10_000.0)
    assert np.isnan(measured["presence_ratio"])
    assert measured["firing_rate"] == pytest.approx(0.3)


def test_one_spike_alone_is_no_error():
    measured = trains.measures(train(100), 100_000, 10_000.0)
    assert measured["num_spikes"] == 1
    assert measured["rp_violations"] == 0


RISING = st.lists(st.integers(0, 1_999_999), min_size=1, max_size=60).map(lambda each: np.array(sorted(each)))


@given(RISING)
def test_any_train_has_measures_in_their_bounds(samples):
    measured = trains.measures(samples, 2_000_000, 10_000.0)
    assert 0 <= measured["presence_ratio"] <= 1  # none where all lie past the last whole minute
    assert measured["isi_violations_count"] <= len(samples) - 1
    assert np.isnan(measured["rp_contamination"]) or 0 <= measured["rp_contamination"] <= 1
    brute = sum(b - a <= 10 for k, a in enumerate(samples) for b in samples[k + 1 :])
    assert measured["rp_violations"] == brute


@given(RISING, st.integers(1, 200))
def test_lags_are_all_pairs(samples, size):
    brute = [0] * 8
    for k, a in enumerate(samples):
        for b in samples[k + 1 :]:
            if (b - a) // size < 8:
                brute[(b - a) // size] += 1
    assert trains._lags(samples, size, 8).tolist() == brute


def test_spikes_that_detection_missed_are_estimated():
    # of a Gaussian, what lies below one deviation under the mean (16 %) is cut off
    draw = np.random.Generator(np.random.PCG64(5)).normal(100, 20, 20_000)
    assert amplitudes.cutoff(draw.astype(np.float32)) < 0.001
    cut = -draw[draw > 80].astype(np.float32)
    assert amplitudes.cutoff(cut) == pytest.approx(0.16, abs=0.03)


@pytest.mark.parametrize(
    ("changed", "word", "reason"),
    [
        ({}, "good", None),
        ({"snr": 1.5}, "noise", "snr 1.5 < 2"),
        ({"snr": 3.0}, "mua", "snr 3 < 4"),
        ({"isi_violations_ratio": 0.8}, "mua", "isi_violations_ratio 0.8 > 0.5"),
        ({"amplitude_cutoff": None}, "good", None),
        ({"num_spikes": 10}, "mua", "num_spikes 10 < 50"),
    ],
)
def test_a_label_says_its_reason(rows, changed, word, reason):
    assert label({**rows["0.2"], **changed}) == (word, [reason] if reason else [])


def test_klustas_own_clusters_keep_their_word(rows):
    assert label(rows["0.2"], "mua")[0] == "mua"


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        made = block(Path(folder) / "out")
        GOLDEN.write_text(json.dumps(theirs(load(made.folder, made.name), Path(folder)), indent=1) + "\n")
