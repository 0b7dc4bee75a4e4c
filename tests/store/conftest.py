"""Queues in files of their own."""

import shutil
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
