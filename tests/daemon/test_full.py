"""The daemon on a disk that it cannot write to: it says so, keeps what it has, and goes on by itself."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from labsched import errors
from labsched.wire.messages import Doctor
from tests.engines.place import fill, fill_with_files, small_disk
from tests.worlds import World, command, eventually


@contextmanager
def world_on_a_small_disk(files: int | None = None) -> Iterator[tuple[World, Path]]:
    """A world whose state folder is a disk of 4 MiB and so many files, and a file to fill it with."""
    with TemporaryDirectory(prefix="ls-") as folder:
        (state := Path(folder) / "state").mkdir()
        with small_disk(state, 4096, files):
            it = World(Path(folder))
            it.start()
            try:
                yield it, state / "filler"
            finally:
                it.stop()


def problems(it: World) -> str:
    return " ".join(f.what for f in it.client.get("doctor", Doctor).findings if f.level == "problem")


def test_a_full_disk_stops_what_would_start_and_loses_nothing() -> None:
    with world_on_a_small_disk() as (it, filler):
        script = f"until [ -e {it.folder}/go ]; do sleep 0.01; done; exit 3"
        [running] = it.submit(command("sh", "-c", script))
        eventually(lambda: it.job(running).state == "running")
        fill(filler)
        with pytest.raises(errors.TryLater, match="make room on the disk of the state folder"):
            for _ in range(500):  # the queue has some room of its own
                it.submit(command("true", name="x" * 400, hold=True))
        with pytest.raises(errors.TryLater, match="make room on the disk of the state folder"):
            for _ in range(500):  # less than a job takes may still be left
                it.verb("hold", running)
        queued = {row.id for row in it.status(limit=1000).jobs}
        os.truncate(filler, filler.stat().st_size - 4096)  # how it ended can be written, but not into the queue
        (it.folder / "go").touch()
        eventually(lambda: "nothing starts: the queue cannot be written" in problems(it))
        assert it.job(running).state == "running"
        filler.unlink()
        [ended] = it.wait(running)
        assert (ended.outcome, ended.stages[0].attempts[0].exit_code) == ("failed", 3)
        assert it.wait(*it.submit(command("true")))[0].outcome == "succeeded"
        assert queued <= {row.id for row in it.status(all=True, limit=1000).jobs}
        assert "nothing starts" not in problems(it)
        assert it.log.count("nothing starts for now") <= 3  # once for each time, not each second
        assert "Traceback" not in it.log


def test_attempts_that_cannot_be_written_wait_and_none_fails() -> None:
    with world_on_a_small_disk() as (it, _):
        attempts = it.folder / "state" / "attempts"
        attempts.rmdir()
        attempts.touch()  # not even root makes a folder in a file
        numbers = it.submit(*[command("true", name=f"j{n}") for n in range(10)])
        eventually(lambda: "cannot be written: Not a directory" in problems(it))
        assert {row.outcome for row in it.status().jobs} == {None}
        [row] = it.verb("cancel", numbers[0]).jobs
        assert row.outcome == "cancelled"
        attempts.unlink()
        attempts.mkdir()
        assert {job.outcome for job in it.wait(*numbers[1:])} == {"succeeded"}
        assert "cannot be written" not in problems(it)
        assert "Traceback" not in it.log


def test_a_stage_that_has_no_room_for_its_log_waits_and_all_who_ask_are_told_why() -> None:
    with world_on_a_small_disk(files=60) as (it, filler):
        (it.folder / "state" / "attempts" / "1").mkdir(mode=0o750)
        (it.folder / "state" / "attempts" / "1" / "run.1").mkdir(mode=0o750)
        fill_with_files(filler, leave=1)  # for its record
        [number] = it.submit(command("true"))
        words = "cannot be written: No space left on device"
        eventually(lambda: words in problems(it))
        eventually(lambda: words in (it.job(number).stages[0].why or ""))
        eventually(lambda: words in it.status().jobs[0].why)
        assert any(words in trouble for trouble in it.status().troubles)
        assert it.job(number).state == "starting"
        it.kill()
        it.start()
        eventually(lambda: words in problems(it))
        shutil.rmtree(filler)
        [job] = it.wait(number)
        assert (job.outcome, len(job.stages[0].attempts)) == ("succeeded", 1)
        assert words not in problems(it)
        assert it.log.count("it is tried again every") <= 4  # not each second
