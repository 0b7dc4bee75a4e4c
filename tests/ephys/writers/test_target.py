"""Results are there whole or not at all, whatever happens on the way."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from labsched.ephys.denoise import denoise
from labsched.ephys.errors import EphysError
from labsched.ephys.writers.target import Target, room, written
from tests.ephys.exports import block


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def fill(target: Target, text: str) -> None:
    for final in (target.data, target.prb, target.prm, target.json):
        target.partial(final).write_text(text)


FINAL = {"b.raw.kwd", "b.prb", "b.prm", "b.denoise.json"}


def test_results_appear_under_their_names_only_at_the_end(tmp_path):
    target = Target(tmp_path / "out", "b", "kwd")
    with written(target):
        fill(target, "new")
        assert not FINAL & names(target.folder)
    assert names(target.folder) == FINAL


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_removes_what_was_begun_and_the_json_that_vouched_for_the_old(tmp_path, failure):
    target = Target(tmp_path, "b", "kwd")
    with written(target):
        fill(target, "old")
    with pytest.raises(failure), written(target):
        assert not target.json.exists()
        fill(target, "new")
        raise failure
    assert names(tmp_path) == FINAL - {"b.denoise.json"}


def test_partial_files_of_dead_runs_go_those_of_living_ones_and_of_others_stay(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name in ("b.raw.kwd", "b.prm", "b.dat", "b2.raw.kwd"):
        (tmp_path / f".{name}.partial-{dead.pid}").touch()
    (tmp_path / f".b.raw.kwd.partial-{os.getppid()}").touch()
    target = Target(tmp_path, "b", "kwd")
    with written(target):
        fill(target, "x")
    assert names(tmp_path) - FINAL == {f".b2.raw.kwd.partial-{dead.pid}", f".b.raw.kwd.partial-{os.getppid()}"}


def test_too_little_room_is_said_before_anything_is_written(tmp_path):
    with pytest.raises(EphysError, match=r"not enough room in .*deep/er: .* GB needed, .* free: make room"):
        room(tmp_path / "deep" / "er", 1 << 60)
    room(tmp_path, 1)
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("number", "says"), [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "disk quota is used up")]
)
def test_a_disk_that_fills_up_midway_is_a_sentence_and_leaves_nothing(tmp_path, monkeypatch, number, says):
    source, write, calls = block(tmp_path / "mat", samples=900_000), os.pwrite, []

    def full(*given: object) -> int:
        calls.append(given)
        if len(calls) > 2:
            raise OSError(number, os.strerror(number))
        return write(*given)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(EphysError, match=f"{says}: make room there, then retry"):
        denoise(source, tmp_path / "out", "b", threads=2)
    assert len(calls) > 2
    assert names(tmp_path / "out") == set()


def test_a_limit_on_file_size_is_a_sentence_and_leaves_nothing(tmp_path):
    """A real failing write, in a process of its own whose files may not grow past 100 kB."""
    source = block(tmp_path / "mat", samples=100_000)
    words = ["denoise", "--source", source, "--target", tmp_path / "out", "--name", "b"]
    ran = subprocess.run(
        [sys.executable, "-m", "labsched.ephys", *words],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith("error: cannot write to")
    assert "Traceback" not in ran.stderr
    assert names(tmp_path / "out") == set()


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "out").write_text("I am a file")
    with pytest.raises(EphysError, match=r"out"):
        denoise(block(tmp_path / "mat"), tmp_path / "out", "b")
    with pytest.raises(EphysError, match=r"out"):
        denoise(tmp_path / "mat", tmp_path / "out" / "deeper", "b")
    assert (tmp_path / "out").read_text() == "I am a file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_named(tmp_path):
    (tmp_path / "out").mkdir(mode=0o555)
    with pytest.raises(EphysError, match=r"out.*ermission denied: ask for the right to write"):
        denoise(block(tmp_path / "mat"), tmp_path / "out", "b")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_source_without_the_right_to_read_is_named(tmp_path):
    source = block(tmp_path / "mat")
    (source / "one.mat").chmod(0)
    with pytest.raises(EphysError, match=r"one\.mat.*ermission denied"):
        denoise(source, tmp_path / "out", "b")
