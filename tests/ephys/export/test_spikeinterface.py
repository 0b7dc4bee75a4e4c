"""SpikeInterface reads the .kwik, phy's folder and its own: the same spikes each time."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from labsched.ephys.export.command import export
from labsched.ephys.qc.metrics import table
from labsched.ephys.qc.units import load
from tests.ephys import peers
from tests.ephys.qc.blocks import block

READ = Path(__file__).with_name("read_spikeinterface.py")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return block(tmp_path_factory.mktemp("sorted") / "out", seconds=20.0)


def test_the_folder_has_spikes_in_order_and_properties(made):
    path, _ = export(made.folder, "b", "spikeinterface", overwrite=True)
    spikes = np.load(path / "spikes.npy")
    units = json.loads((path / "numpysorting_info.json").read_text())["unit_ids"]
    assert np.all(np.diff(spikes["sample_index"]) >= 0)
    for k, unit in enumerate(units):
        shank, cluster = map(int, unit.split("."))
        assert spikes["sample_index"][spikes["unit_index"] == k].tolist() == made.trains[shank, cluster].tolist()
        assert np.load(path / "properties" / "group.npy")[k] == shank
    assert np.load(path / "properties" / "label.npy")[0] == "noise"
    # nothing in it needs to be unpickled
    for each in (path / "properties").iterdir():
        np.load(each, allow_pickle=False)


def test_spikeinterface_reads_the_same_spikes(made, tmp_path):
    empty = block(tmp_path / "out", seconds=4.0)
    with h5py.File(empty.folder / "b.kwik", "r+") as kwik, h5py.File(empty.folder / "b.kwx", "r+") as kwx:
        del kwik["channel_groups/0/spikes"], kwx["channel_groups/0"]
    words = [("read_klusta", made.folder / "b.kwik")]
    for how, to in (("load", "spikeinterface"), ("read_phy", "phy")):
        words.append((how, export(made.folder, "b", to, overwrite=True)[0]))
    lone = export(empty.folder, "b", "spikeinterface")[0]
    said = peers.run(READ, *(word for pair in (*words, ("load", lone)) for word in pair))
    seen = json.loads(said.splitlines()[-1])
    whole = load(made.folder, "b")
    rows = {row["unit"]: row for row in table(whole)}
    for how, path in words:
        found = seen[str(path)]
        assert found["rate"] == whole.rate
        assert found["trains"] == [whole.train(unit).tolist() for unit in whole.units]
        if how != "read_klusta":
            assert found["properties"]["label"][0] == "noise"
            snr = [float(each) for each in found["properties"]["snr"]]
            assert snr == pytest.approx([rows[unit.name]["snr"] for unit in whole.units])
    assert seen[str(lone)]["units"] == ["1.0", "1.2", "1.3", "1.7"]
