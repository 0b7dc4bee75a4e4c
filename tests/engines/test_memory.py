"""A stage that the kernel kills for want of memory is known as one: for real, in a small memory cgroup."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labsched.core.model import Ended
from labsched.core.states import Outcome
from tests.engines.place import place

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
LIMIT = 40 * 1024**2
GREEDY = f"x = bytearray({4 * LIMIT}); x[::4096] = b'x' * len(x[::4096])"


@pytest.fixture
def little() -> Iterator[Path]:
    """A cgroup whose processes may have 40 MB."""
    v1 = (V1 / "memory.limit_in_bytes").exists()
    group = (V1 if v1 else V2) / f"labsched-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if v1 else "memory.max")).write_text(str(LIMIT))
    except OSError:
        if group.is_dir():
            group.rmdir()
        pytest.skip("no memory cgroup may be made here")
    yield group
    group.rmdir()


def ended(folder: Path, *argv: str) -> Ended:
    async def go() -> Ended:
        async with place(folder) as it:
            return await it.run(it.order(*argv))

    return asyncio.run(go())


@pytest.mark.parametrize("how", ["exec", "", "setsid"], ids=["the command itself", "its child", "a child that left"])
def test_what_the_kernel_killed_for_want_of_memory_is_named_so(little: Path, tmp_path: Path, how: str) -> None:
    script = f'echo $$ > {little}/cgroup.procs; {how} "$@"; exit $?'
    found = ended(tmp_path, "sh", "-c", script, "sh", sys.executable, "-c", GREEDY)
    assert (found.outcome, found.oom) == (Outcome.FAILED, True)
    assert found.reason is not None
    assert found.reason.startswith("killed by the kernel for want of memory, when its largest process had ")


def test_another_kill_is_only_a_kill(tmp_path: Path) -> None:
    found = ended(tmp_path, "sh", "-c", "kill -9 $$")
    assert (found.outcome, found.oom, found.reason) == (Outcome.FAILED, False, "killed by SIGKILL")
