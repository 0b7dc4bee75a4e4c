"""A disk or network that stops to answer while a block is read: exit code 1, the file by name, nothing half-written."""

import ctypes
import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.ephys.exports import block, noise
from tests.ephys.readers.formats import blackrock, intan, neuralynx, saved, spike2

DATA = noise(200_000, 4)
HOME = Path(__file__).parents[3]


def flat(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.dat").write_bytes(DATA.T.astype("<i2").tobytes())
    (folder / "a.toml").write_text("rate = 20000\nn_channels = 4\n")


FORMATS: dict[str, tuple[Callable[[Path], object], str]] = {
    "flat": (flat, "a.dat"),
    "v7.3": (lambda f: block(f, samples=200_000), "one.mat"),
    "v5": (lambda f: block(f, samples=200_000, kind="v5"), "one.mat"),
    "v5 compressed": (lambda f: block(f, samples=200_000, kind="v5 compressed"), "one.mat"),
    "Spike2": (lambda f: spike2.write(f, DATA, items=16000), "rec.smr"),
    "binary folder": (lambda f: saved.write_binary(f, DATA), "traces_cached_seg0.raw"),
    "NWB": (lambda f: saved.write_nwb(f / "a.nwb", np.tile(DATA, 2)), "a.nwb"),
    "Intan": (lambda f: intan.write(f, DATA), "rec_240101_120000.rhd"),
    "Blackrock": (lambda f: blackrock.write(f, DATA), "rec.ns5"),
    "Neuralynx": (lambda f: neuralynx.write(f, DATA), "CSC1.ncs"),
}


@contextmanager
def served(source: Path, place: Path, fail_from: int, error: int = errno.EIO) -> Iterator[Path]:
    place.mkdir()
    words = [sys.executable, str(Path(__file__).parent / "failing.py"), source, place, fail_from, error]
    server = subprocess.Popen([str(word) for word in words], stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 20
        while not os.path.ismount(place):
            if server.poll() is not None or time.monotonic() > until:
                pytest.skip(f"a file system of one's own cannot be mounted here: {server.communicate()[1].strip()}")
            time.sleep(0.01)
        yield place
    finally:
        ctypes.CDLL(None).umount2(str(place).encode(), 2)  # MNT_DETACH
        server.kill()
        server.communicate()


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/dev/fuse").exists(), reason="mounts a file system: needs root")
@pytest.mark.parametrize("name", FORMATS)
def test_reads_that_fail_are_a_sentence(tmp_path, name):
    write, file = FORMATS[name]
    if name in ("Intan", "Blackrock", "Neuralynx"):
        pytest.importorskip("neo", reason="the extra labsched[readers] is not installed")
    write(tmp_path / "source")
    error = errno.ESTALE if name == "flat" else errno.EIO
    with served(tmp_path / "source", tmp_path / "mount", 400_000, error) as place:
        words = ["denoise", "--source", place, "--target", tmp_path / "out", "--name", "b", "--threads", "2"]
        done = subprocess.run(
            [sys.executable, "-m", "labsched.ephys", *map(str, words)], capture_output=True, text=True, timeout=60,
            cwd=HOME,
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ") and file in last and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
