"""The folder that SpikeInterface loads, read by SpikeInterface."""

import json
from pathlib import Path

import numpy as np
import pytest

from labsched.ephys.denoise import denoise
from labsched.ephys.readers import examine, opened
from tests.ephys import exports, peers

PEER = Path(__file__).parents[1] / "readers" / "peer.py"


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("result")
    block = exports.block(folder / "block", samples=4000, channels=8)
    ports = "".join(f"Port_{k} = {9 - k}\n" for k in range(1, 9))
    (folder / "rig.toml").write_text('probe = "linear.prb"\n[ports]\n' + ports)
    sites = ", ".join(f"{k}: ({k % 2}, {20 * k})" for k in range(1, 9))
    groups = "".join(
        f"{g}: {{'channels': {list(range(4 * g + 1, 4 * g + 5))}, 'geometry': {{{sites}}}}}," for g in (0, 1)
    )
    (folder / "linear.prb").write_text(f"channel_groups = {{{groups}}}")
    denoise(block, folder / "out", "b", omit=["Port_3"], probe=folder / "rig.toml", format="spikeinterface")
    return folder / "out"


def test_spikeinterface_loads_ids_gains_places_and_samples(result):
    (found,) = json.loads(peers.run(PEER, "read", result / "b.spikeinterface"))
    note = json.loads((result / "b.denoise.json").read_text())
    data = np.fromfile(result / "b.dat", "<i2").reshape(-1, 7).T
    assert found["ids"] == note["labels"] == [f"Port_{k}" for k in (1, 2, 4, 5, 6, 7, 8)]
    assert (found["rate"], found["samples"], found["dtype"]) == (20000.0, 4000, "int16")
    assert found["gains"] == [note["microvolts_per_bit"]] * 7 and found["offsets"] == [0.0] * 7
    assert found["groups"] == [1, 1, 1, 0, 0, 0, 0]
    assert found["places"] == [[site % 2, 20.0 * site] for site in (8, 7, 5, 4, 3, 2, 1)]
    assert found["head"] == data[:, :50].tolist() and found["tail"] == data[:, -50:].tolist()
    assert found["annotations"] == {"omitted_channels": ["Port_3"], "reference": note["parameters"]["reference"]}


def test_it_is_a_block_itself(result):
    source = examine(result / "b.spikeinterface")
    assert source.wiring is not None and source.wiring.ports["Port_8"] == "1"
    with opened(source) as recording:
        data = np.fromfile(result / "b.dat", "<i2").reshape(-1, 7).T
        np.testing.assert_array_equal(recording.segments[0].fetch(0, 4000), data)


def test_it_goes_where_the_data_become_others(tmp_path):
    block = exports.block(tmp_path / "block", samples=3000)
    denoise(block, tmp_path / "out", "b", format="spikeinterface")
    assert not (tmp_path / "out" / "b.spikeinterface" / "probegroup.json").exists()  # no probe was named
    denoise(block, tmp_path / "out", "b", format="spikeinterface", omit=["Port_1"])
    assert examine(tmp_path / "out" / "b.spikeinterface").labels == ("Port_2", "Port_3", "Port_4")
    denoise(block, tmp_path / "out", "b", format="dat")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["b.dat", "b.denoise.json", "b.prb", "b.prm"]


def test_nothing_half_written_stays(tmp_path):
    from labsched.ephys.errors import EphysError

    block = exports.block(tmp_path / "block", samples=3000)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.prm").mkdir()  # cannot be replaced by a file
    with pytest.raises(EphysError, match=r"cannot write to .*b\.prm"):
        denoise(block, tmp_path / "out", "b", format="spikeinterface")
    assert not [path for path in (tmp_path / "out").iterdir() if "partial" in path.name]
