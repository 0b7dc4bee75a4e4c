"""Spike2's own .smr files, written by hand after CED's description."""

import numpy as np
import pytest

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import examine, opened
from tests.ephys.exports import noise
from tests.ephys.readers.formats import spike2

DATA = noise(12800, 4)


@pytest.mark.parametrize(
    "how", [{}, {"version": 6}, {"items": 77}, {"real": True, "scale": 6553.6, "units": "uV", "offset": 0.0}], ids=str
)
def test_values_are_those_that_neo_reads(tmp_path, how):
    neo = pytest.importorskip("neo.rawio", reason="the extra labsched[readers] is not installed")
    spike2.write(tmp_path, DATA, **{"scale": 2.0, "offset": 0.5, **how})
    source = examine(tmp_path, {"Port_2"})
    reader = neo.Spike2RawIO(filename=str(tmp_path / "rec.smr"), try_signal_grouping=False)
    reader.parse_header()
    factor = {"mV": 1e3, "uV": 1.0}
    with opened(source) as recording:
        (segment,) = recording.segments
        ours = segment.fetch(0, 12800) * np.array(segment.gains)[:, None] + np.array(segment.offsets)[:, None]
        for row, k in zip(ours, (0, 2, 3), strict=True):
            raw = reader.get_analogsignal_chunk(0, 0, None, None, k)
            units = factor[str(reader.header["signal_channels"][k]["units"])]
            theirs = reader.rescale_signal_raw_to_float(raw, "float64", k)[:, 0] * units
            np.testing.assert_allclose(row, theirs, atol=1e-3)
        np.testing.assert_array_equal(segment.fetch(700, 900), segment.fetch(0, 12800)[:, 700:900])
    assert (source.labels, source.rate) == (("Port_1", "Port_2", "Port_3", "Port_4"), 20000.0)
    assert "not waveforms, left out: trigger" in source.notes


def test_channels_sampled_one_after_the_other_are_told_with_their_shifts(tmp_path):
    spike2.write(tmp_path, DATA, late=1e-5, scale=[1, 2, 3, 4])
    with opened(examine(tmp_path)) as recording:
        (segment,) = recording.segments
        assert segment.shifts == pytest.approx((0.0, 0.2, 0.4, 0.6))
        assert segment.gains == pytest.approx(np.arange(1, 5) * 1000 / 6553.6)


def test_gaps_begin_segments(tmp_path):
    spike2.write(tmp_path, DATA, gap_after=3, late=1e-5)
    with opened(examine(tmp_path)) as recording:
        one, two = recording.segments
        assert (one.n_samples, two.first, two.start_s) == (1500, 1500, pytest.approx(1.075))
        np.testing.assert_array_equal(two.fetch(0, 50), DATA[:, 1500:1550])


def test_files_follow_each_other_and_channels_of_another_rate_are_left_out(tmp_path):
    spike2.write(tmp_path, DATA, name="e10.smr")
    spike2.write(tmp_path, DATA[:, :5000], name="e9.smr")
    assert [path.name for path in examine(tmp_path).files] == ["e9.smr", "e10.smr"]
    spike2.write(tmp_path, DATA[:2, :5000], rate=1000.0, name="e9.smr")
    with pytest.raises(EphysError, match=r"e9\.smr lacks Port_1, .* at 20000 Hz"):
        examine(tmp_path)
    (tmp_path / "e10.smr").unlink()
    assert examine(tmp_path, stream="1000 Hz").rate == 1000.0
    with pytest.raises(EphysError, match="has no stream '7 Hz': it has 1000 Hz"):
        examine(tmp_path, stream="7 Hz")


def test_exports_beside_it_are_the_block(tmp_path):
    from tests.ephys.exports import block

    spike2.write(tmp_path, DATA)
    block(tmp_path, samples=3000)
    assert examine(tmp_path).format == "spike2"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data[:-3000], "was cut short within channel Port_[1-4]"),
        (lambda data: data[: len(data) // 2], r"block \d+ of 26 of channel Port_1 lies past its end"),
        (lambda data: data[:3000], "was cut short within its header"),
        (lambda data: b"", "is empty"),
        (lambda data: b"x" * len(data), "no file of Spike2"),
    ],
)
def test_damage_names_file_and_channel(tmp_path, change, says):
    spike2.write(tmp_path, DATA)
    file = tmp_path / "rec.smr"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(EphysError, match=f"{file}.*{says}"):
        examine(tmp_path)


def test_a_chain_of_blocks_that_bites_its_tail_ends(tmp_path):
    spike2.write(tmp_path, DATA)
    file = tmp_path / "rec.smr"
    data = bytearray(file.read_bytes())
    first = int.from_bytes(data[512 + 6 : 512 + 10], "little") * 512
    data[first + 4 : first + 8] = (first // 512).to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(EphysError, match="the times of channel Port_1 go back at sample 500"):
        examine(tmp_path)
