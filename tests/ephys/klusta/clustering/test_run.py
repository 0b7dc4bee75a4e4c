"""The whole .kwik is the one that klusta writes, seeded in the same way; and processors are never exceeded."""

import os
import shutil
import subprocess
import sys
import warnings

import h5py
import numpy as np
import psutil
import pytest

from ..stage_one import stage_one

pytestmark = pytest.mark.klusta

DETECT = """
from labsched.ephys.klusta import compat; compat.apply()
from klusta import launch
launch.main(args=["b.prm", "--detect-only"], standalone_mode=False)
"""
STOCK = """
import random, numpy as np
from labsched.ephys.klusta import compat; compat.apply()
from klusta import launch
cluster = launch.cluster
def seeded(model, *args, **kwargs):
    mine = (9 * 1_000_003 + int(model.channel_group)) % 2**32
    random.seed(mine); np.random.seed(mine)
    return cluster(model, *args, **kwargs)
launch.cluster = seeded
launch.main(args=["b.prm", "--cluster-only"], standalone_mode=False)
"""


def python(code, folder):
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    words = [sys.executable, "-W", "ignore", "-c", code]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, env=os.environ | one)


def everything(path):
    """Every data set and every attribute in an HDF5 file, as bytes."""
    found = {}

    def note(name, each):
        found[name] = (each.dtype.str, each.shape, each[()].tobytes()) if isinstance(each, h5py.Dataset) else None
        for key, value in each.attrs.items():
            found[name, key] = (str(np.asarray(value).dtype), np.asarray(value).tobytes())

    with h5py.File(path) as file:
        file.visititems(note)
    return found


def test_the_kwik_is_klustas(tmp_path, capfd):
    from labsched.ephys.klusta.clustering.run import run

    # the third shank is empty, the last has very few spikes
    theirs = stage_one(tmp_path / "theirs", spikes=(90, 200, 0, 3), seconds=3.0)
    python(DETECT, theirs)
    mine = tmp_path / "mine"
    shutil.copytree(theirs, mine)
    python(STOCK, theirs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from labsched.ephys.klusta import compat

        compat.apply()
        from klusta.utils import _read_python

        capfd.readouterr()
        run(mine / "b.kwik", 1, 9, options=_read_python(str(mine / "b.prm"))["klustakwik2"])
    said = capfd.readouterr().out.splitlines()
    begun = [line.split(":")[0] for line in said if ": iteration 1," in line]
    # one after the other, the largest first
    assert begun == ["clustering shank 1", "clustering shank 0", "clustering shank 3"]
    us, them = everything(mine / "b.kwik"), everything(theirs / "b.kwik")
    assert us.keys() == them.keys()
    assert [name for name in us if us[name] != them[name]] == []
    assert len(us) > 100


def test_a_shank_that_fails_ends_the_others(tmp_path, capfd):
    from labsched.ephys.klusta.clustering import run, worker

    with h5py.File(tmp_path / "b.kwx", "w") as file:
        for shank in range(3):
            file[f"channel_groups/{shank}/features_masks"] = np.ones((20, 3, 2), dtype=np.float32)
    (tmp_path / "clustering").mkdir()
    tasks = [
        worker.Task(
            str(tmp_path / "b.kwx"), shank, str(tmp_path / "clustering"),
            {"no_such_option": 1} if shank == 1 else {}, 5, 1, os.getpid(), 1.0,
        )
        for shank in range(3)
    ]  # fmt: skip
    with pytest.raises(run.Failed, match="1"):
        run._every(tasks, 2)
    assert "There is no parameter no_such_option" in capfd.readouterr().err
    left = [child.cmdline() for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    assert not [words for words in left if "labsched.ephys.klusta.clustering.worker" in words]


@pytest.mark.parametrize(("shanks", "processes"), [(3, 2), (2, 5)])
def test_no_more_processors_than_given(tmp_path, monkeypatch, shanks, processes):
    """What each worker was told is added up, from its start to its end."""
    from labsched.ephys.klusta.clustering import run, worker

    from .features import features_masks

    with h5py.File(tmp_path / "b.kwx", "w") as file:
        for shank in range(shanks):
            file[f"channel_groups/{shank}/features_masks"] = features_masks(shank, spikes=200 + 300 * shank)
    (tmp_path / "clustering").mkdir()
    now, most = {}, []

    class Counted(run._Worker):
        def __init__(self, task, threads):
            super().__init__(task, threads)
            now[task.shank] = threads
            self.shank = task.shank
            most.append(sum(now.values()))

        def grant(self, more):
            super().grant(more)
            now[self.shank] = self.threads
            most.append(sum(now.values()))

        def end(self):
            del now[self.shank]
            return super().end()

    monkeypatch.setattr(run, "_Worker", Counted)
    tasks = [
        worker.Task(str(tmp_path / "b.kwx"), shank, str(tmp_path / "clustering"), {}, 5, 1, os.getpid(), 60.0)
        for shank in range(shanks)
    ]
    run._every(tasks, processes)
    assert max(most) == processes and not now
