"""phy's template format: read back as it is there, and by phy itself where that is installed."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from labsched.ephys.__main__ import main
from labsched.ephys.errors import EphysError
from labsched.ephys.export.command import export
from labsched.ephys.export.place import made as made_at
from labsched.ephys.qc.units import load
from tests.ephys.qc.blocks import GAIN, UNITS, block

from . import phys

READ = Path(__file__).with_name("read_phy.py")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return block(tmp_path_factory.mktemp("sorted") / "out", seconds=20.0, kwd=True)


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    """The export, moved to where nothing else is."""
    path, note = export(made.folder, "b", "phy")
    assert note == ""
    return path.rename(tmp_path_factory.mktemp("moved") / "elsewhere")


def array(folder: Path, name: str) -> np.ndarray:
    return np.load(folder / f"{name}.npy")


def test_spikes_and_clusters_of_all_shanks_are_in_it(made, folder):
    times, clusters = array(folder, "spike_times"), array(folder, "spike_clusters")
    assert np.all(np.diff(times.astype(np.int64)) >= 0)
    names = (folder / "cluster_metrics.tsv").read_text().splitlines()[1:]
    for line in names:
        number, unit = line.split("\t")[:2]
        shank, cluster = map(int, unit.split("."))
        assert times[clusters == int(number)].tolist() == made.trains[shank, cluster].tolist()


def test_features_are_klustas(made, folder):
    features, where = array(folder, "pc_features"), array(folder, "pc_feature_ind")
    times, clusters = array(folder, "spike_times"), array(folder, "spike_clusters")
    with h5py.File(made.folder / "b.kwx") as file, h5py.File(made.folder / "b.kwik") as kwik:
        group = kwik["channel_groups/1"]
        row = 77
        at, cluster = group["spikes/time_samples"][row], group["spikes/clusters/main"][row]
        known = file["channel_groups/1/features_masks"][row, :, 0].reshape(4, 3)
    whole = load(made.folder, "b", waveforms=False)
    number = [(unit.shank, unit.cluster) for unit in whole.units].index((1, cluster))
    spike = np.flatnonzero((times == at) & (clusters == number))[0]
    assert where[number].tolist() == [4, 5, 6, 7]
    assert np.array_equal(features[spike], known.T)


def test_templates_are_mean_waveforms_in_bits(made, folder):
    whole = load(made.folder, "b")
    templates = array(folder, "templates")
    for k, unit in enumerate(whole.units):
        assert templates[k] * GAIN == pytest.approx(unit.mean, abs=1e-3)


def test_the_data_take_no_room_and_are_at_their_place(made, folder):
    raw = next(path for path in made.folder.iterdir() if path.name.endswith((".kwd", ".dat")))
    assert (folder / "recording.dat").samefile(raw)
    params: dict = {}
    exec((folder / "params.py").read_text(), params)
    data = np.memmap(folder / params["dat_path"], params["dtype"], "r", params["offset"]).reshape(-1)
    whole = load(made.folder, "b", waveforms=False)
    count = params["n_channels_dat"]
    assert np.array_equal(data[: 100 * count].reshape(100, count), whole.traces.data[:100])
    assert not Path(params["dat_path"]).is_absolute()


def test_groups_are_what_people_said(made, tmp_path):
    copy = block(tmp_path / "out", shanks=1, seconds=4.0)
    with h5py.File(copy.folder / "b.kwik", "r+") as file:
        file["channel_groups/0/clusters/main/3"].attrs["cluster_group"] = 2
    path, _ = export(copy.folder, "b", "phy")
    lines = (path / "cluster_group.tsv").read_text().splitlines()
    assert lines == ["cluster_id\tgroup", "0\tnoise", "1\tunsorted", "2\tgood", "3\tunsorted"]


def test_one_that_is_there_is_kept_unless_it_may_be_replaced(made, capsys):
    path, _ = export(made.folder, "b", "phy")
    (path / "cluster_group.tsv").write_text("worked on")
    assert main(["export", str(made.folder), "--to", "phy"]) == 1
    assert "exists already, and what was done in it would be lost" in capsys.readouterr().err
    assert (path / "cluster_group.tsv").read_text() == "worked on"
    assert main(["export", str(made.folder), "--to", "phy", "--overwrite"]) == 0
    assert f"phy template-gui {path}/params.py" in capsys.readouterr().out
    assert (path / "cluster_group.tsv").read_text() != "worked on"
    assert not [each for each in made.folder.iterdir() if each.name.startswith(".")]


def test_an_export_that_fails_leaves_nothing(tmp_path):
    made = block(tmp_path / "out", shanks=1, seconds=4.0)
    with h5py.File(made.folder / "b.kwx", "r+") as file:
        del file["channel_groups/0/features_masks"]
    before = set(made.folder.iterdir())
    with pytest.raises(EphysError):
        export(made.folder, "b", "phy")
    assert set(made.folder.iterdir()) == before


def test_what_a_dead_export_left_goes(tmp_path):
    made = block(tmp_path / "out", shanks=1, seconds=4.0)
    left = made.folder / ".partial-999999999.b.phy"
    left.mkdir()
    export(made.folder, "b", "phy")
    assert not left.exists()


def test_which_block_is_asked_for_where_there_are_several(tmp_path, capsys):
    made = block(tmp_path / "out", shanks=1, seconds=4.0)
    block(tmp_path / "out", "c", shanks=1, seconds=4.0)
    assert main(["export", str(made.folder), "--to", "phy"]) == 1
    assert "has several sortings: say which with --name: b, c" in capsys.readouterr().err
    assert main(["export", str(made.folder), "--to", "phy", "--name", "c"]) == 0
    assert main(["export", str(tmp_path), "--to", "phy"]) == 1
    assert "has no finished sorting" in capsys.readouterr().err


def test_a_shank_without_spikes_is_no_obstacle(tmp_path):
    made = block(tmp_path / "out", seconds=4.0)
    with h5py.File(made.folder / "b.kwik", "r+") as kwik, h5py.File(made.folder / "b.kwx", "r+") as kwx:
        del kwik["channel_groups/0/spikes"], kwx["channel_groups/0"]
    path, _ = export(made.folder, "b", "phy")
    assert array(path, "channel_map").tolist() == list(range(8))
    assert len(array(path, "spike_times")) == sum(len(t) for (shank, _), t in made.trains.items() if shank == 1)


def test_phy_reads_the_same(made, folder):
    seen = json.loads(phys.run(READ, folder / "params.py"))
    assert seen["duration"] == pytest.approx(20.0, abs=0.01)
    assert seen["shanks"] == [0] * 4 + [1] * 4
    whole = load(made.folder, "b", waveforms=False)
    for k, unit in enumerate(whole.units):
        found = seen["clusters"][str(k)]
        assert found["samples"] == whole.train(unit).tolist()
        assert set(found["channels"]) <= set(range(4 * unit.shank, 4 * unit.shank + 4))
        if unit.cluster in UNITS:
            assert found["best"] == 4 * unit.shank + int(np.argmax(UNITS[unit.cluster][0]))
            assert found["amplitude"] == pytest.approx(1)
            assert seen["metadata"]["unit"][str(k)] == unit.name
    assert seen["trace"] == whole.traces.data[1000:1003].tolist()


def test_one_that_is_broken_off_leaves_the_one_before(tmp_path):
    final = tmp_path / "b.phy"
    final.mkdir()
    (final / "mine").touch()
    with pytest.raises(EphysError, match="no more"), made_at(final, True) as partial:
        partial.mkdir()
        (partial / "half").touch()
        raise EphysError("no more")
    assert [path.name for path in tmp_path.rglob("*")] == ["b.phy", "mine"]
