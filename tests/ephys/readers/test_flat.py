"""Flat .dat files with their .toml."""

from pathlib import Path

import numpy as np
import pytest

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import examine, opened
from tests.ephys.exports import noise


def dat(folder: Path, toml: str, name: str = "a", samples: int = 1000, header: bytes = b"") -> np.ndarray:
    """Write three channels; (3, samples)."""
    data = noise(samples, 3)
    (folder / f"{name}.dat").write_bytes(header + data.T.astype("<i2").tobytes())
    (folder / f"{name}.toml").write_text(toml)
    return data


def test_labels_gains_and_offset_come_from_the_toml(tmp_path):
    toml = "rate = 25000\nchannels = ['B_10', 'B_9', 'A']\ngain = [0.1, 0.2, 0.3]\noffset_bytes = 6\n"
    data = dat(tmp_path, toml, header=b"header")
    source = examine(tmp_path, {"B_9"})
    assert source.labels == ("A", "B_9", "B_10")
    with opened(source) as recording:
        (segment,) = recording.segments
        assert (recording.labels, recording.rate, segment.gains) == (("A", "B_10"), 25000.0, (0.3, 0.1))
        np.testing.assert_array_equal(segment.fetch(0, 1000), data[[2, 0]])
        np.testing.assert_array_equal(segment.fetch(-2, 2), data[[2, 0]][:, [0, 0, 0, 1]])


def test_several_files_follow_each_other_in_natural_order(tmp_path):
    for name in ("e10", "e9"):
        dat(tmp_path, "rate = 1e4\nn_channels = 3", name)
    source = examine(tmp_path)
    assert [path.name for path in source.files] == ["e9.dat", "e10.dat"]
    assert (source.labels, source.n_samples, source.gain_known) == (("Port_1", "Port_2", "Port_3"), 2000, False)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("n_channels = 3", "needs `rate`"),
        ("rate = 0\nn_channels = 3", "needs `rate`"),
        ("rate = 'fast'\nn_channels = 3", "`rate` must be a number"),
        ("rate = 1e4", "needs `channels`"),
        ("rate = 1e4\nchannels = ['a', 'b', 'a']", "channel a is there twice"),
        ("rate = 1e4\nn_channels = 7", "no multiple of 7 int16 channels"),
        ("rate = 1e4\nn_channels = 3\ngain = [1.0, 2.0]", "`gain` has 2 numbers for 3 channels"),
        ("rate = 1e4\nn_channels = 3\ngain = 0", "must be more than 0"),
        ("rate = 1e4\nn_channels = 3\noffset_bytes = 60000", "holds no samples"),
        ("rate = 1e4\nn_channels = 3\nspeed = 4", "unknown key 'speed'"),
        ("rate = 1e4\nn_channels = 3\nchannels = ['a']", "`n_channels` is 3 but `channels` names 1"),
        ("rate = ", "no valid TOML"),
    ],
)
def test_a_bad_toml_is_a_sentence_that_names_it(tmp_path, toml, says):
    dat(tmp_path, toml)
    with pytest.raises(EphysError, match=says) as caught:
        examine(tmp_path)
    assert "a.toml" in str(caught.value)


def test_a_dat_alone_says_what_it_lacks(tmp_path):
    dat(tmp_path, "")
    (tmp_path / "a.toml").unlink()
    with pytest.raises(EphysError, match=r"has no a\.toml beside it"):
        examine(tmp_path)


def test_files_that_differ_are_named(tmp_path):
    dat(tmp_path, "rate = 1e4\nn_channels = 3", "a")
    dat(tmp_path, "rate = 2e4\nn_channels = 3", "b")
    with pytest.raises(EphysError, match=r"different sampling rates: a\.dat 10000 Hz, b\.dat 20000"):
        examine(tmp_path)
    (tmp_path / "b.toml").write_text("rate = 1e4\nchannels = ['Port_1', 'Port_2', 'x']")
    with pytest.raises(EphysError, match="Port_3, x only in one"):
        examine(tmp_path)
