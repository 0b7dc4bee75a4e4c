"""A finished sorting is read back as it is."""

import h5py
import numpy as np
import pytest

from labsched.ephys.errors import EphysError
from labsched.ephys.qc.traces import _operator
from labsched.ephys.qc.units import AMPLITUDES, KEPT, WAVEFORMS, load

from .blocks import GAIN, RATE, SHAPE, UNITS, block


def filtered(signal: np.ndarray) -> np.ndarray:
    from scipy.signal import butter, sosfiltfilt

    return sosfiltfilt(butter(3, (500.0, 0.475 * RATE), "bandpass", fs=RATE, output="sos"), signal)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return block(tmp_path_factory.mktemp("sorted") / "out", kwd=True)


@pytest.fixture(scope="module")
def whole(made):
    return load(made.folder, made.name)


def test_every_cluster_has_its_spikes(made, whole):
    assert {(unit.shank, unit.cluster) for unit in whole.units} == set(made.trains)
    for unit in whole.units:
        assert np.array_equal(whole.train(unit), made.trains[unit.shank, unit.cluster])


def test_clusters_of_klusta_that_are_no_units_say_so(whole):
    assert {unit.special for unit in whole.units if unit.cluster == 0} == {"noise"}
    assert {unit.special for unit in whole.units if unit.cluster > 1} == {""}


def test_mean_waveforms_are_in_microvolts_on_the_right_channels(whole):
    for unit in whole.units:
        if unit.cluster in UNITS:
            gains = UNITS[unit.cluster][0]
            assert unit.peak == int(np.argmax(gains))
            expected = filtered(np.pad(SHAPE, 200))[200:230][:, None] * gains
            assert unit.mean == pytest.approx(expected, abs=0.05 * max(gains) + 4)
            assert np.median(unit.amplitudes) == pytest.approx(unit.mean[:, unit.peak].min(), rel=0.05)
            assert unit.std[:, unit.peak].max() < max(gains)


def test_samples_are_bounded(whole):
    for unit in whole.units:
        n = len(unit.spikes)
        assert (unit.averaged, len(unit.amplitudes)) == (min(n, WAVEFORMS), min(n, AMPLITUDES))
        assert len(unit.waveforms) == len(unit.shown) == min(n, KEPT)
        assert np.isin(unit.shown, unit.spikes).all()


def test_noise_is_that_of_the_band(whole):
    # a part of white noise of 10 µV passes
    for shank in whole.shanks:
        assert shank.noise == pytest.approx(np.full(4, 10 * np.sqrt(2 * (0.475 - 500 / RATE))), rel=0.1)


def test_a_spike_lies_where_its_energy_is(whole):
    first = next(unit for unit in whole.units if unit.cluster == 2 and unit.shank == 0)
    depths = whole.shanks[0].depths[first.spikes]
    gains = np.square(UNITS[2][0])
    assert np.median(depths[:, 1]) == pytest.approx(gains @ [0, 25, 50, 75] / gains.sum(), abs=2)
    assert whole.shanks[1].depths[:, 0] == pytest.approx(200)


def test_features_are_those_of_the_same_spikes(made, whole):
    shank = whole.shanks[1]
    with h5py.File(made.folder / "b.kwx") as file:
        every = file["channel_groups/1/features_masks"][..., 0]
    assert np.array_equal(shank.features.reshape(len(shank.picked), -1), every[shank.rows[shank.picked]])


def test_spikes_out_of_order_are_put_in_order_with_their_features(tmp_path):
    made = block(tmp_path / "out", shanks=1, seconds=4.0)
    with h5py.File(made.folder / "b.kwik", "r+") as kwik, h5py.File(made.folder / "b.kwx", "r+") as kwx:
        samples = kwik["channel_groups/0/spikes/time_samples"]
        turned = np.random.Generator(np.random.PCG64(1)).permutation(len(samples))
        before = kwx["channel_groups/0/features_masks"][...]
        samples[...] = samples[...][turned]
        for which in ("main", "original"):
            clusters = kwik[f"channel_groups/0/spikes/clusters/{which}"]
            clusters[...] = clusters[...][turned]
        kwx["channel_groups/0/features_masks"][...] = before[turned]
    whole = load(made.folder, "b")
    assert np.array_equal(whole.train(whole.units[1]), made.trains[0, 2])
    assert np.array_equal(whole.shanks[0].features.reshape(len(before), -1), before[..., 0])


def test_snippets_are_what_filtering_everything_gives(made, whole):
    unit = whole.units[1]
    column = whole.shank(unit.shank).columns[unit.peak]
    raw = np.array(whole.traces.data[:, column], dtype=float)
    everything = filtered(raw) * GAIN
    at = whole.shank(unit.shank).samples[unit.measured]
    shift = int(np.argmin(unit.mean[:, unit.peak])) - whole.before
    assert unit.amplitudes == pytest.approx(everything[at + shift], abs=0.1)


def test_the_filter_knows_nothing_of_a_constant():
    response = _operator(30, 60, RATE, 500.0, 4750.0, 3)
    assert np.abs(response.sum(axis=0)).max() < 2e-3


def test_what_a_person_said_of_a_cluster_is_kept(tmp_path):
    made = block(tmp_path / "out", shanks=1, seconds=4.0)
    with h5py.File(made.folder / "b.kwik", "r+") as file:
        file["channel_groups/0/clusters/main/3"].attrs["cluster_group"] = 2
    assert [unit.group for unit in load(made.folder, "b").units] == ["unsorted", "unsorted", "good", "unsorted"]


def test_the_same_is_read_every_time(made, whole):
    again = load(made.folder, made.name)
    for one, two in zip(whole.units, again.units, strict=True):
        assert np.array_equal(one.mean, two.mean)
        assert np.array_equal(one.amplitudes, two.amplitudes)


def test_an_unfinished_sorting_is_a_sentence(tmp_path):
    made = block(tmp_path / "out", shanks=1, seconds=4.0)
    (made.folder / "b.sorting.json").unlink()
    with pytest.raises(EphysError, match=r"no finished sorting .* wait for the klusta stage, or run it"):
        load(made.folder, "b")


def test_spikes_past_the_end_are_a_sentence(tmp_path):
    made = block(tmp_path / "out", shanks=1, seconds=4.0)
    with h5py.File(made.folder / "b.kwik", "r+") as file:
        file["channel_groups/0/spikes/time_samples"][-1] = 10**9
    with pytest.raises(EphysError, match=r"spikes past the end of b\.dat: run the klusta stage again"):
        load(made.folder, "b")


def test_a_sorting_without_a_spike_is_a_sentence(tmp_path):
    made = block(tmp_path / "out", shanks=1, seconds=4.0)
    with h5py.File(made.folder / "b.kwik", "r+") as file:
        del file["channel_groups/0/spikes"]
    with pytest.raises(EphysError, match="the sorting of b has no spikes"):
        load(made.folder, "b")
