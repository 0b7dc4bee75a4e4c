"""Folders that SpikeInterface saved and NWB files: by these libraries themselves where they are, and by hand."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from labsched.ephys.errors import EphysError
from labsched.ephys.probes import resolve
from labsched.ephys.readers import examine, opened
from tests.ephys import peers
from tests.ephys.exports import noise
from tests.ephys.readers.formats import saved

DATA = noise(9000, 4)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    peers.run(Path(__file__).parent / "peer.py", "write", folder)
    return folder


@pytest.mark.parametrize("name", ["binary", "zarr.zarr"])
def test_what_spikeinterface_saved_comes_back_with_gains_times_and_probe(made, name):
    source = examine(made / name, {"e3"})
    truth = np.load(made / "truth.npy")
    assert (source.labels, source.rate) == (("e0", "e1", "e2", "e3", "e4", "e5"), 25000.0)
    with opened(source) as recording:
        one, two = recording.segments
        assert (one.n_samples, two.n_samples, two.start_s) == (30000, 12000, 10.0)
        assert one.gains == pytest.approx((0.6, 0.5, 0.4, 0.2, 0.1)) and one.offsets == (6.0, 5.0, 4.0, 2.0, 1.0)
        kept = truth[[5, 4, 3, 1, 0]]
        np.testing.assert_array_equal(one.fetch(0, 30000), kept[:, :30000])
        np.testing.assert_array_equal(two.fetch(6990, 7300), kept[:, 36990:37300])
    layout = resolve(None, source.labels, source.omitted, carried=source.wiring)
    assert [group.labels for group in layout.groups] == [("e5", "e4"), ("e2", "e1", "e0")]
    assert layout.groups[1].geometry == ((0.0, 200.0), (0.0, 225.0), (0.0, 250.0))


def test_what_pynwb_wrote_comes_back(made):
    source = examine(made / "made.nwb")
    truth = np.load(made / "truth.npy")[:, :30000]
    assert source.labels == tuple(f"AD{k}" for k in range(6)) and source.stream == "acquisition/Wide"
    assert "left out: processing/ecephys/LFP/LFP (2 channels, 1250 Hz)" in source.notes[0]
    with opened(source) as recording:
        (segment,) = recording.segments
        assert (segment.gains[0], segment.offsets[0], segment.start_s) == (pytest.approx(0.2), pytest.approx(1.0), 2.0)
        np.testing.assert_array_equal(segment.fetch(4990, 15010), truth[:, 4990:15010])
    layout = resolve(None, source.labels, carried=source.wiring)
    assert [group.labels for group in layout.groups] == [("AD0", "AD1", "AD2"), ("AD3", "AD4", "AD5")]
    with opened(examine(made / "made.nwb", stream="LFP/LFP")) as recording:
        assert recording.labels == ("AD1", "AD4")
        assert [segment.n_samples for segment in recording.segments] == [600, 400]
        np.testing.assert_array_equal(recording.segments[1].fetch(0, 400), truth[[1, 0], 600:1000])


def test_floats_are_microvolts(made):
    with opened(examine(made / "float")) as recording:
        (segment,) = recording.segments
        assert not segment.counts and segment.gains == (1.0,) * 6
        np.testing.assert_array_equal(segment.fetch(0, 99)[::-1], np.load(made / "truth.npy")[:, :99] * 0.5)


def test_a_binary_folder_by_hand_and_the_folder_that_holds_it(tmp_path):
    saved.write_binary(tmp_path / "block" / "recording", DATA)
    source = examine(tmp_path / "block", {"b"})
    with opened(source) as recording:
        np.testing.assert_array_equal(recording.segments[0].fetch(100, 200), DATA[[0, 2, 3], 100:200])
    shutil.copytree(tmp_path / "block" / "recording", tmp_path / "block" / "another")
    with pytest.raises(EphysError, match="holds another, recording: name one of them"):
        examine(tmp_path / "block")


def test_channel_after_channel_with_a_header(tmp_path):
    folder = saved.write_binary(tmp_path / "a", DATA, time_axis=1, file_offset=10)
    (folder / "traces_cached_seg0.raw").write_bytes(b"0123456789" + DATA.tobytes())
    with opened(examine(folder, {"a"})) as recording:
        np.testing.assert_array_equal(recording.segments[0].fetch(50, 80), DATA[1:, 50:80])


def test_zarr_by_hand(tmp_path):
    pytest.importorskip("zarr", reason="the extra labsched[readers] is not installed")
    source = examine(saved.write_zarr(tmp_path / "a.zarr", DATA), {"c"})
    with opened(source) as recording:
        (segment,) = recording.segments
        for start, stop in ((0, 9000), (1990, 4010), (8999, 9000), (-5, 3)):
            take = np.clip(np.arange(start, stop), 0, 8999)
            np.testing.assert_array_equal(segment.fetch(start, stop), DATA[[0, 1, 3]][:, take])
    assert examine(tmp_path / "a").path == tmp_path / "a.zarr"


def test_nwb_by_hand_with_a_gap_in_its_times(tmp_path):
    stamps = np.arange(9000) / saved.RATE
    stamps[5000:] += 1.0
    saved.write_nwb(tmp_path / "a.nwb", DATA, stamps)
    with opened(examine(tmp_path)) as recording:
        assert [segment.n_samples for segment in recording.segments] == [5000, 4000]
        np.testing.assert_array_equal(recording.segments[1].fetch(0, 10), DATA[:, 5000:5010])
    stamps[7000:] -= 0.5
    saved.write_nwb(tmp_path / "a.nwb", DATA, stamps)
    with pytest.raises(EphysError, match=r"times of acquisition/Wide in .*a\.nwb go back at sample 7000"):
        examine(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: _cut(f / "traces_cached_seg0.raw"), "which is no multiple of 8: it was cut short"),
        (lambda f: (f / "traces_cached_seg0.raw").unlink(), "there is no .*traces_cached_seg0.raw"),
        (lambda f: (f / "binary.json").write_text("{"), "binary.json is damaged"),
        (lambda f: (f / "binary.json").write_text('{"class": "Other", "kwargs": {}}'), "describes no binary recording"),
        (lambda f: _swap(f / "binary.json", '"<i2"', '"<c8"'), "binary.json is damaged"),
        (lambda f: _swap(f / "binary.json", "0.3", "NaN"), "gain_to_uV has numbers that are none"),
    ],
)
def test_a_damaged_binary_folder_is_a_sentence(tmp_path, change, says):
    folder = saved.write_binary(tmp_path / "a", DATA)
    change(folder)
    with pytest.raises(EphysError, match=says):
        examine(folder)


def test_a_piece_of_zarr_that_is_missing_or_damaged_is_no_silence(tmp_path):
    pytest.importorskip("zarr", reason="the extra labsched[readers] is not installed")
    folder = saved.write_zarr(tmp_path / "a.zarr", DATA)
    piece = folder / "traces_seg0" / "2.0"
    whole = piece.read_bytes()
    piece.unlink()
    with pytest.raises(EphysError, match="lacks 1 of the 5 pieces of traces_seg0"):
        examine(folder)
    piece.write_bytes(whole[:-1])
    with pytest.raises(EphysError, match=r"traces_seg0/2\.0 has \d+ bytes, and should have others"):
        examine(folder)
    piece.write_bytes(whole[:20] + bytes(len(whole) - 20))
    with opened(examine(folder)) as recording, pytest.raises(EphysError, match=r"a\.zarr .*samples 4000 to 6000"):
        recording.segments[0].fetch(0, 9000)


def test_a_damaged_nwb_is_a_sentence(tmp_path):
    path = saved.write_nwb(tmp_path / "a.nwb", DATA)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(EphysError, match=r"a\.nwb as NWB: it was cut short"):
        examine(path)
    path.write_bytes(b"")
    with pytest.raises(EphysError, match=r"a\.nwb as NWB"):
        examine(path)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _swap(path: Path, one: str, other: str) -> None:
    path.write_text(path.read_text().replace(one, other))
