"""Stage 2 by a sorter of an environment of its own: what it leaves, and what becomes of it when it fails."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from labsched.ephys.errors import EphysError, Killed
from labsched.ephys.klusta.result import read
from labsched.ephys.sorters.run import parse, sort

from ..klusta.running import GIVEN, MADE, names, quiet, until
from ..klusta.stage_one import stage_one
from .standing import environment


@pytest.fixture
def world(tmp_path):
    return stage_one(tmp_path / "data"), environment(tmp_path / "sorters")


def again(folder, sorters, **more):
    return sort(folder, "b", "mountainsort5", sorters, say=quiet, **more)


def first_values(folder) -> list[float]:
    """The first value of each shank's first channel, by which the standing sorter knows the shank (µV)."""
    data = np.memmap(folder / "b.dat", "<i2", "r").reshape(-1, 8)
    return [float(data[0, 0] * 0.2), float(data[0, 4] * 0.2)]


def test_the_results_have_klustas_form_with_metrics_and_report(world):
    folder, sorters = world
    sorting = again(folder, sorters)
    assert names(folder) == GIVEN | MADE
    said = json.loads((folder / "b.sorting.json").read_text())
    assert (said["sorter"], said["versions"]["mountainsort5"]) == ("mountainsort5", "7")
    assert (said["spikes"], said["clusters"]) == (sorting.spikes, sorting.clusters)
    shanks = read(folder / "b.kwik")
    assert [shank.units for shank in shanks] == [(2, 3), (2, 3)]
    assert all(120 < len(shank.samples) < 400 for shank in shanks)
    rows = json.loads((folder / "b.metrics.json").read_text())["units"]
    assert [(row["shank"], row["cluster"]) for row in rows] == [(0, 2), (0, 3), (1, 2), (1, 3)]
    assert {row["channel"] for row in rows} <= {f"{k}" for k in range(8)} | {f"Port_{k}" for k in range(9)}
    assert "mountainsort5: wall time" in (folder / "b.report.html").read_text()


def test_klustas_own_reader_opens_it(world):
    pytest.importorskip("klusta")
    folder, sorters = world
    again(folder, sorters)
    code = (
        "from labsched.ephys.klusta import compat; compat.apply()\n"
        "from klusta.kwik.model import KwikModel\n"
        f"model = KwikModel({str(folder / 'b.kwik')!r}, channel_group=1)\n"
        "print([int(k) for k in sorted(model.cluster_ids)], model.n_spikes, model.all_features_masks.shape)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("[2, 3] "), done.stderr


def test_a_finished_one_is_kept_and_another_is_only_replaced_when_asked(world):
    folder, sorters = world
    again(folder, sorters)
    before = (folder / "b.kwik").stat().st_mtime_ns
    again(folder, sorters)
    assert (folder / "b.kwik").stat().st_mtime_ns == before
    with pytest.raises(EphysError, match=r"sorted already, with other parameters.*--again"):
        again(folder, sorters, settings=["threshold=70"])
    environment(sorters, "kilosort4")
    with pytest.raises(EphysError, match="sorted already, by mountainsort5"):
        sort(folder, "b", "kilosort4", sorters, say=quiet)
    assert again(folder, sorters, settings=["threshold=90"], overwrite=True).spikes
    assert (folder / "b.kwik").stat().st_mtime_ns != before


def test_a_failure_keeps_the_shanks_that_are_sorted_and_looks_unfinished(world, monkeypatch):
    folder, sorters = world
    monkeypatch.setenv("STANDING", f"fail:{first_values(folder)[1]!r}")
    with pytest.raises(EphysError, match=r"mountainsort5 failed on b .*the sorter is unhappy"):
        again(folder, sorters)
    assert names(folder) == GIVEN | {".b.sorting"}
    monkeypatch.setenv("STANDING", f"fail:{first_values(folder)[0]!r}")  # where it is done already
    lines = []
    sort(folder, "b", "mountainsort5", sorters, say=lines.append)
    assert "shank 1 of 2 was sorted by an earlier attempt: kept" in lines
    assert names(folder) == GIVEN | MADE


def test_what_is_cut_off_is_not_taken(world, monkeypatch):
    folder, sorters = world
    monkeypatch.setenv("STANDING", f"kill:{first_values(folder)[1]!r}")
    with pytest.raises(Killed, match="mountainsort5 was killed by SIGKILL"):
        again(folder, sorters)
    monkeypatch.delenv("STANDING")
    kept = folder / ".b.sorting" / "shanks" / "shank-0.npz"
    kept.write_bytes(kept.read_bytes()[:100])
    lines = []
    sort(folder, "b", "mountainsort5", sorters, say=lines.append)
    assert any(line.startswith("shank-0.npz of an earlier attempt is not whole") for line in lines)
    assert not any("kept" in line for line in lines)
    assert names(folder) == GIVEN | MADE


def test_a_term_ends_the_sorter_too(world):
    folder, sorters = world
    command = [
        sys.executable, "-m", "labsched.ephys", "sort", "mountainsort5", "--sorters", str(sorters), "--target",
        str(folder), "--name", "b",
    ]  # fmt: skip
    waits = os.environ | {"STANDING": f"wait:{first_values(folder)[1]!r}"}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=waits)
    until(lambda: (folder / ".b.sorting" / "shanks" / "shank-0.npz").exists())
    child.send_signal(signal.SIGTERM)
    out, _ = child.communicate(timeout=30)
    assert child.returncode == 143
    assert out.rstrip().endswith("goes on from the shanks that are sorted so far")
    assert names(folder) == GIVEN | {".b.sorting"}


@pytest.mark.parametrize(
    ("sorter", "settings", "sentence"),
    [
        ("mountainsort5", ["treshold=3"], "has no parameter treshold: it has nearest_chans, threshold"),
        ("mountainsort5", ["threshold"], "is not an option of mountainsort5: it is KEY=VALUE"),
        ("mountainsort5", ["threshold=100000"], "found no spikes in b on any shank"),
        ("kilosort4", [], "finds no GPU that it can use"),
        ("tridesclous2", [], "is not installed in .*: labsched sorter install tridesclous2"),
    ],
)
def test_what_cannot_be_sorted_is_said_in_a_sentence(world, sorter, settings, sentence):
    folder, sorters = world
    environment(sorters, "kilosort4")
    with pytest.raises(EphysError, match=sentence):
        sort(folder, "b", sorter, sorters, settings=settings, say=quiet)
    assert not MADE & names(folder)


def test_values_of_options_are_json_or_words():
    assert parse("x", ["a=5", "b=[1, 2]", "c=True", "d=word"]) == {"a": 5, "b": [1, 2], "c": True, "d": "word"}
