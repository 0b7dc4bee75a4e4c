"""A point at a time: what a daemon finds when it starts after one that died there."""

import os
import signal
from pathlib import Path

import pytest

from labsched import faults
from labsched.engines import rundir
from labsched.errors import NoDaemon
from tests.worlds import World, command, eventually, world


@pytest.fixture
def armed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder to arm points in, for the daemons of this test."""
    for name in ("armed", "hit"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv(faults.ENVIRONMENT, str(tmp_path))
    return tmp_path / "armed"


def gone(it: World) -> None:
    assert it.process is not None
    it.process.wait(20)


def test_a_cancel_that_is_in_the_queue_is_carried_out_by_the_next_daemon(armed: Path) -> None:
    with world() as it:
        [number] = it.submit(command("sleep", "3600"))
        eventually(lambda: it.job(number).state == "running")
        (armed / "cancel.committed").write_text("kill 0")
        with pytest.raises(NoDaemon):
            it.verb("cancel", number)
        gone(it)
        it.start()
        assert it.wait(number)[0].outcome == "cancelled"


def test_a_submit_without_an_answer_may_be_there_and_runs_then(armed: Path) -> None:
    with world() as it:
        for point, there in (("store.written", 0), ("submit.committed", 1)):
            (armed / point).write_text("kill 0")
            with pytest.raises(NoDaemon):
                it.submit(command("true", name=point))
            gone(it)
            it.start()
            found = [row.id for row in it.status(all=True).jobs if row.name == point]
            assert len(found) == there
            assert not found or it.wait(*found)[0].outcome == "succeeded"


def test_after_a_reboot_what_ran_is_lost_and_what_waited_waits(armed: Path) -> None:
    clock = armed.parent / "clock"
    clock.write_text("0 one")
    with world("[daemon]\nstop_grace = 1.0\n[pools]\nCPU = 1\n") as it:
        running, waiting = it.submit(command("sleep", "3600"), command("true"))
        eventually(lambda: it.job(running).state == "running")
        it.kill()
        os.kill(rundir.holder(f"{it.folder}/state/attempts/{running}/run.1"), signal.SIGKILL)
        clock.write_text("3600 two")
        it.start()
        lost, ran = it.wait(running, waiting)
        assert (lost.outcome, lost.stages[0].reason) == ("lost", "the machine was rebooted while it ran")
        assert ran.outcome == "succeeded"
        assert ran.ended is not None
        assert (ran.ended - ran.submitted).total_seconds() > 3500
