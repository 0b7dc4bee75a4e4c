"""Mistakes that people make: each is answered in a sentence with its exit code, and costs nothing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labsched.ephys.synth import Recipe, make
from tests.worlds import QUICK, World, world

CONFIG = f'{QUICK}\n[sort]\nsource = "mat/{{block}}"\ntarget = "phy/{{block}}"\nprobe = "rig.toml"\n'


def labsched(it: World, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "labsched", *words], cwd=it.folder, text=True, capture_output=True, timeout=60,
        env={**os.environ, "LABSCHED_SOCKET": str(it.folder / "s"), **environment},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def lab() -> Iterator[World]:
    """A daemon, a good block B1, and others that are bad each in its way."""
    with world(CONFIG) as it:
        mat = it.folder / "mat"
        made = make(mat, Recipe(name="B1", seconds=1, shanks=1, sites=4, units=1, epochs=1, dead=0, noisy=0))
        shutil.copy(made.probe, it.folder)
        shutil.copy(made.rig, it.folder / "rig.toml")
        good = next(made.folder.iterdir()).read_bytes()
        for name, content in (("truncated", good[: len(good) // 2]), ("garbage", b"\x07" * 3000)):
            (mat / name).mkdir()
            (mat / name / "Epc1.mat").write_bytes(content)
        (mat / "empty").mkdir()
        (mat / "notes").mkdir()
        (mat / "notes" / "readme.txt").write_text("no recording")
        (it.folder / "bad.tsv").write_text("# ours\nB1\n\nB2\tPort_1\nempty\t\n")
        (it.folder / "worse.tsv").write_text("B1\nB1 x\ty\tz\n../B\t\n")
        (it.folder / "bad.jsonl").write_text('{"argv": ["true"]}\n{"argv": []}\n{"argv": ["true"], "after": "x"}\n')
        yield it


ALL = "Port_1,Port_2,Port_3,Port_4"
#: What is typed, the exit code, and what the answer must have in it.
MISTAKES = [
    ("submit nothere", 4, "no block nothere"),
    ("submit empty", 1, "is empty"),
    ("submit notes", 1, "holds no recording"),
    ("submit truncated", 1, "truncated"),
    ("submit garbage", 1, "no MATLAB file"),
    ("submit B1 --omit Port_9", 2, "Port_1, Port_2, Port_3, Port_4"),
    (f"submit B1 --omit {ALL}", 2, "all 4 channels"),
    ("submit B1 --probe nosuch", 2, "unknown probe nosuch"),
    ("submit B1 --probe nosuch.toml", 2, "nosuch.toml"),
    ("submit B1 --reference median", 2, "none"),
    ("submit ../B1", 2, "not a block's name"),
    ("submit B1;reboot", 2, "not a block's name"),
    ("submit $(reboot)", 2, "not a block's name"),
    ("submit", 2, "name a block"),
    ("submit --from nofile.tsv", 2, "cannot read nofile.tsv"),
    ("submit --from bad.tsv", 4, "bad.tsv, line 4"),
    ("submit --from bad.tsv", 4, "bad.tsv, line 5"),
    ("submit --from worse.tsv", 2, "worse.tsv, line 2"),
    ("add --from bad.jsonl", 2, "bad.jsonl, line 2"),
    ("add", 2, "no command"),
    ("add -- no-such-program", 2, "no-such-program"),
    ("add --need GPUS=1 -- true", 2, "no pool GPUS"),
    ("add --need RAM=99 -- true", 2, "99 slots of RAM"),
    ("add --after 99 -- true", 4, "no job 99"),
    ("show 99", 4, "no job 99"),
    ("logs nosuch", 4, "nosuch"),
    ("cancel 99", 4, "no job 99"),
    ("retry 99", 4, "no job 99"),
    ("pool set RAM -3", 2, "-3"),
    ("pool set RAN 3", 4, "no pool RAN"),
    ("statsu", 2, "did you mean status"),
    ("daemon --state state --socket other", 5, "another daemon"),
    ("daemon --config nofile.toml", 2, "nofile.toml: No such file"),
    ("run nothere --config config.toml", 4, "no block nothere"),
]


@pytest.mark.parametrize(("typed", "code", "said"), MISTAKES)
def test_a_mistake_is_answered_in_a_sentence_and_queues_nothing(lab: World, typed: str, code: int, said: str) -> None:
    done = labsched(lab, *typed.split(" "))
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert done.stdout == ""
    assert lab.status(all=1).jobs == ()
    assert not (lab.folder / "phy").exists()


def test_without_a_daemon_a_command_says_how_to_start_one(lab: World) -> None:
    done = labsched(lab, "status", LABSCHED_SOCKET=str(lab.folder / "nobody"))
    assert (done.returncode, done.stdout) == (3, "")
    assert "labsched daemon" in done.stderr


@pytest.mark.skipif(os.getuid() == 0, reason="root may use any socket")
def test_a_socket_that_one_may_not_use_is_told_of(lab: World) -> None:
    (lab.folder / "s").chmod(0)
    try:
        done = labsched(lab, "status")
    finally:
        (lab.folder / "s").chmod(0o660)
    assert done.returncode == 5
    assert "may not use" in done.stderr


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], capture_output=True)
    if done.returncode:
        pytest.skip("only root may mount a small file system")
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


def test_a_full_disk_fails_the_stage_with_both_numbers_and_leaves_nothing(lab: World, tiny: Path) -> None:
    (tiny / "filler").write_bytes(bytes(950_000))
    done = labsched(lab, "submit", "B1", "--target", str(tiny / "out"), "-q")
    [job] = lab.wait(int(done.stdout))
    assert job.outcome == "failed"
    reason = job.stages[0].attempts[0].reason
    assert reason is not None
    assert "not enough room" in reason
    assert list((tiny / "out").glob("*")) == []
