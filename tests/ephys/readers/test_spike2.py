"""Spike2 exports of every kind become the same recording; what is wrong with one is said in a sentence."""

import time
from pathlib import Path

import numpy as np
import pytest

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import examine, opened
from tests.ephys.exports import RATE, WRITERS, block, channel, noise, write5, write73

GENUINE = Path(__file__).parents[4] / "shared" / "data" / "spike2"
kinds = pytest.mark.parametrize("kind", WRITERS)


def microvolts(source: Path, omit=(), scratch: Path | None = None) -> np.ndarray:
    """(channels, samples) in µV, segments one after the other."""
    with opened(examine(source, omit), scratch) as recording:
        return np.concatenate(
            [
                s.fetch(0, s.n_samples) * np.array(s.gains)[:, None] + np.array(s.offsets)[:, None]
                for s in recording.segments
            ],
            axis=1,
        )


@kinds
@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
@pytest.mark.parametrize("times", [False, True])
def test_every_kind_and_type_gives_the_same_microvolts(tmp_path, kind, dtype, times):
    counts = noise(3000, 3)
    structs = {}
    for index, row in enumerate(counts):
        values = row if dtype == "int16" else (row * 2e-4 + 0.05).astype(dtype)
        structs[f"Port_{index + 1}"] = channel(values, scale=2e-4, offset=0.05, units="mV", times=times)
    WRITERS[kind](tmp_path / "a.mat", structs)
    np.testing.assert_allclose(microvolts(tmp_path), counts * 0.2 + 50, atol=0.02)


@pytest.mark.skipif(not GENUINE.is_dir(), reason="the genuine exports are not part of the project")
def test_genuine_exports_of_both_types_agree_to_a_bit():
    files = sorted(GENUINE.glob("*.mat"))
    assert len(files) == 2
    as_double, as_int16 = (microvolts(path) for path in files)
    source = examine(files[0])
    assert source.labels == ("EEG",)
    assert source.rate == 17000
    assert "onset" in source.notes[0]
    assert as_double.shape == as_int16.shape == (1, 340000)
    assert np.abs(as_double - as_int16).max() < 0.0763
    assert as_int16.std() == pytest.approx(165, abs=1)


@pytest.mark.parametrize(
    ("units", "factor"), [("V", 1e6), ("volts", 1e6), ("mV", 1e3), ("uV", 1.0), ("µV", 1.0), ("", 1e6)]
)
def test_doubles_are_in_their_units_and_their_scale_is_not_applied(tmp_path, units, factor):
    values = np.sin(np.arange(2000)) * 0.3
    write73(tmp_path / "a.mat", {"Port_1": channel(values, scale=1e-4, offset=9.0, units=units)})
    np.testing.assert_allclose(microvolts(tmp_path)[0], values * factor)


def test_counts_that_someone_saved_as_doubles_are_counts(tmp_path):
    counts = noise(2000, 1)
    write73(tmp_path / "a.mat", {"Port_1": channel(counts[0].astype(float), scale=0.25, units="uV")})
    np.testing.assert_allclose(microvolts(tmp_path), counts * 0.25)


def test_events_markers_text_and_the_file_struct_are_no_channels(tmp_path):
    events = {
        "Keyboard": {"title": "Keyboard", "times": np.array([[1.0], [2.0]]), "codes": np.zeros((2, 4), "u1")},
        "Shapes": {"values": np.zeros((40, 32), "i2"), "times": np.zeros((40, 1)), "interval": 5e-5, "codes": 1.0},
        "Flash": {"title": "Flash", "interval": 5e-5, "start": 0, "values": 1.0 * (np.arange(2000)[:, None] % 50 < 1)},
        "file": {"name": "x.smr", "start": 0.0},
    }  # fmt: skip
    for index, (write, values) in enumerate([(write73, noise(2000, 1)[0] * 0.001), (write5, noise(2000, 1)[0])]):
        folder = tmp_path / str(index)
        folder.mkdir()
        write(folder / "a.mat", {**events, "Port_1": channel(values)})
        source = examine(folder)
        assert source.labels == ("Port_1",)
        assert "Flash" in source.notes[0]


def test_a_dead_channel_is_a_channel_whatever_its_type(tmp_path):
    rows = noise(2000, 2) * 0.001
    plain = {"scale": None, "offset": None, "units": None}
    structs = {f"Port_{i + 1}": channel(row, **plain) for i, row in enumerate(rows)}
    structs["Port_3"] = channel(np.zeros(2000), **plain)
    write73(tmp_path / "a.mat", structs)
    assert examine(tmp_path).labels == ("Port_1", "Port_2", "Port_3")


