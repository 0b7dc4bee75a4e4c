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


WHOLE = b'{"begun": {"mark": "x"}}\n{"started": {"pid": 1}}\n{"ended": {"exit_code": 0}}\n'


@given(st.integers(0, len(WHOLE)), st.binary(max_size=20))
def test_a_record_that_a_power_cut_has_shortened_says_what_its_whole_lines_say(
    tmp_path_factory: pytest.TempPathFactory, cut: int, after: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "record"
    folder.mkdir(exist_ok=True)
    (folder / rundir.RECORD).write_bytes(WHOLE[:cut] + after.replace(b"\n", b""))
    said = rundir.record(str(folder))
    lines = WHOLE[:cut].count(b"\n")
    assert [one is not None for one in said] == [lines > 0, lines > 1, lines > 2, False]


@given(st.binary())
def test_whatever_is_in_a_record_harms_nobody(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "record"
    folder.mkdir(exist_ok=True)
    (folder / rundir.RECORD).write_bytes(data)
    assert all(one is None or isinstance(one, dict) for one in rundir.record(str(folder)))
    fd = rundir.lock(str(folder))
    assert fd is not None
    try:
        if rundir.begin(fd, {"mark": "y"}):
            assert rundir.record(str(folder)).begun == {"mark": "y"}
    finally:
        os.close(fd)


def test_without_a_folder_nothing_is_known(tmp_path: Path) -> None:
    assert rundir.record(str(tmp_path / "none")) == rundir.Record()


def test_the_holder_of_a_lock_is_known_by_its_pid_for_as_long_as_it_lives(tmp_path: Path) -> None:
    assert rundir.holder(str(tmp_path)) == 0
    (tmp_path / "record").touch()
    assert rundir.holder(str(tmp_path)) == 0
    record = str(tmp_path / "record")
    script = f"import fcntl; f = open({record!r}, 'a'); fcntl.lockf(f, fcntl.LOCK_EX); print(); input()"
    words = [sys.executable, "-I", "-c", script]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert rundir.holder(str(tmp_path)) == other.pid
        other.kill()
    assert rundir.holder(str(tmp_path)) == 0
    with (tmp_path / "record").open("a") as ours:
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
