"""Folders of attempts are removed, whatever is in them, and nothing outside of them is touched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labsched.engines import remove, rundir


@pytest.fixture
def attempts(tmp_path: Path) -> Path:
    """Job 1, with two attempts."""
    folder = tmp_path / "attempts"
    for name in ("1/run.1", "1/run.2"):
        (folder / name / "own").mkdir(parents=True)
        (folder / name / "log").write_bytes(b"x" * 5000)
        (folder / name / "record").touch()
    return folder


def test_a_folder_goes_and_its_jobs_with_the_last(attempts: Path) -> None:
    assert remove.size(attempts, 1) == 10_000
    assert remove.remove(attempts, "1/run.1") == 5000
    assert [path.name for path in (attempts / "1").iterdir()] == ["run.2"]
    assert remove.remove(attempts, "1/run.2") == 5000
    assert list(attempts.iterdir()) == []
    assert remove.remove(attempts, "1/run.2") == 0
    assert remove.size(attempts, 1) == 0


def test_links_are_removed_and_not_followed(attempts: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "below").mkdir(parents=True)
    (outside / "file").write_text("mine")
    own = attempts / "1/run.1/own"
    (own / "link").symlink_to(outside)
    (own / "deep").mkdir()
    (own / "deep/link").symlink_to(outside)
    (attempts / "1/run.1/log").unlink()
    (attempts / "1/run.1/log").symlink_to(outside / "file")
    os.link(outside / "file", own / "hard")
    os.mkfifo(own / "fifo")
    remove.remove(attempts, "1/run.1")
    assert sorted(path.name for path in outside.rglob("*")) == ["below", "file"]
    assert (outside / "file").read_text() == "mine"


@pytest.mark.parametrize("what", ["1/run.1", "1"])
def test_a_folder_that_is_a_link_is_refused(what: str, attempts: Path, tmp_path: Path) -> None:
    (attempts / what).rename(tmp_path / "elsewhere")
    (attempts / what).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        remove.remove(attempts, "1/run.1")
    assert list((tmp_path / "elsewhere").rglob("log"))


@pytest.mark.parametrize("what", ["../outside", "1/..", "1/.", "1", "1/a/b", "/1/run.1", "", "x/run.1"])
def test_what_is_no_attempts_folder_is_refused(what: str, attempts: Path) -> None:
    with pytest.raises(OSError, match="no attempt's folder"):
        remove.remove(attempts, what)


def test_it_may_be_deep_wide_and_closed(attempts: Path) -> None:
    own = attempts / "1/run.1/own"
    script = "import os\nfor n in range(3000):\n os.mkdir('d')\n os.chdir('d')\n open('f', 'w').write('x')\n"
    subprocess.run([sys.executable, "-c", script], cwd=own, check=True)
    (own / "wide").mkdir()
    for number in range(2500):
        (own / f"wide/{number}").touch()
    (own / "closed").mkdir(mode=0)
    if os.getuid():
        (own / "closed").chmod(0o700)
    assert remove.remove(attempts, "1/run.1") > 5000
    assert not (attempts / "1/run.1").exists()


def test_one_whose_shim_lives_stays(attempts: Path) -> None:
    lines = ("import fcntl, sys", "f = open(sys.argv[1], 'r+')", "fcntl.lockf(f, fcntl.LOCK_EX)", "print(flush=True)")
    script = "\n".join((*lines, "sys.stdin.read()"))
    words = [sys.executable, "-c", script, attempts / "1/run.1/record"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shim:
        assert shim.stdout is not None
        shim.stdout.readline()
        assert rundir.holder(str(attempts / "1/run.1")) == shim.pid
        with pytest.raises(OSError, match="in use"):
            remove.remove(attempts, "1/run.1")
    assert (attempts / "1/run.1/log").exists()


def test_a_file_that_is_only_said_to_be_long_takes_what_it_takes(attempts: Path) -> None:
    with (attempts / "1/run.1/own/sparse").open("wb") as file:
        file.truncate(10**12)
    assert remove.size(attempts, 1) < 10**6
