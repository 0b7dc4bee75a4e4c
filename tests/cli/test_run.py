import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.cli.conftest import Labsched, environment, eventually


@pytest.fixture
def lab(scratch: Path) -> Path:
    """A folder with a configuration and a block of four channels of noise, half a second long, without a spike."""
    block = scratch / "data/mat/rat1/site1"
    block.mkdir(parents=True)
    noise = np.random.default_rng(1)
    with h5py.File(block / "one.mat", "w", userblock_size=512) as file:
        for port in range(1, 5):
            channel = file.create_group(f"Port_{port}")
            channel["values"] = noise.normal(0, 300, (1, 10_000)).astype(np.int16)
            channel["interval"] = np.array([[5e-5]])
    (scratch / "lab.toml").write_text("[sort]\n")
    return scratch


def run(labsched: Labsched, *words: str) -> tuple[int, str, str]:
    ran = labsched("run", *words, "--config", "lab.toml")
    return ran.code, ran.out, ran.sentence if ran.code else ran.err


def test_an_unknown_block_is_not_found_and_the_nearest_is_named(lab: Path, labsched: Labsched) -> None:
    code, _, said = run(labsched, "rat1/site2")
    assert (code, "did you mean site1?" in said) == (4, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--omit", "Port_9"), 2, "Port_9"),
        (("--omit", "Port_1,Port_2,Port_3,Port_4"), 2, "every channel|all"),
        (("--probe", "no-such-probe"), 2, "no-such-probe"),
        (("--probe", "buzsaki32"), 2, "32"),
        (("--source", "empty"), 1, "empty"),
        (("--source", "broken"), 1, "one.mat"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_done(
    words: tuple[str, ...], code: int, said: str, lab: Path, labsched: Labsched
) -> None:
    import re

    (lab / "empty").mkdir()
    (lab / "broken").mkdir()
    (lab / "broken/one.mat").write_bytes((lab / "data/mat/rat1/site1/one.mat").read_bytes()[:900])
    got, out, sentence = run(labsched, "rat1/site1", *words)
    assert (got, out) == (code, "")
    assert re.search(said, sentence)
    assert not (lab / "data/phy").exists()


def test_a_mistake_in_the_configuration_is_named(lab: Path, labsched: Labsched) -> None:
    (lab / "lab.toml").write_text("[sort]\nsuorce = 'x'\n")
    code, _, said = run(labsched, "rat1/site1")
    assert (code, "did you mean source?" in said) == (2, True)


def test_the_second_stage_does_not_run_after_a_first_that_failed(lab: Path, labsched: Labsched) -> None:
    (lab / "data/phy/rat1").mkdir(parents=True)
    (lab / "data/phy/rat1/site1").write_text("in the way")
    ran = labsched("run", "rat1/site1", "--config", "lab.toml")
    assert ran.code == 1
    assert "denoise failed with exit code 1" in ran.sentence
    assert "klusta: starts" not in ran.err


def test_a_block_that_is_done_is_left_alone(lab: Path, labsched: Labsched) -> None:
    done = lab / "data/phy/rat1/site1"
    done.mkdir(parents=True)
    (done / "site1.kwik").touch()
    (done / "site1.sorting.json").touch()
    code, _, said = run(labsched, "rat1/site1")
    assert (code, "--again" in said) == (5, True)
    assert sorted(path.name for path in done.iterdir()) == ["site1.kwik", "site1.sorting.json"]


def test_ctrl_c_ends_the_stage_with_all_that_it_started(lab: Path) -> None:
    """The first stage blocks on a pipe that stands where its data should."""
    (lab / "data/mat/stuck").mkdir()
    os.mkfifo(lab / "data/mat/stuck/one.mat")
    words = [sys.executable, "-m", "labsched", "run", "stuck", "--no-check", "--config", "lab.toml"]
    command = subprocess.Popen(
        words, cwd=lab, env=environment(lab), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children")
    eventually(lambda: children.read_text().split() != [])
    child = int(children.read_text().split()[0])
    eventually(lambda: b"labsched.ephys" in Path(f"/proc/{child}/cmdline").read_bytes())
    os.kill(command.pid, signal.SIGINT)
    _, err = command.communicate(timeout=20)
    assert command.returncode == 130
    assert b"Traceback" not in err
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.klusta
def test_both_stages_run_and_leave_their_results(lab: Path, labsched: Labsched) -> None:
    words = [sys.executable, "-m", "labsched.ephys", "synth", "data/mat", "--name", "tiny", "--seconds", "4"]
    subprocess.run(words, cwd=lab, check=True, capture_output=True)
    probe = str(lab / "data/mat/tiny.rig.toml")
    ran = labsched("run", "tiny", "--omit", "Port_16,Port_10", "--probe", probe, "--config", "lab.toml")
    assert (ran.code, "Traceback" in ran.err) == (0, False), ran
    assert {"tiny.kwik", "tiny.sorting.json"} <= {path.name for path in (lab / "data/phy/tiny").iterdir()}
