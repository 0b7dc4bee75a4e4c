"""Memory: a stage is kept within its limit, by the kernel where that can be, and what it took is measured."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from labsched.core.model import Ended
from labsched.core.states import Outcome
from labsched.engines.base import Order
from labsched.engines.cgroups import Group
from tests.engines.place import Place, place, until
from tests.worlds import alive

MB = 1_000_000
LIMIT = 40 * MB
TAKE = "x = bytearray({}); x[::4096] = b'x' * len(x[::4096])"
GREEDY = TAKE.format(4 * LIMIT)
OVER = "killed by the kernel: it used more than its 40 MB of memory (--memory), peak 40 MB; ask for more, such as 60M"


@asynccontextmanager
async def fenced(folder: Path, grace: float = 1.0) -> AsyncIterator[Place]:
    """A place where the kernel keeps attempts within their memory; nothing of it may be left behind."""
    async with place(folder, grace) as it:
        if it.engine.unfenced:
            pytest.skip(it.engine.unfenced)
        where = it.engine._shims.fences
        yield it
    left = list(Path(where.path).glob(f"{where.name}-*"))
    assert left == []


def python(it: Place, script: str, memory: int | None = None) -> Order:
    return replace(it.python(script), memory=memory)


@pytest.mark.parametrize("how", ["exec", "", "setsid"], ids=["the command itself", "its child", "a child that left"])
def test_what_takes_more_than_its_limit_is_killed_by_the_kernel_with_all_its_processes(
    tmp_path: Path, how: str
) -> None:
    script = f'sleep 600 & setsid sleep 600 & {how} "$@"; exit $?'

    async def go() -> None:
        async with fenced(tmp_path, grace=60.0) as it:
            order = replace(it.order("sh", "-c", script, "sh", sys.executable, "-c", GREEDY), memory=LIMIT)
            found = await it.run(order)
            assert (found.outcome, found.oom, found.reason) == (Outcome.FAILED, True, OVER)
            assert found.peak_memory is not None and 0.9 * LIMIT < found.peak_memory <= LIMIT

    asyncio.run(go())


def test_what_stays_below_its_limit_is_left_alone_beside_one_that_does_not(tmp_path: Path) -> None:
    async def go() -> None:
        async with fenced(tmp_path) as it:
            good = python(it, TAKE.format(100 * MB) + "; import time; time.sleep(0.5)", 150 * MB)
            bad = python(it, GREEDY, LIMIT)
            it.engine.launch(good)
            it.engine.launch(bad)
            assert (await it.end(bad)).reason == OVER
            found = await it.end(good)
            assert (found.outcome, found.reason, found.oom) == (Outcome.SUCCEEDED, None, False)
            assert found.peak_memory is not None and 100 * MB <= found.peak_memory < 130 * MB

    asyncio.run(go())


def test_all_processes_of_a_stage_share_its_limit(tmp_path: Path) -> None:
    """Each of them has less than that."""
    one = f'"$0" -c "{TAKE.format(30 * MB)}; import time; time.sleep(60)" & '

    async def go() -> None:
        async with fenced(tmp_path) as it:
            order = replace(it.order("sh", "-c", one * 3 + "wait; exit 1", sys.executable), memory=60 * MB)
            found = await it.run(order)
            assert (found.outcome, found.oom) == (Outcome.FAILED, True)
            assert found.reason is not None and found.reason.startswith("killed by the kernel: it used more than its")

    asyncio.run(go())


def test_the_file_cache_is_not_counted(tmp_path: Path) -> None:
    if _in_memory(tmp_path):
        pytest.skip("the temporary folder is in memory, where files count")
    piece = f"[f.write(bytes({MB})) for _ in range({3 * LIMIT // MB})]"
    script = f"import os; f = open('{tmp_path}/file', 'wb'); {piece}; os.fsync(f.fileno())"

    async def go() -> None:
        async with fenced(tmp_path) as it:
            found = await it.run(python(it, script, LIMIT))
            assert (found.outcome, found.oom) == (Outcome.SUCCEEDED, False)
            assert found.peak_memory is not None and found.peak_memory < 0.9 * LIMIT
            assert found.bytes_written is not None and found.bytes_written >= 3 * LIMIT

    asyncio.run(go())


def _in_memory(path: Path) -> bool:
    """Whether it is on a disk that is none."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    # In a chroot the root itself is not among them.
    best = max((m for m in mounts if path.is_relative_to(m[1])), key=lambda m: len(m[1]), default=("", "/", ""))
    return best[2] in ("tmpfs", "ramfs")


