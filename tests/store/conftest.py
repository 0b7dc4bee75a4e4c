"""Queues in files of their own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from labsched.store.upgrade import upgrade
from tests.store import worlds


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty queue as `upgrade` makes it: copied, since making one takes longer than most tests."""
    path = tmp_path_factory.mktemp("blank") / "queue.db"
    upgrade(path)
    return path


@pytest.fixture
def path(blank: Path, tmp_path: Path) -> Path:
    """The path of an empty queue."""
    return Path(shutil.copy(blank, tmp_path / "queue.db"))


@pytest.fixture
def queue(path: Path) -> Iterator[worlds.Queue]:
    """An empty queue, open."""
    with worlds.queue(path) as it:
        yield it


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with 3 MB of room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=3m", "labsched-test", str(folder)]
    if os.getuid() or shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
