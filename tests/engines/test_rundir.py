"""An attempt's folder holds whatever a command, a power cut or a full disk left there; reading it never breaks."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.engines import gpu, rundir


@pytest.mark.parametrize(
    ("written", "fraction", "note"),
    [
        (b"0.4 shank 2 of 4\n", 0.4, "shank 2 of 4"),
        (b"40% shank 2 of 4\nanother line", 0.4, "shank 2 of 4"),
        (b"0.4", 0.4, None),
        (b"0.", 0.0, None),
        (b"", None, None),
        (b"\n", None, None),
        (b"%", None, "%"),
        (b"7 far too much", 1.0, "far too much"),
        (b"-1e999", 0.0, None),
        (b"nan who knows", None, "who knows"),
        (b"busy with shank 2", None, "busy with shank 2"),
        (b"0.5 \xff\xfe", 0.5, "\ufffd\ufffd"),
    ],
)
def test_progress_is_what_was_said_as_far_as_it_makes_sense(
    written: bytes, fraction: float | None, note: str | None, tmp_path: Path
) -> None:
    (tmp_path / "progress").write_bytes(written)
    assert rundir.progress(str(tmp_path)) == (fraction, note)


@given(written=st.binary(max_size=3_000))
def test_progress_is_a_fraction_and_a_short_line_whatever_is_written(
    written: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "progress").write_bytes(written)
    fraction, note = rundir.progress(str(folder))
    assert fraction is None or 0.0 <= fraction <= 1.0
    assert note is None or (note and len(note) <= 1_000 and "\n" not in note)


def test_progress_that_is_no_file_is_none(tmp_path: Path) -> None:
    assert rundir.progress(str(tmp_path)) == (None, None)
    (tmp_path / "progress").mkdir()
    assert rundir.progress(str(tmp_path)) == (None, None)
    (tmp_path / "progress").rmdir()
    os.mkfifo(tmp_path / "progress")  # to open one for reading waits for a writer
    assert rundir.progress(str(tmp_path)) == (None, None)


@pytest.mark.parametrize("text", ["", "{", '{"pid": 1', "[1]", "null", "\0\0\0\0"])
def test_a_value_that_a_power_cut_left_in_half_is_none(text: str, tmp_path: Path) -> None:
    rundir.write(str(tmp_path), "x.json", {"pid": 1})
    assert rundir.read(str(tmp_path), "x.json") == {"pid": 1}
    (tmp_path / "x.json").write_text(text)
    assert rundir.read(str(tmp_path), "x.json") is None
    assert rundir.read(str(tmp_path), "y.json") is None


def test_the_holder_of_a_lock_is_known_by_its_pid_for_as_long_as_it_lives(tmp_path: Path) -> None:
    assert rundir.holder(str(tmp_path)) == 0
    (tmp_path / "lock").touch()
    assert rundir.holder(str(tmp_path)) == 0
    script = f"import fcntl; f = open({str(tmp_path / 'lock')!r}, 'a'); fcntl.lockf(f, fcntl.LOCK_EX); print(); input()"
    words = [sys.executable, "-I", "-c", script]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert rundir.holder(str(tmp_path)) == other.pid
        other.kill()
    assert rundir.holder(str(tmp_path)) == 0
    with (tmp_path / "lock").open("a") as ours:
        fcntl.lockf(ours, fcntl.LOCK_EX)
        assert rundir.holder(str(tmp_path)) == 0  # our own is no shim's


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (b"", None),
        (b"\n \n\t\r\n", None),
        (b"one\ntwo\n\n", "two"),
        (b"10%\r20%\r30%\r", "30%"),
        (b"\x1b[31mred\x1b[0m\n\x1b[2K\n", "red"),
        (b"x" * 100_000, "x" * 299 + "…"),
        ("é".encode() * 5_000, "é" * 299 + "…"),
    ],
)
def test_the_last_line_of_a_log_is_the_last_that_says_something(
    written: bytes, line: str | None, tmp_path: Path
) -> None:
    (tmp_path / "log").write_bytes(written)
    assert rundir.last_line(str(tmp_path)) == line


def test_gpus_are_counted_by_their_numbered_files(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia12", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert gpu.count(tmp_path) == 2
    assert gpu.count(tmp_path / "nowhere") == 0