def test_memory_processor_time_and_disk_are_measured_without_a_limit_too(tmp_path: Path) -> None:
    script = "; ".join(
        [
            TAKE.format(100 * MB),
            "import os, time",
            f"f = open(f'{tmp_path}/{{os.getpid()}}', 'wb'); f.write(x[:5000000]); f.flush(); os.fsync(f.fileno())",
            "t = time.process_time()\nwhile time.process_time() < t + 0.2: pass",
        ]
    )

    async def go() -> Ended:
        async with place(tmp_path) as it:
            return await it.run(it.order("sh", "-c", '"$@" & "$@"; wait', "sh", sys.executable, "-I", "-c", script))

    found = asyncio.run(go())
    assert found.outcome == Outcome.SUCCEEDED
    assert found.peak_memory is not None and found.peak_memory >= 100 * MB
    assert found.cpu_time is not None and 0.4 <= found.cpu_time < 20
    assert found.bytes_read is not None and found.bytes_written is not None
    if not _in_memory(tmp_path):
        assert 10 * MB <= found.bytes_written < 12 * MB


def test_a_small_stage_reads_as_small(tmp_path: Path) -> None:
    async def go() -> Ended:
        async with fenced(tmp_path) as it:
            return await it.run(replace(it.order("sleep", "0.1"), memory=LIMIT))

    found = asyncio.run(go())
    assert found.peak_memory is not None and found.peak_memory < 5 * MB


def test_a_stage_whose_shim_was_killed_is_ended_by_its_group_whatever_it_wears(tmp_path: Path) -> None:
    """It has left its session, and forgotten its environment: nothing but the group knows it."""
    pids = tmp_path / "pid"

    async def go() -> None:
        async with fenced(tmp_path) as it:
            order = replace(
                it.order("sh", "-c", f"env -i setsid sh -c 'echo $$ > {pids}; exec sleep 600'"), memory=LIMIT
            )
            it.engine.launch(order)
            await until(lambda: pids.exists() and pids.read_text().strip() != "")
            await it.began(order)
            await it.restart()
            it.engine.adopt(order)
            await it.began(order)
            os.kill(_shim(order), signal.SIGKILL)
            found = await it.end(order)
            assert (found.outcome, found.reason) == (
                Outcome.LOST,
                "its shim was killed, so nobody knows how it ended",
            )
            assert not alive(int(pids.read_text()))
            assert found.peak_memory is not None

    asyncio.run(go())


def _shim(order: Order) -> int:
    from labsched.engines import rundir

    return rundir.holder(order.folder)


def test_a_limit_holds_through_a_restart_of_the_engine(tmp_path: Path) -> None:
    script = f"import os, time\nwhile not os.path.exists('{tmp_path}/go'): time.sleep(0.01)\n{GREEDY}"

    async def go() -> None:
        async with fenced(tmp_path) as it:
            order = python(it, script, LIMIT)
            it.engine.launch(order)
            await it.began(order)
            await it.restart()
            it.engine.adopt(order)
            await it.began(order)
            (tmp_path / "go").touch()
            assert (await it.end(order)).reason == OVER

    asyncio.run(go())


def test_what_an_earlier_daemon_left_behind_is_removed_when_the_next_one_starts(tmp_path: Path) -> None:
    async def go() -> None:
        async with fenced(tmp_path) as it:
            left = it.engine._shims.fences.group(77)
            assert left is not None
            left.make(LIMIT)
            it.engine._shims._name, name = it.engine._shims.fences.name, it.engine._shims._name
            assert it.engine._shims.parent is not None
            os.kill(it.engine._shims.parent.pid, signal.SIGKILL)
            await until(lambda: not Path(left.path).exists())
            assert name == it.engine._shims._name

    asyncio.run(go())


def test_a_look_tells_what_runs_from_what_the_kernel_keeps_for_files(tmp_path: Path) -> None:
    if _in_memory(tmp_path):
        pytest.skip("the temporary folder is in memory, where files count")
    script = f"{TAKE.format(20 * MB)}; open('{tmp_path}/it', 'wb').write(x * 2); import time; time.sleep(60)"

    async def go() -> None:
        async with fenced(tmp_path) as it:
            order = python(it, script, 200 * MB)
            it.engine.launch(order)
            file = tmp_path / "it"
            await until(lambda: file.exists() and file.stat().st_size == 40 * MB)
            await until(lambda: 20 * MB < (it.engine.look(order.folder).memory or 0) < 40 * MB)

    asyncio.run(go())