@pytest.mark.parametrize(
    ("variable", "title", "label"),
    [
        ("Port_7", "Port_7", "Port_7"),
        ("Port_7", "Port 7", "Port_7"),
        ("Port_7", "", "Port_7"),
        ("Port_7", "something else", "Port_7"),
        ("Vrat12_Port_7", "Port_7", "Port_7"),
        ("rat_one_Ch7", "Port 7", "Port_7"),
        ("Vrat_one_Port_7", "", "Port_7"),
    ],
)
def test_labels_are_free_of_what_the_export_adds(tmp_path, variable, title, label):
    write73(tmp_path / "rat one.mat", {variable: channel(noise(500, 1)[0], title=title)})
    assert examine(tmp_path).labels == (label,)


@kinds
def test_files_come_in_the_order_of_their_start_then_of_their_names(tmp_path, kind):
    for name, start, value in [("e10", 0.0, 3), ("e9", 0.0, 2), ("a", 9.0, 4), ("z", -1.0, 1)]:
        rows = [np.full(200, value, "i2"), noise(200, 1)[0]]
        structs = {f"Port_{index + 1}": channel(row, start=start) for index, row in enumerate(rows)}
        WRITERS[kind](tmp_path / f"{name}.mat", structs)
    assert microvolts(tmp_path)[0, ::200].tolist() == [0.5, 1.0, 1.5, 2.0]


@kinds
def test_no_sample_is_lost_at_a_gap(tmp_path, kind):
    data = noise(5000, 2)
    structs = {}
    for index, row in enumerate(data):
        fields = channel(row, times=True, start=2 + index * 2e-5)
        fields["times"][1234:] += 7.5
        fields["times"][4000:] += 0.0001
        structs[f"Port_{index + 1}"] = fields
    WRITERS[kind](tmp_path / "a.mat", structs)
    with opened(examine(tmp_path), tmp_path) as recording:
        assert [s.n_samples for s in recording.segments] == [1234, 2766, 1000]
        assert [s.first for s in recording.segments] == [0, 1234, 4000]
        assert [s.start_s for s in recording.segments] == pytest.approx([2, 2 + 1234 / RATE + 7.5, 9.7001], abs=1e-9)
        np.testing.assert_allclose([s.shifts for s in recording.segments], [[0, 0.4]] * 3, atol=1e-6)
    np.testing.assert_array_equal(microvolts(tmp_path), data * 0.5)


def test_channels_a_sample_apart_in_start_and_length_are_lined_up(tmp_path):
    row = np.arange(1000, dtype="i2")
    late = channel(row[1:], start=1 / RATE, times=True)
    write73(tmp_path / "a.mat", {"Port_1": channel(row, times=True), "Port_2": late, "Port_3": channel(row[:-1])})
    first, second, third = microvolts(tmp_path) * 2
    assert first.tolist() == row.tolist()
    assert second.tolist() == [1, *row[1:].tolist()]
    assert third.tolist() == [*row[:-1].tolist(), 998]


@kinds
def test_any_range_can_be_read_and_its_ends_are_repeated_outside(tmp_path, kind):
    block(tmp_path / "b", samples=500, kind=kind)
    with opened(examine(tmp_path / "b"), tmp_path) as recording:
        (segment,) = recording.segments
        whole = segment.fetch(0, 500)
        for start, stop in [(-5, 3), (490, 510), (-4, 504), (-9, -2), (500, 505), (17, 18)]:
            index = np.clip(np.arange(start, stop), 0, 499)
            np.testing.assert_array_equal(segment.fetch(start, stop), whole[:, index])
    assert [each.name for each in tmp_path.iterdir()] == ["b"], "what was unpacked is gone"


@pytest.mark.parametrize("piece", [300_000, 3_000_000])
def test_large_compressed_pieces_are_unpacked_once(tmp_path, piece):
    rows = noise(3_000_000, 2)
    structs = {f"Port_{index}": channel(row) for index, row in enumerate(rows)}
    write73(tmp_path / "a.mat", structs, chunks=(1, piece), compression="gzip", compression_opts=1)
    began = time.process_time()
    with opened(examine(tmp_path), tmp_path) as recording:
        for start in range(0, 3_000_000, 10_000):
            np.testing.assert_array_equal(
                recording.segments[0].fetch(start, start + 10_000), rows[:, start : start + 10_000]
            )
    assert time.process_time() - began < 3, "unpacked again and again, it takes 10 to 100 times as long"
    assert [each.name for each in tmp_path.iterdir()] == ["a.mat"]


