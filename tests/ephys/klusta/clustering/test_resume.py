"""A shank's clustering is killed at any moment, its checkpoints are damaged, and it ends as if nothing had been."""

import json
import os
import random
import subprocess
import sys
from dataclasses import asdict

import h5py
import pytest

from labsched.ephys.klusta.clustering import checkpoint, worker
from labsched.ephys.klusta.clustering.model import Threads
from labsched.ephys.klusta.clustering.options import Options
from labsched.ephys.klusta.clustering.spikes import sparse
from labsched.ephys.klusta.clustering.state import Shank

from .features import features_masks


def ended(shank):
    kept = shank.saved()
    return (
        kept.arrays["clusters"].tolist(),
        kept.arrays["keys"].tolist(),
        kept.values["draws"],
        kept.values["iteration"],
    )


@pytest.mark.parametrize("options", [{}, {"full_step_every": 4, "max_iterations": 50}])
def test_from_every_checkpoint_it_ends_the_same(tmp_path, options):
    both = features_masks(2, channels=6, units=7, spread=1.5, spikes=800)
    spikes, chosen, path = sparse(both), Options.of({"split_first": 6, "split_every": 7} | options), tmp_path / "c"
    saved = []
    shank = Shank(spikes, chosen, Threads(1), 8)

    def after(progress):
        if shank.whole() and not progress.ended:
            checkpoint.save(path, "mine", shank.saved())
            saved.append(checkpoint.load(path, "mine"))

    shank.run(after)
    assert len(saved) > 5
    for each in saved[:: max(len(saved) // 8, 1)]:
        again = Shank(spikes, chosen, Threads(1), 99)
        again.restore(each)
        again.run(lambda progress: None)
        assert ended(again) == ended(shank)


@pytest.fixture
def task(tmp_path):
    both = features_masks(3, channels=8, units=9, spread=1.5, spikes=900)
    with h5py.File(tmp_path / "b.kwx", "w") as file:
        file["channel_groups/4/features_masks"] = both
    folder = tmp_path / "clustering"
    folder.mkdir()
    return worker.Task(str(tmp_path / "b.kwx"), 4, str(folder), {"split_first": 9}, 5, 1, os.getpid(), 0.0)


def start(task):
    words = [sys.executable, "-m", "labsched.ephys.klusta.clustering.worker", json.dumps(asdict(task))]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def result(task):
    with h5py.File(task.kwx, "r") as file:
        mark = worker.fingerprint(task, file["channel_groups/4/features_masks"])
    kept = checkpoint.load(task.path, mark)
    assert kept.values["ended"]
    return (
        kept.arrays["clusters"].tolist(),
        kept.arrays["keys"].tolist(),
        kept.values["draws"],
        kept.values["iteration"],
    )


def test_killed_again_and_again_it_ends_the_same(task, tmp_path):
    with start(task) as whole:
        assert whole.wait(120) == 0
    expected = result(task)
    for path in (task.path, checkpoint.before(task.path)):
        path.unlink()
    draw, kills, resumed = random.Random(7), 0, 0
    for _ in range(40):
        with start(task) as process:
            said = []
            # it is killed a random moment after it began to work: in an iteration, or while a checkpoint is written
            for line in process.stdout:
                said.append(line)
                if ": iteration" in line:
                    break
            resumed += any("resumed from shank-4.checkpoint" in line for line in said)
            assert not any("not used" in line for line in said)
            try:
                process.wait(draw.uniform(0.0, 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
            if process.wait(120) == 0:
                break
    else:
        pytest.fail("it never came to its end")
    assert kills >= 2 and resumed >= 2
    assert result(task) == expected


def test_a_damaged_checkpoint_is_not_used(task, capfd):
    with start(task) as process:
        assert process.wait(120) == 0
    expected, whole, earlier = result(task), task.path.read_bytes(), checkpoint.before(task.path).read_bytes()
    capfd.readouterr()
    for damaged, why in (
        (whole[: len(whole) // 2], "checksum"),
        (whole[:300] + bytes([whole[300] ^ 1]) + whole[301:], "checksum"),
        (whole[:10], "cut short"),
        (b"", "cut short"),
    ):
        task.path.write_bytes(damaged)
        checkpoint.before(task.path).write_bytes(earlier)
        worker.work(task)
        said = capfd.readouterr().out
        assert f"shank-4.checkpoint is not used: it is {'cut short' if why == 'cut short' else ''}" in said
        assert why in said and "resumed from shank-4.checkpoint.before, iteration" in said
        assert result(task) == expected
    for path in (task.path, checkpoint.before(task.path)):
        path.write_bytes(b"labsched clustering 1\n" + bytes(200))
    worker.work(task)
    said = capfd.readouterr().out
    assert said.count("is not used") == 2 and "resumed" not in said
    assert result(task) == expected


def test_a_checkpoint_of_something_else_is_not_used(task, capfd):
    worker.work(task)
    said = capfd.readouterr().out
    assert "done after" in said
    worker.work(task)
    assert "done in an earlier attempt" in capfd.readouterr().out
    for other in ({"seed": 6}, {"options": {"split_first": 10}}):
        worker.work(worker.Task(**asdict(task) | other))
        assert "is not used: it is of other data, parameters, versions or another seed" in capfd.readouterr().out
    with h5py.File(task.kwx, "r+") as file:
        file["channel_groups/4/features_masks"][7, 1, 0] += 1
    worker.work(task)
    assert "is not used: it is of other data" in capfd.readouterr().out


def test_what_was_being_written_when_it_was_killed_is_removed(task):
    torn = task.path.with_name(f"{task.path.name}.123.tmp")
    torn.write_bytes(b"labsched clu")
    worker.work(task)
    names = {path.name for path in task.path.parent.iterdir()}
    assert names == {task.path.name, checkpoint.before(task.path).name}
