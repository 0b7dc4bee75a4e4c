"""The first pass looks at a sample, the second at everything."""

from contextlib import contextmanager

import numpy as np
import pytest

from labsched.ephys import output, statistics, stream
from labsched.ephys.band import Band
from labsched.ephys.chain import Chain
from labsched.ephys.errors import EphysError
from labsched.ephys.readers import examine, opened
from labsched.ephys.writers import data
from tests.ephys.exports import channel, noise, write73

CHANNELS = 8
LENGTH = stream.block_length(CHANNELS)


@contextmanager
def chain(folder, rows, band=None):
    write73(folder / "a.mat", {f"Port_{i}": channel(row) for i, row in enumerate(rows)})
    with opened(examine(folder)) as recording:
        yield Chain(recording, band)


def test_a_sample_of_the_blocks_is_nearly_the_whole(tmp_path):
    rows = noise(9 * LENGTH, CHANNELS)
    with chain(tmp_path, rows) as made:
        whole, part = statistics.gather(made), statistics.gather(made, most=3)
    assert (whole.complete, part.complete) == (True, False)
    centred = (rows - rows.mean(axis=1, keepdims=True)) * 0.5
    np.testing.assert_allclose(whole.covariance, centred @ centred.T / rows.shape[1], rtol=1e-6)
    np.testing.assert_allclose(part.covariance, whole.covariance, rtol=0.05)
    np.testing.assert_allclose(whole.noise, part.noise, rtol=0.1)
    assert (part.peak <= whole.peak).all()
    assert whole.peak.max() == np.abs(rows - np.round(np.median(rows[:, :4096], axis=1))[:, None]).max()


def test_any_number_of_threads_gives_the_same_to_the_bit(tmp_path):
    with chain(tmp_path, noise(5 * LENGTH + 77, CHANNELS), Band(300, 6000)) as made:
        one, three = statistics.gather(made, threads=1), statistics.gather(made, threads=3)
    for name in ("means", "covariance", "peak", "noise"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))


def test_the_first_bad_number_is_named_though_a_later_one_was_seen(tmp_path):
    rows = noise(9 * LENGTH, CHANNELS).astype(float)
    rows[5, 8 * LENGTH + 3] = np.nan
    rows[2, 2 * LENGTH + 9] = np.inf
    with chain(tmp_path, rows) as made, pytest.raises(EphysError, match=rf"Port_2 .* sample {2 * LENGTH + 9} "):
        statistics.gather(made, most=2)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_bad_number_outside_of_the_sample_is_found_by_the_second_pass(tmp_path, threads):
    rows = noise(9 * LENGTH, CHANNELS).astype(float)
    rows[3, 6 * LENGTH - 20] = np.nan
    rows[1, 7 * LENGTH] = np.nan
    with chain(tmp_path, rows, Band(300, 6000)) as made:
        before = statistics.gather(made, most=2)
        said = rf"Port_3 .* NaN values, the first at sample {6 * LENGTH - 20} "
        with data.dat(tmp_path / "out", rows.shape[1], CHANNELS) as sink, pytest.raises(EphysError, match=said):
            output.write(made, before.means, np.eye(CHANNELS), sink, threads=threads)


def test_what_was_not_looked_at_has_room(tmp_path):
    rows = noise(9 * LENGTH, CHANNELS).astype(float) * 1e-3
    with chain(tmp_path, rows) as made:
        whole, part = statistics.gather(made), statistics.gather(made, most=3)
        whole_unit, _ = output.unit(made.recording, whole, np.eye(CHANNELS))
        part_unit, counts = output.unit(made.recording, part, np.eye(CHANNELS))
    assert not counts
    reached = (part.peak + np.abs(part.means).max(axis=0)).max() * abs(part.units[0])
    assert part_unit * 32767 > 3.9 * reached
    assert whole_unit * 32767 < 1.5 * (whole.peak + np.abs(whole.means).max(axis=0)).max() * abs(whole.units[0])


def test_raw_numbers_have_a_level_of_their_own_under_a_band_pass(tmp_path):
    slow = np.round(3000 * np.sin(np.arange(4 * LENGTH) / 900))
    with chain(tmp_path, noise(4 * LENGTH, CHANNELS) + slow, Band(300, 6000)) as made:
        found = statistics.gather(made)
    assert (found.broad > 20 * found.noise).all()
    with chain(tmp_path, noise(4 * LENGTH, CHANNELS)) as made:
        plain = statistics.gather(made)
    np.testing.assert_allclose(plain.broad, plain.noise, rtol=0.02)
