"""A .kwik that klusta wrote: metrics and exports of it, and phy's kwik-gui on it as far as it goes without a screen."""

import subprocess
import sys
from pathlib import Path

import pytest

from labsched.ephys.export import command, kwik_gui
from labsched.ephys.klusta import result
from labsched.ephys.klusta.run import sort
from labsched.ephys.qc.write import measure
from tests.ephys.klusta.stage_one import stage_one

from . import phys

SHIM = Path(kwik_gui.__file__)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A block of two shanks, the second without a spike."""
    folder = stage_one(tmp_path_factory.mktemp("sorted") / "out", spikes=(200, 0), seconds=4.0)
    sort(folder, "b", say=lambda line: None)
    return folder


@pytest.mark.klusta
def test_what_klusta_wrote_is_measured_and_exported(folder):
    before = (folder / "b.kwik").read_bytes(), (folder / "b.kwx").read_bytes()
    rows = measure(folder, "b", say=lambda line: None)
    shank = result.read(folder / "b.kwik")[0]
    assert sum(row["num_spikes"] for row in rows) == len(shank.samples)
    # the units that were put in have 200 and 190 µV before the band-pass
    best = max((row for row in rows if row["cluster"] > 1), key=lambda row: row["snr"])
    assert best["label"] != "noise"
    assert -230 < best["amplitude_median"] < -90
    path, _ = command.export(folder, "b", "phy", overwrite=True)
    assert (path / "params.py").is_file()
    assert before == ((folder / "b.kwik").read_bytes(), (folder / "b.kwx").read_bytes())


@pytest.mark.klusta
def test_phys_own_window_gets_what_klusta_wrote(folder):
    said = phys.run(SHIM, folder / "b.kwik", "--check", QT_QPA_PLATFORM="offscreen").split()
    shank = result.read(folder / "b.kwik")[0]
    assert int(said[0]) == len(shank.samples)
    assert [int(each) for each in said[1:]] == sorted({int(k) for k in shank.clusters})


def test_without_phy_it_is_said_what_to_install(tmp_path):
    (tmp_path / "b.kwik").write_bytes(b"")
    done = subprocess.run([sys.executable, SHIM, tmp_path / "b.kwik"], capture_output=True, text=True)
    assert done.returncode == kwik_gui.MISSING
    assert "No module named 'phy'" in done.stderr
    assert "pip install" in done.stderr
    done = subprocess.run([sys.executable, SHIM, tmp_path / "c.kwik"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"error: there is no {tmp_path}/c.kwik\n")
