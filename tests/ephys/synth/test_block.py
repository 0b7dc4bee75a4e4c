"""The synthetic block looks like a Spike2 export, and its truth is true."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from scipy.io import loadmat

from labsched.ephys.__main__ import main
from labsched.ephys.errors import EphysError
from labsched.ephys.probes import natural, resolve
from labsched.ephys.synth import Recipe, load, make

SMALL = Recipe(name="b", seconds=3.0, units=2, seed=4)
STILL = replace(SMALL, noise=0.0, common=0.0, hum=0.0, lfp=0.0, movement=0.0, dead=0, noisy=0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("synth"), SMALL)


def structs(path):
    with h5py.File(path) as file:
        return {label: {key: np.array(value) for key, value in file[label].items()} for label in file}


def test_it_is_a_folder_of_matlab_files_with_a_struct_a_channel(made):
    files = sorted(path.name for path in made.folder.iterdir())
    assert files == ["b_Epc01.mat", "b_Epc02.mat"]
    for name in files:
        head = (made.folder / name).read_bytes()[:520]
        assert head.startswith(b"MATLAB 7.3 MAT-file")
        assert head[124:128] == b"\x00\x02IM"
        assert head[512:516] == b"\x89HDF"
        with h5py.File(made.folder / name) as file:
            assert sorted(file, key=natural) == [f"Port_{k + 1}" for k in range(16)]
            port = file["Port_3"]
            assert port.attrs["MATLAB_class"] == b"struct"
            assert [b"".join(field).decode() for field in port.attrs["MATLAB_fields"]] == [
                "title", "comment", "interval", "scale", "offset", "units", "start", "length", "values", "times",
            ]  # fmt: skip
            assert port["values"].dtype == np.int16
            assert port["values"].attrs["MATLAB_class"] == b"int16"
            assert port["values"].shape == port["times"].shape == (1, 30000)
            assert port["interval"][0, 0] == 5e-5
            assert "".join(map(chr, port["title"][:, 0])) == "Port_3"
            assert port["title"].attrs["MATLAB_class"] == b"char"


def test_channels_are_sampled_one_after_the_other(made):
    first = structs(made.folder / "b_Epc01.mat")
    for k in range(16):
        port = first[f"Port_{k + 1}"]
        assert port["start"][0, 0] == pytest.approx(k / 16 * 5e-5, abs=1e-12)
        assert np.allclose(np.diff(port["times"][0]), 5e-5, atol=1e-12)
    assert structs(made.folder / "b_Epc02.mat")["Port_1"]["start"][0, 0] == pytest.approx(1.5 + SMALL.gap)


def volts(folder, label):
    parts = []
    for path in sorted(folder.glob("*.mat")):
        with h5py.File(path) as file:
            parts.append(file[label]["values"][0] * file[label]["scale"][0, 0] * 1e3 + file[label]["offset"][0, 0])
    return np.concatenate(parts)


def test_the_dead_channel_is_flat_and_the_noisy_one_is_not(made):
    steps = {f"Port_{k + 1}": np.std(np.diff(volts(made.folder, f"Port_{k + 1}"))) for k in range(16)}
    usual = np.median(list(steps.values()))
    (dead,), (noisy,) = made.truth.dead, made.truth.noisy
    assert steps[dead] < 0.05 * usual
    assert steps[noisy] > 3 * usual
    assert sum(step > 3 * usual or step < 0.3 * usual for step in steps.values()) == 2
    assert made.omit == f"{dead},{noisy}"


def test_common_noise_is_unequal(tmp_path):
    block = make(tmp_path, replace(STILL, units=0, common=20.0, seconds=2.0))
    loud = [np.std(volts(block.folder, f"Port_{k + 1}")) for k in range(16)]
    assert 1.5 < max(loud) / min(loud) < 1.4 / 0.6 + 0.3
    assert np.corrcoef(volts(block.folder, "Port_1"), volts(block.folder, "Port_2"))[0, 1] > 0.8


def test_hum_has_its_harmonics(tmp_path):
    block = make(tmp_path, replace(STILL, units=0, hum=60.0, seconds=2.0))
    values = volts(block.folder, "Port_5")
    spectrum = np.abs(np.fft.rfft(values)) / len(values) * 2
    for hz in (50, 100, 150):
        assert spectrum[hz * 2] > 5.0


def test_every_known_spike_is_there_to_the_fraction_of_a_sample(tmp_path):
    block = make(tmp_path, replace(STILL, rate=30000.0, shanks=1, units=1, epochs=2))
    (unit,) = block.truth.units
    k = int(unit.peak.removeprefix("Port_")) - 1
    trace = volts(block.folder, unit.peak)
    assert len(unit.samples) > 5
    lead = unit.waveform.shape[1] - np.ceil(1.8e-3 * 30000).astype(int)
    mean = unit.waveform[unit.channels.index(unit.peak)]
    delay = (np.argmin(mean) - lead) + k / 8
    offsets = []
    for sample in unit.samples:
        at = int(sample)
        window = trace[at - 5 : at + 25]
        low = int(np.argmin(window))
        a, b, c = window[low - 1 : low + 2]
        # the vertex of the parabola through the lowest three, in time of the ticks
        offsets.append(at - 5 + low + (a - c) / (2 * (a - 2 * b + c)) + k / 8 - sample)
    assert np.ptp(offsets) < 0.25
    assert abs(np.median(offsets) - delay) < 1.5
    assert -np.min(mean) == pytest.approx(unit.amplitude)


def test_units_keep_their_refractory_time_and_their_rates(tmp_path):
    block = make(tmp_path, replace(SMALL, seconds=20.0, times=False))
    for unit in block.truth.units:
        assert np.all(np.diff(unit.samples) >= 0.0024 * 20000)
        assert 1.0 < len(unit.samples) / 20.0 < 15.0
        late = unit.samples >= 10.0 * 20000
        assert np.allclose(unit.times, unit.samples / 20000 + SMALL.gap * late)
        assert 60.0 < unit.amplitude < 260.0
        assert unit.peak not in made_bad(block)


def made_bad(block):
    return {*block.truth.dead, *block.truth.noisy}


def test_the_rig_is_ready_and_labels_are_not_in_site_order(made):
    labels = [f"Port_{k + 1}" for k in range(16)]
    layout = resolve(made.rig, labels, made.omit.split(","))
    assert [len(group.channels) for group in layout.groups] in ([7, 7], [6, 8], [8, 6])
    assert list(map(int, layout.sites)) != sorted(map(int, layout.sites))
    for unit in made.truth.units:
        assert unit.peak in layout.groups[unit.shank].labels
        # the wiring puts the site that sees a unit best near it
        group = layout.groups[unit.shank]
        x, y = group.geometry[group.labels.index(unit.peak)]
        assert np.hypot(x - unit.x, y - unit.y) < 40.0


def test_the_truth_reads_back(made):
    again = load(made.truth_file)
    assert (again.name, again.rate, again.dead, again.noisy, again.omit) == (
        "b", 20000.0, made.truth.dead, made.truth.noisy, made.omit,
    )  # fmt: skip
    for one, other in zip(made.truth.units, again.units, strict=True):
        assert (one.name, one.shank, one.peak, one.channels) == (other.name, other.shank, other.peak, other.channels)
        assert np.array_equal(one.samples, other.samples)
        assert np.array_equal(one.waveform, other.waveform)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(made, tmp_path):
    again = make(tmp_path / "same", SMALL)
    other = make(tmp_path / "other", replace(SMALL, seed=5))
    for name in ("b_Epc01.mat", "b_Epc02.mat"):
        assert (again.folder / name).read_bytes() == (made.folder / name).read_bytes()
        assert (other.folder / name).read_bytes() != (made.folder / name).read_bytes()
    assert again.truth_file.read_bytes() == made.truth_file.read_bytes()


@pytest.mark.parametrize("dtype", ["int16", "single", "double"])
def test_v5_holds_the_same_values_in_each_type(made, tmp_path, dtype):
    other = make(tmp_path, replace(SMALL, format="v5", dtype=dtype))
    scale = 10.0 / 65536.0
    new, old = loadmat(other.folder / "b_Epc02.mat"), structs(made.folder / "b_Epc02.mat")
    values = new["Port_7"]["values"][0, 0]
    assert values.dtype == {"int16": np.int16, "single": np.float32, "double": np.float64}[dtype]
    assert values.shape == (30000, 1)
    assert np.allclose(values[:, 0] * (1.0 if dtype != "int16" else scale), old["Port_7"]["values"][0] * scale)
    assert new["Port_7"]["units"][0, 0][0] == "mV"


def test_other_shapes_can_be_made(tmp_path):
    block = make(tmp_path, replace(SMALL, shanks=3, sites=4, epochs=3, seconds=2.0, rate=25000.0, times=False))
    assert len(list(block.folder.iterdir())) == 3
    first = structs(block.folder / "b_Epc01.mat")
    assert len(first) == 12
    assert "times" not in first["Port_1"]
    assert sum(structs(path)["Port_1"]["values"].size for path in block.folder.iterdir()) == 50000
    assert {unit.shank for unit in block.truth.units} == {0, 1, 2}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shanks": 0}, "0 shanks"),
        ({"seconds": 0.0}, "0 seconds"),
        ({"epochs": 9}, "9 files"),
        ({"dead": 8, "noisy": 8}, "every channel is dead or noisy"),
        ({"format": "v4"}, "format v4"),
        ({"dtype": "int8"}, "dtype int8"),
        ({"name": "a/b"}, "name 'a/b'"),
        ({"name": ".."}, "name '..'"),
        ({"rate": 10.0}, "rate of 10 Hz"),
        ({"seed": -1}, "cannot be negative"),
    ],
)
def test_what_cannot_be_made_is_a_sentence(tmp_path, change, said):
    with pytest.raises(EphysError, match=said):
        make(tmp_path, replace(SMALL, **change))
    assert list(tmp_path.iterdir()) == []


def test_a_block_is_not_overwritten_unasked(tmp_path, capsys):
    words = ["synth", str(tmp_path), "--name", "b", "--seconds", "1", "--units", "1", "--no-times"]
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["block"] == str(tmp_path / "b")
    assert main(words) == 1
    assert "exists: choose another --name" in capsys.readouterr().err.splitlines()[-1]
    assert main([*words, "--overwrite"]) == 0
    assert said["omit"] in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "b.probe.json", "b.rig.toml", "b.truth.h5"]


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EphysError, match="cannot be written"):
        make(tmp_path / "file", SMALL)


def test_what_is_no_truth_is_a_sentence(tmp_path, made):
    (tmp_path / "x").write_text("no")
    with pytest.raises(EphysError, match="cannot be read as a ground truth"):
        load(tmp_path / "x")
    with pytest.raises(EphysError, match="there is no ground truth"):
        load(tmp_path / "none")
    with pytest.raises(EphysError, match="is not a ground truth"):
        load(made.folder / "b_Epc01.mat")
