"""Files of every format, cut short or with wrong bytes at random: a sentence or the truth, never a traceback."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import examine, opened
from tests.ephys.exports import noise
from tests.ephys.readers.formats import blackrock, intan, neuralynx, open_ephys, plexon, saved, spike2, spikeglx

pytest.importorskip("neo", reason="the extra labsched[readers] is not installed")

DATA = noise(5120, 3)
FORMATS = {
    "SpikeGLX": spikeglx.write,
    "Intan": intan.write,
    "Intan RHS": lambda folder, data: intan.write(folder, data, rhs=True),
    "Intan split": intan.write_split,
    "Open Ephys (binary)": open_ephys.write,
    "Open Ephys (legacy)": open_ephys.write_legacy,
    "Neuralynx": neuralynx.write,
    "Blackrock": blackrock.write,
    "Plexon": plexon.write,
    "Spike2": spike2.write,
    "binary folder": saved.write_binary,
    "Zarr": saved.write_zarr,
    "NWB": lambda folder, data: saved.write_nwb(folder / "a.nwb", data),
}
QUICK = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def everything(block: Path) -> list[np.ndarray] | EphysError:
    """What a block holds, read as stage 1 reads it, or the sentence."""
    try:
        with opened(examine(block)) as recording:
            return [segment.fetch(0, segment.n_samples) for segment in recording.segments]
    except EphysError as error:
        assert len(str(error)) < 1000 and "Traceback" not in str(error)
        return error


@pytest.fixture(params=FORMATS)
def whole(request, tmp_path) -> Path:
    FORMATS[request.param](tmp_path / "whole", DATA)
    return tmp_path / "whole"


def copied(whole: Path, draw) -> tuple[Path, Path]:
    """A copy of the block, and one of its files."""
    block = whole.parent / "copy"
    shutil.rmtree(block, ignore_errors=True)
    shutil.copytree(whole, block)
    files = sorted(path for path in block.rglob("*") if path.is_file() and path.stat().st_size)
    return block, draw(st.sampled_from(files))


@QUICK
@given(st.data())
def test_a_file_that_is_cut_short_is_called_so_or_ends_at_a_whole_sample(whole, data):
    block, file = copied(whole, data.draw)
    size = file.stat().st_size
    keep = data.draw(st.one_of(st.integers(0, size - 1), st.integers(max(size - 300, 0), size - 1)))
    with file.open("r+b") as opened_file:
        opened_file.truncate(keep)
    truth, found = everything(whole), everything(block)
    if isinstance(found, EphysError):
        return
    # Headers that tell no length: then what is there must be the beginning of what was there.
    assert isinstance(truth, list)
    together, all_of_it = np.concatenate(found, axis=1), np.concatenate(truth, axis=1)
    if together.shape[0] == all_of_it.shape[0]:
        np.testing.assert_array_equal(together, all_of_it[:, : together.shape[1]])


@QUICK
@given(st.data())
def test_wrong_bytes_are_a_sentence_or_no_harm(whole, data):
    block, file = copied(whole, data.draw)
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        # Headers are where it hurts.
        at = data.draw(st.one_of(st.integers(0, min(len(content), 700) - 1), st.integers(0, len(content) - 1)))
        content[at] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    everything(block)
