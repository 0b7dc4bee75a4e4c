"""A killed sort goes on from its checkpoints, if they are good; what comes of it is the same."""

import h5py
import numpy as np
import pytest

from labsched.ephys.klusta import result
from labsched.ephys.klusta.run import sort

from .running import GIVEN, MADE, alive, child_of, command, names, quiet, until
from .stage_one import stage_one

pytestmark = pytest.mark.klusta
WORLD = {"spikes": (150, 150), "seconds": 6.0}


def outcome(folder):
    with h5py.File(folder / "b.kwx") as file:
        features = [np.asarray(file[f"channel_groups/{k}/features_masks"]).tobytes() for k in (0, 1)]
    shanks = result.read(folder / "b.kwik")
    return features, [(shank.samples.tolist(), shank.clusters.tolist()) for shank in shanks]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = stage_one(tmp_path_factory.mktemp("whole") / "out", **WORLD)
    sort(folder, "b", say=quiet)
    return outcome(folder)


@pytest.fixture
def killed(tmp_path):
    """A folder with the checkpoints of a sort that was killed once it had some."""
    folder = stage_one(tmp_path / "out", **WORLD)
    run = command(folder)
    until((folder / ".b.sorting/detection/000002").exists)
    child = child_of(run.pid)
    run.kill()
    run.communicate(timeout=30)
    until(lambda: not alive(child))
    assert not names(folder) & MADE
    return folder


def test_a_killed_detection_goes_on_from_its_checkpoints(killed, whole):
    heard: list[str] = []
    sort(killed, "b", say=heard.append)
    assert [line for line in heard if "goes on from its checkpoints" in line]
    assert outcome(killed) == whole
    assert names(killed) == GIVEN | MADE


def test_a_checkpoint_that_is_not_good_is_not_used_and_that_is_said(killed, whole):
    at = killed / ".b.sorting/detection"
    flipped = bytearray((at / "000000").read_bytes())
    flipped[-9] ^= 1
    (at / "000000").write_bytes(flipped)
    (at / "000001").write_bytes((at / "000001").read_bytes()[:700])
    (at / "000002").write_bytes(bytes(flipped))
    (at / "000003").write_bytes(b"")
    heard: list[str] = []
    sort(killed, "b", say=heard.append, threads=2)
    said = [line for line in heard if "is not used" in line]
    assert len(said) == 4
    assert "its checksum is wrong" in said[0]
    assert outcome(killed) == whole


def test_checkpoints_of_another_seed_or_other_data_are_not_used(killed, whole):
    heard: list[str] = []
    (killed / "b.denoise.json").write_text((killed / "b.denoise.json").read_text() + "\n")
    sort(killed, "b", say=heard.append)
    assert [line for line in heard if "they are not used" in line]
    assert not [line for line in heard if "goes on" in line]
    assert outcome(killed) == whole


def test_stock_with_the_same_seed_gives_the_same_and_says_what_ran(tmp_path, whole):
    folder = stage_one(tmp_path / "out", **WORLD)
    sort(folder, "b", say=quiet, stock=True, seed=1)
    assert outcome(folder) == whole
    assert '"detection": "klusta"' in (folder / "b.sorting.json").read_text()
