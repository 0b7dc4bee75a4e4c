"""Stage 1 against the same arithmetic done plainly in memory; the same to the bit however it is cut up."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from labsched.ephys import realign, stream
from labsched.ephys.band import Band
from labsched.ephys.denoise import Report, denoise
from labsched.ephys.errors import EphysError
from labsched.ephys.klusta.params import parse_settings
from labsched.ephys.recording import file_times
from tests.ephys.exports import RATE, WRITERS, block, channel, noise, write73


def result(report: Report) -> np.ndarray:
    """(samples, channels) int16."""
    if report.data.suffix == ".dat":
        return np.fromfile(report.data, "<i2").reshape(-1, len(report.labels))
    with h5py.File(report.data) as file:
        return file["recordings/0/data"][:]


def plainly(segments: list[np.ndarray], shifts: list[float], reference: str) -> np.ndarray:
    """What stage 1 does, in float64 and in memory: (samples, channels), not rounded."""
    rows = []
    for raw in segments:
        wide = np.pad(raw.astype(float), ((0, 0), (realign.HALF,) * 2), mode="edge")
        moved = [np.correlate(row, realign.kernel(s), "valid") for row, s in zip(wide, shifts, strict=True)]
        rows.append(np.array(moved) - np.mean(moved, axis=1, keepdims=True))
    data = np.concatenate(rows, axis=1)
    out = data.copy()
    for index in range(len(data)):
        others = np.delete(data, index, axis=0)
        if reference == "car":
            out[index] -= others.mean(axis=0)
        elif reference == "war":
            out[index] -= np.linalg.lstsq(others.T, data[index], rcond=None)[0] @ others
    return out.T


@pytest.fixture
def staggered(tmp_path):
    """Two files of 5 staggered channels, the second with a gap, so long that there are several blocks."""
    lengths, folder, made = (150_000, 90_000), tmp_path / "mat", []
    folder.mkdir()
    for number, length in enumerate(lengths):
        data = noise(length, 5, seed=number)
        structs = {}
        for index, row in enumerate(data):
            fields = channel(row, start=number * 30 + index * 1e-5, times=True)
            if number:
                fields["times"][40_000:] += 3.0
            structs[f"Port_{index + 1}"] = fields
        write73(folder / f"e{number}.mat", structs)
        made += [data] if not number else [data[:, :40_000], data[:, 40_000:]]
    return folder, made


@pytest.mark.parametrize("reference", ["none", "car", "war"])
def test_it_is_what_plain_arithmetic_gives(staggered, tmp_path, reference):
    folder, segments = staggered
    report = denoise(folder, tmp_path / "out", "b", reference=reference, omit=["Port_2"])
    kept = [each[[0, 2, 3, 4]] for each in segments]
    right = plainly(kept, [0, 0.4, 0.6, 0.8], reference)
    found = result(report)
    assert found.shape == right.shape == (240_000, 4)
    assert np.abs(found - right).max() < 0.6
    # Whole numbers less their mean can be as far off as rounding takes them; nothing else may.
    assert np.abs(found.mean(axis=0)).max() <= 0.5


@pytest.mark.parametrize("kind", WRITERS)
def test_chunks_and_threads_change_no_byte(tmp_path, kind):
    source = block(tmp_path / "mat", samples=70_000, channels=5, stagger=True, kind=kind)
    length = stream.block_length(5)
    assert 2 * length < 70_000, "several blocks, or this tests nothing"
    ways = [(0, 1), (1, 1), (3 * length + 17, 1), (0, 2), (length, 4)]
    made = [denoise(source, tmp_path / str(way), "b", chunk=way[0], threads=way[1]).data.read_bytes() for way in ways]
    assert len(set(made)) == 1
    left = {path.name for way in ways for path in (tmp_path / str(way)).iterdir()}
    assert left == {"b.raw.kwd", "b.prb", "b.prm", "b.denoise.json"}


def test_aligned_data_without_reference_pass_to_the_bit_but_for_their_mean(tmp_path):
    data = noise(40_000, 3)
    write73(tmp_path / "a.mat", {f"Port_{i}": channel(row, times=True) for i, row in enumerate(data)})
    report = denoise(tmp_path, tmp_path / "out", "b", reference="none")
    means = data.mean(axis=1)
    np.testing.assert_array_equal(result(report), np.rint(data - means[:, None]).T)
    assert report.microvolts_per_bit == 0.5
    np.testing.assert_allclose(report.document["mean_uv"][0], means * 0.5)


@pytest.mark.parametrize(("units", "factor"), [("V", 1e-6), ("mV", 1e-3), ("uV", 1.0)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_in_any_unit_become_bits_fine_enough(tmp_path, units, factor, dtype):
    microvolts = noise(20_000, 3) * 0.31
    rows = (microvolts * factor).astype(dtype)
    write73(tmp_path / "a.mat", {f"Port_{i}": channel(row, units=units) for i, row in enumerate(rows)})
    report = denoise(tmp_path, tmp_path / "out", "b", reference="none")
    right = microvolts - microvolts.mean(axis=1, keepdims=True)
    assert report.clipped == 0
    np.testing.assert_allclose(result(report).T * report.microvolts_per_bit, right, atol=0.05)
    assert np.abs(result(report)).max() > 3000


def test_channels_of_unequal_gain_are_brought_to_one(tmp_path):
    data = noise(20_000, 3)
    gains = [0.1, 0.4, 2.0]
    structs = {f"Port_{i}": channel(row, scale=gains[i]) for i, row in enumerate(data)}
    write73(tmp_path / "a.mat", structs)
    report = denoise(tmp_path, tmp_path / "out", "b", reference="none")
    right = (data - data.mean(axis=1, keepdims=True)) * np.array(gains)[:, None]
    np.testing.assert_allclose(
        result(report).T * report.microvolts_per_bit, right, atol=0.6 * report.microvolts_per_bit
    )
    assert not report.document["keeps_input_bits"]


def test_an_inverted_scale_and_one_that_changes_between_files_are_applied(tmp_path):
    data = noise(20_000, 2)
    for number, gain in enumerate((-0.5, 0.25)):
        structs = {f"Port_{i}": channel(row, scale=gain, start=number * 10.0) for i, row in enumerate(data)}
        write73(tmp_path / f"{number}.mat", structs)
    report = denoise(tmp_path, tmp_path / "out", "b", reference="none")
    right = (data - data.mean(axis=1, keepdims=True)).T
    assert 0 < report.microvolts_per_bit < 0.25
    found = result(report) * report.microvolts_per_bit
    np.testing.assert_allclose(found, np.concatenate([right * -0.5, right * 0.25]), atol=0.02)
    inverted = denoise(tmp_path / "0.mat", tmp_path / "one", "b", reference="none")
    assert inverted.microvolts_per_bit == 0.5
    np.testing.assert_array_equal(result(inverted), np.rint(-right))


def test_what_does_not_fit_is_clipped_counted_and_said(tmp_path):
    data = noise(20_000, 2)
    data[0, 5000:5010] = 32767
    data[0, 6000:6003] = -32768
    data[0, 10_000:] += 500
    write73(tmp_path / "a.mat", {f"Port_{i}": channel(row) for i, row in enumerate(data)})
    report = denoise(tmp_path, tmp_path / "out", "b", reference="none")
    assert report.clipped == 3
    assert report.document["clipped"] == {"Port_0": 3, "Port_1": 0}
    assert "3 values clipped" in report.warnings[-1]
    assert result(report)[6000:6003, 0].tolist() == [-32768] * 3


def test_omitted_channels_leave_the_data_the_prb_and_the_prm(tmp_path):
    source = block(tmp_path / "mat", channels=5)
    report = denoise(source, tmp_path / "out", "b", omit=["Port_2", "Port_4"], format="dat")
    assert report.labels == ("Port_1", "Port_3", "Port_5")
    assert report.data.stat().st_size == 6000 * 3 * 2
    prb, prm = {}, {}
    exec(report.prb.read_text(), prb)
    exec(report.prm.read_text(), prm)
    assert sorted(c for group in prb["channel_groups"].values() for c in group["channels"]) == [0, 1, 2]
    assert prm["traces"]["n_channels"] == 3
    assert prm["traces"]["raw_data_files"] == ["b.dat"]
    assert prm["traces"]["voltage_gain"] == report.microvolts_per_bit == 0.5
    assert (prm["traces"]["sample_rate"], prm["prb_file"], prm["experiment_name"]) == (RATE, "b.prb", "b")


def test_a_dead_channel_that_is_omitted_may_hold_anything(tmp_path):
    rows = noise(5000, 3) * 0.001
    rows[1, 17] = np.nan
    write73(tmp_path / "a.mat", {f"Port_{i}": channel(row, units="mV") for i, row in enumerate(rows)})
    with pytest.raises(EphysError, match=r"Port_1 in .*a\.mat has NaN values, the first at sample 17 \(0\.0008 s\)"):
        denoise(tmp_path, tmp_path / "out", "b")
    assert list((tmp_path / "out").iterdir()) == []
    assert denoise(tmp_path, tmp_path / "out", "b", omit=["Port_1"]).labels == ("Port_0", "Port_2")


def test_infinite_values_in_a_later_file_are_placed_on_its_clock(tmp_path):
    for number in range(2):
        rows = noise(50_000, 2).astype(float) * 0.001
        rows[1, 45_678] = np.inf if number else 0
        structs = {f"Port_{i}": channel(r, start=100.0 * number + i * 1e-5) for i, r in enumerate(rows)}
        write73(tmp_path / f"{number}.mat", structs)
    with pytest.raises(EphysError, match=r"Port_1 in .*1\.mat has infinite values, .* sample 45678 \(102\.2839 s\)"):
        denoise(tmp_path, tmp_path / "out", "b", threads=2)


def test_the_json_tells_where_everything_came_from(staggered, tmp_path):
    from blake3 import blake3

    folder, _ = staggered
    params = parse_settings(["spikedetekt.threshold_strong_std_factor=5"])
    report = denoise(folder, tmp_path / "out", "b", params=params, omit=["Port_5"])
    said = json.loads(report.json.read_text())
    assert said == report.document
    assert said["outputs"] == {path.name: path.stat().st_size for path in (report.data, report.prb, report.prm)}
    for each in said["inputs"]:
        data = (folder / each["file"]).read_bytes()
        assert each["bytes"] == len(data)
        assert each["blake3"] == blake3(data).hexdigest()
    assert said["omitted"] == ["Port_5"]
    assert said["parameters"]["klusta"]["spikedetekt"]["threshold_strong_std_factor"] == 5
    assert said["versions"]["numpy"] == np.__version__
    assert [each["n_samples"] for each in said["segments"]] == [150_000, 40_000, 50_000]
    assert [round(each["seconds"], 6) for each in said["gaps"]] == [22.5, 3.0]
    which, when = file_times(said["segments"], said["rate_hz"], np.array([0, 149_999, 150_000, 190_000, 239_999]))
    assert which.tolist() == [0, 0, 1, 2, 2]
    np.testing.assert_allclose(when, [0, 149_999 / RATE, 30, 30 + 40_000 / RATE + 3, 30 + 89_999 / RATE + 3])
    with pytest.raises(ValueError, match="outside"):
        file_times(said["segments"], said["rate_hz"], np.array([240_000]))
    assert 0 < said["noise_uv"]["after"][0] < said["noise_uv"]["before"][0]


def test_what_a_person_should_look_at_is_said(tmp_path):
    rows = noise(20_000, 6)
    rows[2] = 5
    rows[4] = np.random.default_rng(1).standard_normal(20_000) * 3000
    write73(tmp_path / "a.mat", {f"Port_{i}": channel(row) for i, row in enumerate(rows)})
    (bad,) = denoise(tmp_path, tmp_path / "out", "b").warnings
    assert "Port_2 is flat: constant" in bad
    assert "Port_4 is noisy" in bad
    assert bad.endswith("--omit Port_2,Port_4")
    flat, loud = denoise(tmp_path, tmp_path / "out", "b", bad_channels="off").warnings
    assert "flat: Port_2:" in flat
    assert "noisier" in loud
    assert "Port_4" in loud


def test_a_wrong_request_is_a_sentence_and_leaves_an_earlier_result_whole(tmp_path):
    source = block(tmp_path / "mat")
    before = denoise(source, tmp_path / "out", "b").document
    for wrong, says in [
        ({"omit": ["Port_9"]}, "unknown channel Port_9"),
        ({"reference": "magic"}, "unknown reference 'magic'"),
        ({"format": "wav"}, "unknown format 'wav'"),
        ({"probe": "no-such-probe"}, "no-such-probe"),
    ]:
        with pytest.raises(EphysError, match=says):
            denoise(source, tmp_path / "out", "b", **wrong)
    assert json.loads((tmp_path / "out" / "b.denoise.json").read_text()) == before
    for name in ("", "a/b", "../b", ".b", "-b", "x" * 300, "a\nb"):
        with pytest.raises(EphysError, match=r"cannot name the results|too long"):
            denoise(source, tmp_path / "out", name)


def test_one_sample_and_one_channel_are_enough(tmp_path):
    write73(tmp_path / "a.mat", {"Port_1": channel(np.array([5], "i2"))})
    assert result(denoise(tmp_path, tmp_path / "out", "b")).tolist() == [[0]]


def test_results_do_not_go_among_the_sources(tmp_path):
    source = block(tmp_path / "mat")
    with pytest.raises(EphysError, match="source's own folder"):
        denoise(source, tmp_path / "mat" / ".." / "mat", "b")
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(EphysError, match="source's own folder"):
        denoise(source, tmp_path / "link", "b")
    assert [each.name for each in source.iterdir()] == ["one.mat"]


@pytest.mark.klusta
@pytest.mark.parametrize("format_name", ["kwd", "dat"])
def test_klusta_reads_every_sample_that_was_written(tmp_path, monkeypatch, format_name):
    monkeypatch.chdir(tmp_path)
    report = denoise(block(tmp_path / "mat", stagger=True), tmp_path / "out", "b", format=format_name)
    monkeypatch.chdir(tmp_path / "out")
    import subprocess
    import sys

    script = (
        "import sys, numpy as np\n"
        "from labsched.ephys.klusta import compat\n"
        "compat.apply()\n"
        "from klusta.kwik.creator import create_kwik\n"
        "from klusta.kwik.model import KwikModel\n"
        "model = KwikModel(create_kwik(prm_file='b.prm'))\n"
        "np.save('traces.npy', np.asarray(model.all_traces[:]))\n"
        "print(model.sample_rate, model.n_channels, model.n_recordings)\n"
    )
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split()[-3:] == ["20000.0", "4", "1"]
    np.testing.assert_array_equal(np.load(Path("traces.npy")), result(report))


def test_a_band_pass_is_zero_phase_and_the_same_for_any_way_of_going_through(tmp_path):
    import scipy.signal

    source = block(tmp_path / "mat", samples=150_000, channels=5, stagger=True)
    ways = [(0, 1), (1, 2), (40_000, 3)]
    made = [
        denoise(source, tmp_path / str(way), "b", reference="none", band=Band(300, 6000), chunk=way[0], threads=way[1])
        for way in ways
    ]
    assert len({each.data.read_bytes() for each in made}) == 1
    assert made[0].document["parameters"]["band"] == {"low_hz": 300, "high_hz": 6000, "order": 3}
    wide = np.pad(noise(150_000, 5), ((0, 0), (realign.HALF,) * 2), mode="edge")
    rows = [np.correlate(row, realign.kernel(i / 5), "valid") for i, row in enumerate(wide)]
    sos = scipy.signal.butter(3, [300, 6000], "bandpass", fs=RATE, output="sos")
    right = scipy.signal.sosfiltfilt(sos, rows, padtype="constant", padlen=5000)
    inner = slice(300, -300)  # what lies outside of a recording is anybody's guess
    assert np.abs(result(made[0]).T - right)[:, inner].max() < 0.51


def test_a_band_that_the_recording_does_not_have_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(EphysError, match="nothing above 10000 Hz"):
        denoise(block(tmp_path / "mat"), tmp_path / "out", "b", band=Band(300, 12_000))
    assert not (tmp_path / "out").exists()
