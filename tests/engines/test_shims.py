"""Shims stand by one attempt after another, and what one leaves behind that was killed is nobody's secret."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from labsched.core.states import Outcome
from labsched.engines import processes, rundir, shims
from tests.engines.place import place, until
from tests.worlds import alive

MB = 10**6
# Leaves its session and its parent, and forgets its environment: nothing in /proc tells whose it is.
ESCAPE = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        words = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
        os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", words, sys.argv[1]], {})
    os._exit(0)
import time
time.sleep(600)
"""
GREEDY = f"held = b'x' * {60 * MB}; sum(i * i for i in range(2_000_000))"


def test_a_shim_stands_by_one_attempt_after_another(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            pids = set()
            for _ in range(5):
                order = it.order("sh", "-c", "echo $PPID")
                assert (await it.run(order)).outcome is Outcome.SUCCEEDED
                pids.add((Path(order.folder) / rundir.LOG).read_text())
                assert rundir.holder(order.folder) == 0
            assert len(pids) <= 2  # the spare one may have come later than the first order

    asyncio.run(go())


def test_what_an_attempt_took_is_not_counted_for_the_next_one_of_its_shim(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            greedy = await it.run(it.order(sys.executable, "-I", "-S", "-c", GREEDY))
            modest = await it.run(it.order("sleep", "0.05"))
            assert greedy.peak_memory is not None and greedy.peak_memory > 60 * MB
            assert modest.peak_memory is not None and modest.peak_memory < 20 * MB
            assert greedy.cpu_time is not None and modest.cpu_time is not None
            assert modest.cpu_time < greedy.cpu_time / 2

    asyncio.run(go())


def test_shims_that_are_not_needed_any_more_end_all_but_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shims, "IDLE_S", 0.1)

    async def go() -> None:
        async with place(tmp_path) as it:
            orders = [it.order("sleep", "0.2") for _ in range(6)]
            for order in orders:
                it.engine.launch(order)
            for order in orders:
                await it.end(order)
            assert it.engine._shims.parent is not None
            parent = it.engine._shims.parent.pid
            await until(lambda: len(processes.children(parent)) == shims.SPARE)
            assert (await it.run(it.order("true"))).outcome is Outcome.SUCCEEDED

    asyncio.run(go())


@pytest.mark.parametrize("away", [False, True], ids=["with its daemon there", "after its daemon went"])
def test_what_flees_from_a_killed_shim_is_ended_by_the_shims_parent(tmp_path: Path, away: bool) -> None:
    async def go() -> None:
        async with place(tmp_path / "attempts") as it:
            pid = tmp_path / "pid"
            order = it.order(sys.executable, "-I", "-S", "-c", ESCAPE, str(pid))
            it.engine.launch(order)
            await it.began(order)
            await until(lambda: pid.exists() and pid.read_text() != "")
            shim = rundir.holder(order.folder)
            if away:
                await it.restart()
            assert alive(int(pid.read_text()))
            os.kill(shim, signal.SIGKILL)
            await until(lambda: not alive(int(pid.read_text())))
            if away:
                it.engine.adopt(order)
            assert (await it.end(order)).outcome is Outcome.LOST

    asyncio.run(go())


def test_a_signal_that_comes_too_late_ends_nobody_elses_attempt(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            for _ in range(20):
                order, after = it.order("true"), it.order("sh", "-c", "sleep 0.01")
                it.engine.launch(order)
                it.engine.launch(after)
                await it.end(order)
                for shim in it.engine._shims._idle:
                    shim.stop()
                third = it.order("true")
                it.engine.launch(third)
                assert (await it.end(third)).outcome is Outcome.SUCCEEDED
                assert (await it.end(after)).outcome is Outcome.SUCCEEDED

    asyncio.run(go())
