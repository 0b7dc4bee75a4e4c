"""A disk that is full costs nobody a result: what runs goes on, what waits waits, all is told once there is room."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from labsched.core.model import Ended
from labsched.core.states import Outcome
from labsched.engines import processes, rundir
from tests.engines.place import fill, fill_with_files, place, small_disk, until


def test_what_starts_on_a_full_disk_waits_for_room(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            filler = tmp_path / "filler"
            fill(filler)
            order = it.order("sh", "-c", "echo hello")
            it.engine.launch(order)
            await until(lambda: "No space left on device" in (it.engine.trouble or ""))
            filler.unlink()
            assert (await it.end(order)).outcome == Outcome.SUCCEEDED

    with small_disk(tmp_path, 128):
        asyncio.run(go())


def test_what_runs_while_the_disk_fills_up_is_neither_left_alone_nor_lost(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path / "disk") as it:
            order = it.order(
                "sh", "-c", f"touch {tmp_path}/up; until [ -e {tmp_path}/go ]; do sleep 0.02; done; exit 7"
            )
            filler = tmp_path / "disk" / "filler"
            Path(order.folder).mkdir()
            fill(filler, leave=1)  # room for its record
            it.engine.launch(order)
            await until((tmp_path / "up").exists)
            await it.began(order)
            (tmp_path / "go").touch()
            ended = await it.end(order)  # there is room for that since it began
            assert (ended.outcome, ended.exit_code) == (Outcome.FAILED, 7)


@pytest.mark.parametrize("away", [False, True], ids=["with its daemon there", "after its daemon went"])
def test_an_end_that_there_is_no_room_for_is_told_once_there_is(tmp_path: Path, away: bool) -> None:
    async def go() -> None:
        async with place(tmp_path / "disk") as it:
            outputs = tuple(f"/nowhere/{'x' * 100}{n}" for n in range(100))  # that are missing: a long record
            order = replace(it.order("sh", "-c", f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"), outputs=outputs)
            it.engine.launch(order)
            await it.began(order)
            fill(filler := tmp_path / "disk" / "filler")
            shim = rundir.holder(order.folder)
            (tmp_path / "go").touch()
            await until(lambda: not processes.children(shim))
            await asyncio.sleep(0.1)  # nothing may come of it
            assert rundir.holder(order.folder) == shim
            assert not any(isinstance(fact, Ended) for fact in it.facts)
            if away:
                await it.restart()
                it.engine.adopt(order)
            filler.unlink()
            ended = await it.end(order)
            assert ended.exit_code == 0
            assert (ended.reason or "").startswith("it exited with 0, but did not make /nowhere/xxx")

    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", 128):
        asyncio.run(go())


@pytest.mark.parametrize("left", range(5))
def test_wherever_room_ends_before_a_command_begins_it_waits_and_then_runs(tmp_path: Path, left: int) -> None:
    """Its folder, the record, the log: each takes some."""

    async def go() -> None:
        async with place(tmp_path / "disk") as it:
            order = it.order("sh", "-c", f"echo x >> {tmp_path}/journal")
            Path(order.folder).mkdir()
            fill_with_files(tmp_path / "disk" / "filler", left)
            it.engine.launch(order)
            if left < 2:
                await until(lambda: "No space left on device" in (it.engine.look(order.folder).stuck or ""))
                assert it.engine.trouble is not None
                await it.restart()  # another daemon finds it as it is
                it.engine.adopt(order)
                await until(lambda: it.engine.look(order.folder).stuck is not None)
                assert rundir.record(order.folder).begun is None
            else:
                await until((tmp_path / "journal").exists)
            shutil.rmtree(tmp_path / "disk" / "filler")
            ended = await it.end(order)
            assert (ended.outcome, ended.reason) == (Outcome.SUCCEEDED, None)
            assert (tmp_path / "journal").read_text() == "x\n"
            assert it.engine.trouble is None

    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", 1024, files=40):
        asyncio.run(go())


def test_what_waits_for_room_can_be_cancelled(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path / "disk") as it:
            order = it.order("touch", f"{tmp_path}/journal")
            Path(order.folder).mkdir()
            fill_with_files(tmp_path / "disk" / "filler", 1)  # for what to run
            it.engine.launch(order)
            await until(lambda: it.engine.look(order.folder).stuck is not None)
            (tmp_path / "disk" / "filler" / "0").unlink()
            (tmp_path / "disk" / "filler" / "1").unlink()
            it.engine.stop(order.attempt)
            ended = await it.end(order)
            assert ended.outcome in (Outcome.CANCELLED, Outcome.SUCCEEDED)
            assert (tmp_path / "journal").exists() == (ended.outcome is Outcome.SUCCEEDED)

    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", 1024, files=40):
        asyncio.run(go())