def folder_with(tmp_path: Path, **structs: dict) -> Path:
    write73(tmp_path / "a.mat", structs)
    return tmp_path


def opening(source: Path, omit=()) -> None:
    with opened(examine(source, omit)):
        pass


GOOD = noise(1000, 1)[0]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (channel(GOOD, rate=1000.0), r"different sampling rates: Port_1 20000 Hz.*Port_2 1000 Hz.*omit"),
        (channel(GOOD[:0]), r"Port_2 in .*a\.mat has no samples"),
        (channel(GOOD[:900]), r"Port_2 in .*a\.mat has 900 samples where others have 1000"),
        (channel(GOOD, start=0.5), r"Port_2 in .*a\.mat begins 10000.0 samples after"),
        (channel(GOOD, interval=None, start=None), r"Port_2 in .*a\.mat has no sampling interval"),
        (channel(GOOD) | {"times": np.arange(999.0).reshape(-1, 1) / RATE}, r"Port_2 .* 1000 values but 999 times"),
        (channel(GOOD) | {"times": np.arange(1000.0)[::-1].reshape(-1, 1) / RATE}, r"Port_2 .* go backwards"),
        (channel(GOOD) | {"times": np.r_[0:500, 600:1100].reshape(-1, 1) / RATE}, r"Port_1 and Port_2 .* same gaps"),
    ],
)
def test_a_bad_channel_is_named_and_omitting_it_helps(tmp_path, bad, says):
    source = folder_with(tmp_path, Port_1=channel(GOOD), Port_2=bad)
    with pytest.raises(EphysError, match=says):
        opening(source)
    opening(source, {"Port_2"})


def test_files_with_other_channels_are_named(tmp_path):
    write73(tmp_path / "a.mat", {"Port_1": channel(GOOD), "Port_2": channel(GOOD)})
    write73(tmp_path / "b.mat", {"Port_1": channel(GOOD, start=1.0)})
    with pytest.raises(EphysError, match=r"b\.mat lacks Port_2, which a\.mat has"):
        examine(tmp_path)
    assert examine(tmp_path, {"Port_2"}).kept == ("Port_1",)


def test_unknown_and_too_many_omitted_labels_are_sentences_with_labels_in_natural_order(tmp_path):
    source = folder_with(tmp_path, **{f"Port_{i}": channel(GOOD) for i in (10, 2, 1)})
    with pytest.raises(EphysError, match=r"unknown channel Port_3: the recording has Port_1, Port_2, Port_10$"):
        examine(source, ["Port_3"])
    with pytest.raises(EphysError, match="all 3 channels would be omitted"):
        examine(source, ["Port_1", "Port_2", "Port_10"])


def test_folders_and_files_that_are_no_block_are_sentences(tmp_path):
    with pytest.raises(EphysError, match=r"there is no folder .*nowhere"):
        examine(tmp_path / "nowhere")
    with pytest.raises(EphysError, match="is empty: export"):
        examine(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(EphysError, match=r"holds no recording \(notes\.txt\)"):
        examine(tmp_path)
    (tmp_path / "a.mat").write_bytes(b"")
    with pytest.raises(EphysError, match=r"a\.mat: it is empty"):
        examine(tmp_path)
    (tmp_path / "a.mat").write_bytes(b"not a matlab file at all" * 50)
    with pytest.raises(EphysError, match=r"a\.mat: it is no MATLAB file"):
        examine(tmp_path)
    write73(tmp_path / "a.mat", {"Keyboard": {"times": np.zeros((3, 1)), "codes": np.zeros((3, 4), "u1")}})
    with pytest.raises(EphysError, match=r"no waveform channel in a\.mat \(found: Keyboard\)"):
        examine(tmp_path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.98])
def test_a_truncated_v73_file_is_named(tmp_path, part):
    source = folder_with(tmp_path, Port_1=channel(noise(30_000, 1)[0]))
    data = (source / "a.mat").read_bytes()
    (source / "a.mat").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(EphysError, match=r"cannot read .*a\.mat: it is"):
        examine(source)
