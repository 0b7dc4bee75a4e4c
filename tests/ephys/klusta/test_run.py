"""The real klusta, on small data."""

import json
import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest

from labsched.ephys.errors import EphysError
from labsched.ephys.klusta import result
from labsched.ephys.klusta.run import sort

from .running import GIVEN, MADE, alive, child_of, command, names, quiet, until
from .stage_one import stage_one

pytestmark = pytest.mark.klusta


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sorted block, for looking at only."""
    folder = stage_one(tmp_path_factory.mktemp("sorted") / "out", spikes=(500, 500))
    sort(folder, "b", say=quiet)
    return folder


def test_both_units_of_each_shank_are_found(folder):
    for shank in result.read(folder / "b.kwik"):
        sizes = sorted((int((shank.clusters == k).sum()) for k in shank.units), reverse=True)
        assert sizes[0] >= 220
        assert sizes[1] >= 220


def test_nothing_but_the_results_is_left(folder):
    assert names(folder) == GIVEN | MADE


def test_the_summary_says_what_was_done(folder):
    said = json.loads((folder / "b.sorting.json").read_text())
    shanks = result.read(folder / "b.kwik")
    assert said["spikes"] == sum(len(shank.samples) for shank in shanks)
    assert [shank["spikes"] for shank in said["shanks"]] == [len(shank.samples) for shank in shanks]
    assert said["outputs"] == {name: (folder / name).stat().st_size for name in ("b.kwik", "b.kwx")}
    assert said["warnings"] == []
    assert said["seed"] == 1
    assert said["versions"]["klusta"] == "3.0.16"
    assert said["peak_rss_bytes"] > 10_000_000


def test_klustas_own_model_opens_it_and_finds_the_raw_data(folder):
    code = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from labsched.ephys.klusta import compat; compat.apply(); compat.apply()\n"
        "from klusta.kwik.model import KwikModel\n"
        "model = KwikModel(sys.argv[1], channel_group=1)\n"
        "print(model.n_spikes, *map(int, model.all_traces.shape), *model.all_features_masks.shape)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, folder / "b.kwik"], capture_output=True, text=True, check=True, cwd="/"
    ).stdout.splitlines()[-1]
    spikes = len(result.read(folder / "b.kwik")[1].samples)
    assert said == f"{spikes} 120000 8 {spikes} 12 2"
    with h5py.File(folder / "b.kwik") as file:
        assert b".b.sorting" not in file.attrs["name"]


def clusters(folder):
    return [shank.clusters.tolist() for shank in result.read(folder / "b.kwik")]


def test_the_result_does_not_depend_on_the_threads(folder, tmp_path):
    other = stage_one(tmp_path / "out", spikes=(500, 500))
    sort(other, "b", threads=2, say=quiet)
    assert clusters(other) == clusters(folder)
    with h5py.File(folder / "b.kwx") as one, h5py.File(other / "b.kwx") as two:
        path = "channel_groups/0/features_masks"
        assert np.array_equal(one[path], two[path])


def test_a_finished_sorting_is_returned_kept_or_replaced(tmp_path):
    folder = stage_one(tmp_path / "out", spikes=(60,), seconds=2.0)
    heard: list[str] = []
    first = sort(folder, "b", say=quiet)
    stamp = first.kwik.stat().st_mtime_ns
    again = sort(folder, "b", say=heard.append, threads=2)
    assert again.note() == first.note()
    assert len(heard) == 1
    assert "nothing to do" in heard[0]
    assert first.kwik.stat().st_mtime_ns == stamp
    with pytest.raises(EphysError, match=r"b\.kwik already exists.*--overwrite"):
        sort(folder, "b", say=quiet, settings=["filter_low=400"])
    sort(folder, "b", say=quiet, settings=["filter_low=400"], overwrite=True)
    assert json.loads(first.summary.read_text())["parameters"]["spikedetekt"]["filter_low"] == 400.0
    assert names(folder) == GIVEN | MADE
    # stage 1 is made anew: what was sorted is of other data now, and a person may have worked on it
    (folder / "b.denoise.json").write_text((folder / "b.denoise.json").read_text() + "\n")
    sort(folder, "b", say=quiet)
    assert names(folder) == GIVEN | MADE | {"b.before-1.kwik", "b.before-1.kwx", "b.before-1.sorting.json"}
    assert result.complete(folder / "b.before-1.kwik")


def test_what_an_unfinished_attempt_left_is_no_obstacle(tmp_path):
    folder = stage_one(tmp_path / "out", spikes=(60,), seconds=2.0)
    (folder / "b.kwik").write_bytes(b"half")
    (folder / "b.kwx").write_bytes(b"half")
    stale = folder / ".b.sorting" / ".spikedetekt"
    stale.mkdir(parents=True)
    (stale / "chunk").write_bytes(b"old")
    (folder / ".b.sorting" / "b.kwik").write_bytes(b"old")
    sorting = sort(folder, "b", say=quiet)
    assert sorting.spikes > 50
    assert names(folder) == GIVEN | MADE


def test_an_empty_shank_is_a_warning_that_names_it(tmp_path):
    folder = stage_one(tmp_path / "out", spikes=(60, 0), seconds=2.0)
    run = command(folder, LABSCHED_PROGRESS=str(tmp_path / "progress"))
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert "WARNING: shank 1 has no spikes" in out
    assert json.loads((folder / "b.sorting.json").read_text())["warnings"] == ["shank 1 has no spikes"]
    fraction, _, note = (tmp_path / "progress").read_text().partition(" ")
    assert float(fraction) == 1.0
    assert "spikes in" in note
    assert "WARNING: shank 1 has no spikes" in note


def test_no_spikes_at_all_is_a_failure_in_a_sentence(tmp_path):
    folder = stage_one(tmp_path / "out", spikes=(5, 0), seconds=1.0)
    (folder / "b.dat").write_bytes(bytes((folder / "b.dat").stat().st_size))
    run = command(folder)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 1
    assert err.splitlines()[-1].startswith("error: klusta found no spikes in b on any shank")
    assert names(folder) == GIVEN


def test_klustas_traceback_is_seen_and_its_error_is_in_the_sentence(tmp_path):
    folder = stage_one(tmp_path / "out", spikes=(5,), seconds=0.5)
    (folder / "b.prb").write_text("channel_groups = {0: {'channels': [0, 1, 2, 99], 'graph': [(0, 99)]}}\n")
    run = command(folder)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "Traceback (most recent call last)" in out
    assert "Traceback" not in err
    assert "klusta failed on b with exit code 1" in err.splitlines()[-1]
    assert names(folder) == GIVEN


def test_a_missing_klusta_is_a_sentence_that_says_how_to_install_it(tmp_path):
    folder = stage_one(tmp_path / "out", spikes=(5,), seconds=0.5)
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / "klusta.py").write_text("raise ModuleNotFoundError(\"No module named 'klusta'\")\n")
    run = command(folder, PYTHONPATH=str(tmp_path / "shadow"))
    _, err = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "No module named 'klusta' – install it" in err.splitlines()[-1]
    assert names(folder) == GIVEN


def test_a_term_ends_klusta_too_and_leaves_nothing_but_checkpoints(tmp_path):
    folder = stage_one(tmp_path / "out", spikes=(900, 900), seconds=12.0)
    run = command(folder)
    until((folder / ".b.sorting" / "detection").exists)
    child = child_of(run.pid)
    assert child is not None
    with pytest.raises(EphysError, match="being sorted by another process right now"):
        sort(folder, "b", say=quiet)
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=30)
    assert run.returncode == 143
    until(lambda: not alive(child))
    assert names(folder) <= GIVEN | {".b.sorting"}


def test_klusta_dies_with_a_killed_parent_and_the_next_attempt_succeeds(tmp_path):
    folder = stage_one(tmp_path / "out", spikes=(200, 200), seconds=8.0)
    run = command(folder)
    until((folder / ".b.sorting" / "detection").exists)
    child = child_of(run.pid)
    assert child is not None
    run.kill()
    run.communicate(timeout=30)
    until(lambda: not alive(child))
    assert not names(folder) & MADE
    assert sort(folder, "b", say=quiet).spikes > 300
    assert names(folder) == GIVEN | MADE


def test_a_killed_klusta_is_a_sentence(tmp_path):
    folder = stage_one(tmp_path / "out", spikes=(200, 200), seconds=8.0)
    run = command(folder)
    until((folder / ".b.sorting" / "detection").exists)
    child = child_of(run.pid)
    assert child is not None
    os.kill(child, signal.SIGKILL)
    _, err = run.communicate(timeout=30)
    assert run.returncode == 137
    assert "klusta was killed by SIGKILL while sorting b" in err.splitlines()[-1]
    assert names(folder) <= GIVEN | {".b.sorting"}
