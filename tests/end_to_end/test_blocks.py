"""The main job, whole: a block on disk, the command line, the daemon, stage 1 and the real klusta."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from labsched.ephys.synth import Made, Recipe, make
from tests.worlds import QUICK, World, alive, eventually, world

pytestmark = pytest.mark.klusta

CONFIG = f"""{QUICK}
[sort]
source = "mat/{{block}}"
target = "phy/{{block}}"
probe = "rig.toml"
"""
SMALL = Recipe(name="B", seconds=20, shanks=1, sites=6, units=2, movement=0)


class Lab(World):
    """A world whose daemon knows where blocks lie, and what its one recording is."""

    made: Made

    def run(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """labsched, as a person calls it."""
        return subprocess.run(
            [sys.executable, "-m", "labsched", *words], cwd=self.folder, text=True, capture_output=True, timeout=120,
            env={**os.environ, "LABSCHED_SOCKET": str(self.folder / "s"), **environment},
        )  # fmt: skip

    def queue(self, block: str, *words: str) -> int:
        """Submit a block that is a copy of the recording; its job's number."""
        if not (self.folder / "mat" / block).exists():
            shutil.copytree(self.made.folder, self.folder / "mat" / block, copy_function=os.link)
        done = self.run("submit", block, "--omit", self.made.omit, "-q", *words)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    def show(self, ref: int | str) -> dict[str, Any]:
        done = self.run("show", str(ref), "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    def sorted(self, block: str) -> list[list[int]]:
        """The times (samples) of each cluster's spikes, as a .kwik has them."""
        name = block.rpartition("/")[2]
        with h5py.File(self.folder / "phy" / block / f"{name}.kwik", "r") as file:
            group = file["channel_groups/0/spikes"]
            times, clusters = group["time_samples"][()], group["clusters/main"][()]
        return [times[clusters == number].tolist() for number in np.unique(clusters)]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with world(CONFIG, kind=Lab) as it:
        it.made = make(it.folder / "mat", SMALL)
        shutil.copy(it.made.probe, it.folder)
        shutil.move(it.made.rig, it.folder / "rig.toml")
        yield it


@pytest.fixture(scope="module")
def reference(lab: Lab) -> list[list[int]]:
    """What the sorting of the recording is when nothing happens to it."""
    done = lab.run("wait", str(lab.queue("rat1/2024-03-10")))
    assert done.returncode == 0, lab.run("logs", "last").stdout
    return lab.sorted("rat1/2024-03-10")


def stage(job: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in job["stages"] if each["name"] == name)


def test_a_block_is_denoised_sorted_and_told_of(lab: Lab, reference: list[list[int]]) -> None:
    job = lab.show("rat1/2024-03-10")
    assert (job["state"], job["outcome"]) == ("ended", "succeeded")
    for name in ("denoise", "klusta"):
        found = stage(job, name)
        assert found["outcome"] == "succeeded"
        [attempt] = found["attempts"]
        assert (attempt["number"], attempt["exit_code"], attempt["signal"]) == (1, 0, None)
        assert attempt["ended"] > attempt["started"]
        assert attempt["peak_memory"] > 10e6
        assert Path(attempt["log"]).stat().st_size > 0
        assert all(Path(output).exists() for output in found["outputs"])
    assert job["report"] == str(lab.folder / "phy/rat1/2024-03-10/2024-03-10.report.html")
    assert lab.run("report", "rat1/2024-03-10", "--print").stdout == job["report"] + "\n"
    assert "Port_" in Path(job["report"]).read_text()
    assert lab.made.omit in stage(job, "denoise")["argv"]
    assert len(reference) >= 2
    logs = lab.run("logs", "rat1/2024-03-10", "--stage", "denoise")
    assert "omitted: " in logs.stdout
    prb = (lab.folder / "phy/rat1/2024-03-10/2024-03-10.prb").read_text()
    assert not any(label in prb for label in lab.made.omit.split(","))


def test_a_block_is_refused_while_it_is_live_and_redone_only_when_asked(lab: Lab, reference: list[list[int]]) -> None:
    block = "rat1/2024-03-10"
    done = lab.run("submit", block, "--omit", lab.made.omit)
    assert done.returncode == 5
    assert "--again" in done.stderr
    number = lab.queue(block, "--again", "--hold")
    refused = lab.run("submit", block, "--omit", lab.made.omit, "--again")
    assert refused.returncode == 5
    assert str(number) in refused.stderr
    assert lab.run("release", block).returncode == 0
    assert lab.run("wait", block).returncode == 0
    assert lab.sorted(block) == reference


@pytest.mark.parametrize("during", ["denoise", "klusta"])
def test_a_daemon_killed_during_a_stage_changes_nothing(lab: Lab, reference: list[list[int]], during: str) -> None:
    block = f"killed-{during}"
    number = lab.queue(block)
    eventually(lambda: stage(lab.show(number), during)["state"] == "running", 60)
    lab.kill()
    assert lab.run("status").returncode == 3
    lab.start()
    assert lab.run("wait", str(number)).returncode == 0
    assert [len(each["attempts"]) for each in lab.show(number)["stages"]] == [1, 1]
    assert lab.sorted(block) == reference


def test_a_killed_klusta_is_told_of_and_its_retry_succeeds(lab: Lab, reference: list[list[int]]) -> None:
    number = lab.queue("mended")
    left = lab.folder / "phy" / "mended"
    eventually(lambda: any(left.rglob("*.kwik")), 60)
    pid = stage(lab.show(number), "klusta")["attempts"][0]["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid))
    waited = lab.run("wait", str(number))
    assert waited.returncode == 1
    job = lab.show(number)
    assert (stage(job, "denoise")["outcome"], stage(job, "klusta")["outcome"]) == ("succeeded", "failed")
    assert not (left / "mended.kwik").exists()
    (left / "mended.kwik").write_bytes(b"of an attempt that was cut short elsewhere")
    assert lab.run("retry", str(number)).returncode == 0
    assert lab.run("wait", str(number)).returncode == 0
    job = lab.show(number)
    assert [len(each["attempts"]) for each in job["stages"]] == [1, 2]
    assert lab.sorted("mended") == reference


def test_run_does_both_stages_without_a_daemon(lab: Lab, reference: list[list[int]]) -> None:
    shutil.copytree(lab.made.folder, lab.folder / "mat" / "alone", copy_function=os.link)
    words = ("run", "alone", "--omit", lab.made.omit, "--config", "config.toml")
    done = lab.run(*words, LABSCHED_SOCKET="/nowhere/s")
    assert done.returncode == 0, done.stderr
    assert lab.sorted("alone") == reference
    assert lab.run(*words).returncode == 5
