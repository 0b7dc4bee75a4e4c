"""NWB: read back by pynwb, and looked at by nwbinspector where that is installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from labsched.ephys.export.command import export
from labsched.ephys.qc.units import load
from tests.ephys import peers
from tests.ephys.qc.blocks import RATE, Block, block

INSPECT = Path(__file__).with_name("inspect_nwb.py")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Block:
    """A block of two files with 7 s between them."""
    made = block(tmp_path_factory.mktemp("sorted") / "out", seconds=20.0)
    path = made.folder / "b.denoise.json"
    note = json.loads(path.read_text())
    first = int(12 * RATE)
    note["segments"] = [
        {"output_first_sample": 0, "n_samples": first, "start_s": 3.0},
        {"output_first_sample": first, "n_samples": int(8 * RATE), "start_s": 22.0},
    ]
    note |= {"source": "/data/rat12/b", "inputs": [{"mtime": "2024-03-10T09:30:00.000Z"}]}
    path.write_text(json.dumps(note))
    return made


@pytest.fixture(scope="module")
def path(made):
    return export(made.folder, "b", "nwb")[0]


def test_spikes_are_on_the_recordings_own_clock(made, path):
    with h5py.File(path) as file:
        units = file["units"]
        ends = units["spike_times_index"][:]
        names = [name.decode() for name in units["unit_name"][:]]
        times = np.split(units["spike_times"][:], ends[:-1])
        rows = units["electrodes"][:].reshape(len(names), 4)
        labels = [each.decode() for each in file["general/extracellular_ephys/electrodes/channel_name"][:]]
    for name, found, row in zip(names, times, rows, strict=True):
        shank, cluster = map(int, name.split("."))
        samples = made.trains[shank, cluster]
        late = samples >= 12 * RATE
        assert found == pytest.approx(np.where(late, 22.0 + (samples / RATE - 12.0), 3.0 + samples / RATE))
        assert [labels[k] for k in row] == [f"Port_{4 * shank + k + 1}" for k in range(4)]


def test_waveforms_are_in_volts(made, path):
    whole = load(made.folder, "b")
    with h5py.File(path) as file:
        means = file["units/waveform_mean"][:]
    for mean, unit in zip(means, whole.units, strict=True):
        assert mean == pytest.approx(unit.mean * 1e-6, abs=1e-9)


def test_pynwb_reads_it(path):
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(path), "r") as file:
        found = file.read()
        assert found.subject.subject_id == "rat12"
        assert found.session_start_time.isoformat() == "2024-03-10T09:30:00+00:00"
        assert found.units.to_dataframe()["label"].tolist()[0] == "noise"


def test_files_whose_clocks_do_not_go_on_are_taken_without_gaps(tmp_path):
    made = block(tmp_path / "out", shanks=1, seconds=4.0)
    path, note = export(made.folder, "b", "nwb")
    with h5py.File(path) as file:
        times = file["units/spike_times"][: len(made.trains[0, 0])]
        assert "leave out the gaps" in file["session_description"][()].decode()
    assert times == pytest.approx(made.trains[0, 0] / RATE)
    assert "fill them in before you share it" in note


def test_without_pynwb_it_is_said_what_to_install(made, tmp_path):
    (tmp_path / "pynwb.py").write_text("raise ImportError('no pynwb here')\n")
    words = [sys.executable, "-m", "labsched.ephys", "export", made.folder, "--to", "nwb", "--overwrite"]
    before = (made.folder / "b.nwb").exists()
    done = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(tmp_path)}
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: writing NWB needs pynwb (no pynwb here): install the extra")
    assert (made.folder / "b.nwb").exists() == before
    assert not [each for each in made.folder.iterdir() if "partial" in each.name]


def test_nwbinspector_finds_nothing_critical(path):
    found = json.loads(peers.run(INSPECT, path).splitlines()[-1])
    assert not [each for each in found if each[0] in ("CRITICAL", "ERROR", "PYNWB_VALIDATION")]