# -- where cgroups do not let it --------------------------------------------------------------------------------------

HIDE = ["unshare", "--mount", "sh", "-c", 'umount --all --types cgroup,cgroup2 2> /dev/null; exec "$@"', "sh"]


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The shims' parent finds no cgroups: they are not mounted where it is."""
    if os.getuid() != 0:
        pytest.skip("only root can hide the cgroups")
    monkeypatch.setattr("labsched.engines.fences.scope", lambda version, name: HIDE)
    yield


def test_without_cgroups_a_stage_over_its_limit_is_ended_by_labsched_with_all_its_processes(
    hidden: None, tmp_path: Path
) -> None:
    pids = tmp_path / "pid"
    script = f'setsid sleep 600 & echo $! > {pids}; "$@"; sleep 600'

    async def go() -> None:
        async with place(tmp_path, grace=60.0) as it:
            assert it.engine.unfenced == "this machine has no cgroup for memory"
            greedy = f"{GREEDY}; import time; time.sleep(600)"
            order = replace(it.order("sh", "-c", script, "sh", sys.executable, "-c", greedy), memory=LIMIT)
            it.engine.launch(order)
            await it.began(order)
            assert it.engine.look(order.folder).unfenced == it.engine.unfenced
            found = await it.end(order)
            assert (found.outcome, found.oom) == (Outcome.FAILED, True)
            assert found.reason is not None
            assert found.reason.startswith(
                "killed by labsched: it used more than its 40 MB of memory (--memory), peak "
            )
            assert not alive(int(pids.read_text()))

    asyncio.run(go())


def test_without_cgroups_what_processes_share_counts_once(hidden: None, tmp_path: Path) -> None:
    script = f"import os, time\n{TAKE.format(60 * MB)}\nfor _ in range(3):\n  os.fork()\ntime.sleep(1.0)"

    async def go() -> None:
        async with place(tmp_path) as it:
            found = await it.run(python(it, script, 150 * MB))
            assert (found.outcome, found.reason) == (Outcome.SUCCEEDED, None)
            assert found.peak_memory is not None and 60 * MB < found.peak_memory < 150 * MB

    asyncio.run(go())


def test_without_cgroups_the_processes_of_a_stage_are_measured_together(hidden: None, tmp_path: Path) -> None:
    one = f'"$0" -c "{TAKE.format(30 * MB)}; import time; time.sleep(1.5)" & '

    async def go() -> None:
        async with place(tmp_path) as it:
            found = await it.run(it.order("sh", "-c", one * 3 + "wait", sys.executable))
            assert found.outcome == Outcome.SUCCEEDED
            assert found.peak_memory is not None and found.peak_memory > 90 * MB

    asyncio.run(go())


# -- want of memory that is no limit's --------------------------------------------------------------------------------


@pytest.fixture
def little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All that the engine starts, together, may have 40 MB."""

    async def where() -> Group | None:
        async with place(tmp_path) as it:
            return it.engine._shims.fences.group(os.getpid())

    group = asyncio.run(where())
    if group is None:
        pytest.skip("no memory cgroup may be made here")
    group.make(LIMIT)
    if group.v2:
        Path(group.path, "memory.oom.group").write_text("0")  # one of its processes, not all
    words = ["sh", "-c", f'echo $$ > {group.path}/cgroup.procs; exec "$@"', "sh"]
    monkeypatch.setattr("labsched.engines.fences.scope", lambda version, name: words)
    yield
    assert group.remove()


@pytest.mark.parametrize("how", ["exec", "", "setsid"], ids=["the command itself", "its child", "a child that left"])
def test_what_the_kernel_killed_for_want_of_memory_is_named_so(little: None, tmp_path: Path, how: str) -> None:
    async def go() -> Ended:
        async with place(tmp_path) as it:
            script = f'{how} "$@"; exit $?'
            return await it.run(it.order("sh", "-c", script, "sh", sys.executable, "-c", GREEDY))

    found = asyncio.run(go())
    assert (found.outcome, found.oom) == (Outcome.FAILED, True)
    assert found.reason is not None
    assert found.reason.startswith("killed by the kernel for want of memory, when it had ")


def test_another_kill_is_only_a_kill(tmp_path: Path) -> None:
    async def go() -> Ended:
        async with place(tmp_path) as it:
            return await it.run(replace(it.order("sh", "-c", "kill -9 $$"), memory=LIMIT))

    found = asyncio.run(go())
    assert (found.outcome, found.oom, found.reason) == (Outcome.FAILED, False, "killed by SIGKILL")
