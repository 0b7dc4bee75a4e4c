"""labsched export and labsched open: a job's results in other programs."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, environment
from tests.ephys.qc.blocks import block
from tests.worlds import World, command, world


@dataclass(frozen=True)
class Sorted:
    it: World
    folder: Path
    job: str

    def run(self, *words: str, **more: str) -> Ran:
        env = environment(self.it.folder, LABSCHED_SOCKET=str(self.it.folder / "s"), HOME=str(self.it.folder), **more)
        done = subprocess.run([sys.executable, "-m", "labsched", *words], env=env, capture_output=True, timeout=120)
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def phy(self, script: str) -> Path:
        """A virtual environment whose phy is this shell script."""
        programs = self.it.folder / "venv" / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        (programs / "phy").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "phy").chmod(0o755)
        return programs.parent


@pytest.fixture(scope="module")
def done() -> Iterator[Sorted]:
    """A daemon with a job that has left a sorting."""
    with world() as it:
        folder = block(it.folder / "out", shanks=1, seconds=4.0).folder
        [number] = it.submit(command("true", outputs=(str(folder / "b.sorting.json"),), name="rat/b"))
        it.wait(number)
        yield Sorted(it, folder, str(number))


def test_a_job_is_exported_beside_its_results(done: Sorted) -> None:
    ran = done.run("export", done.job, "--to", "spikeinterface")
    assert ran.code == 0, ran.err
    assert f"exported to {done.folder}/b.sorting.spikeinterface" in ran.out
    assert (done.folder / "b.sorting.spikeinterface" / "spikes.npy").exists()
    again = done.run("export", "rat/b", "--to", "spikeinterface")
    assert again.code == 1
    assert again.sentence.startswith("rat/b: ")
    assert "say --overwrite" in again.sentence


def test_what_opens_it_is_printed_where_there_is_no_display(done: Sorted) -> None:
    venv = done.phy("exit 9")
    ran = done.run("open", done.job, LABSCHED_PHY=str(venv))
    assert ran.code == 0, ran.err
    assert ran.out == f"{venv}/bin/phy template-gui {done.folder}/b.phy/params.py\n"
    assert "there is no display here" in ran.err
    ran = done.run("open", done.job, "--with", "kwik", "--shank", "0", LABSCHED_PHY=str(venv))
    python, shim, kwik, *rest = ran.out.split()
    assert python == f"{venv}/bin/python"
    assert Path(shim).is_file()
    assert (kwik, rest) == (f"{done.folder}/b.kwik", ["--shank", "0"])


def test_it_is_started_where_there_is_a_display(done: Sorted) -> None:
    venv = done.phy(f'echo "$@" > {done.it.folder}/started')
    ran = done.run("open", done.job, LABSCHED_PHY=str(venv), DISPLAY=":7")
    assert (ran.code, ran.out) == (0, "")
    assert (done.it.folder / "started").read_text() == f"template-gui {done.folder}/b.phy/params.py\n"
    ran = done.run("open", done.job, "--print", LABSCHED_PHY=str(venv), DISPLAY=":7")
    assert ran.out.endswith("params.py\n")
    ran = done.run("open", done.job, LABSCHED_PHY=str(done.phy("exit 3")), DISPLAY=":7")
    assert (ran.code, ran.sentence) == (1, "phy ended with exit code 3: what it printed says why")


def test_without_phy_it_is_said_how_to_install_it(done: Sorted) -> None:
    ran = done.run("open", done.job, DISPLAY=":7", PATH="/usr/bin:/bin")
    assert ran.code == 5
    assert ran.sentence.startswith("phy is not installed here: python3 -m venv ~/phy")
    assert ran.out.startswith("phy template-gui ")
    ran = done.run("open", done.job, LABSCHED_PHY="/nowhere")
    assert ran.sentence.startswith("$LABSCHED_PHY is /nowhere")


def test_a_job_without_results_is_refused(done: Sorted) -> None:
    [other] = done.it.submit(command("true"))
    [failed] = done.it.submit(command("false", outputs=("/nowhere/b.sorting.json",)))
    [held] = done.it.submit(command("true", outputs=("/nowhere/b.sorting.json",), hold=True))
    done.it.wait(other, failed)
    for number, said in (
        (other, "sorts no block"),
        (failed, f"did not succeed: labsched logs {failed} says why"),
        (held, "has not finished"),
    ):
        for words in (["export", str(number), "--to", "phy"], ["open", str(number)]):
            ran = done.run(*words)
            assert ran.code == 5, ran
            assert said in ran.sentence
    assert done.run("open", "4711").code == 4
    assert done.run("open", done.job, "--shank", "1").code == 2


def test_results_that_are_gone_are_refused(done: Sorted) -> None:
    [number] = done.it.submit(
        command("sh", "-c", f"touch {done.it.folder}/x.sorting.json", outputs=(f"{done.it.folder}/x.sorting.json",))
    )
    done.it.wait(number)
    (done.it.folder / "x.sorting.json").unlink()
    ran = done.run("open", str(number))
    assert ran.code == 5
    assert "the results of job" in ran.sentence
