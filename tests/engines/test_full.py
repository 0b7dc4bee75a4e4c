"""A disk that is full costs nobody a result: what runs goes on, what waits waits, all is told once there is room."""

import asyncio
from pathlib import Path

from labsched.core.model import Ended
from labsched.core.states import Outcome
from labsched.engines import rundir
from tests.engines.place import fill, place, small_disk, until


def test_what_starts_on_a_full_disk_waits_for_room(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            filler = tmp_path / "filler"
            fill(filler)
            order = it.order("sh", "-c", "echo hello")
            it.engine.launch(order)
            assert it.engine.trouble is not None
            assert "No space left on device" in it.engine.trouble
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
            fill(filler, leave=1)  # room for what to run, and for nothing that the shim writes
            it.engine.launch(order)
            await until((tmp_path / "up").exists)
            await it.began(order)
            assert not (Path(order.folder) / rundir.STARTED).exists()
            shim = rundir.holder(order.folder)
            (tmp_path / "go").touch()
            await until((Path(order.folder) / f"{rundir.EXIT}.{shim}").exists)  # it has tried
            assert rundir.holder(order.folder) == shim
            assert not any(isinstance(fact, Ended) for fact in it.facts)
            filler.unlink()
            ended = await it.end(order)
            assert (ended.outcome, ended.exit_code) == (Outcome.FAILED, 7)

    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", 128):
        asyncio.run(go())
