"""labsched events: whatever changes is told once, in its order, through any restart."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from labsched.core.states import Outcome, State
from labsched.errors import BadRequest, NotFound
from labsched.wire.events import Events
from labsched.wire.messages import Event, Pools
from labsched.wire.requests import PoolSet
from tests.cli.conftest import environment
from tests.store.replay import replay
from tests.worlds import World, chain, command, eventually, world


def written(it: World) -> list[tuple[int, str]]:
    """Number and kind of all events in the database."""
    with closing(sqlite3.connect(it.folder / "state" / "queue.db")) as connection:
        return connection.execute("SELECT id, kind FROM events ORDER BY id").fetchall()


def heard(file: Path) -> list[Event]:
    """What a follower has printed so far, in whole lines."""
    return [
        msgspec.json.decode(line, type=Event)
        for line in file.read_bytes().splitlines(keepends=True)
        if line[-1:] == b"\n"
    ]


def check_told(it: World, told: list[Event]) -> None:
    """Hold what was told against the tables."""
    story = replay((e.kind, e.job, e.stage, e.user, e.data) for e in told)
    jobs = it.status(all=True, limit=1000).jobs
    assert story.held_by.keys() == {job.id for job in jobs}
    assert {job for job, by in story.held_by.items() if by} == {job.id for job in jobs if it.job(job.id).held_by}
    places = {(job.id, stage.name): (stage.state, stage.outcome) for job in jobs for stage in job.stages}
    assert story.moved == {place: at for place, at in places.items() if at != (State.WAITING, None)}
    pools = it.client.get("pools", Pools).pools
    assert story.pools == {pool.name: (pool.slots, pool.paused_by is not None) for pool in pools}


def test_a_follower_misses_nothing_and_hears_nothing_twice_through_deaths_of_the_daemon() -> None:
    with world() as it:
        out = it.folder / "out"
        words = [sys.executable, "-m", "labsched", "events", "--follow", "--json", "--since", "0"]
        env = environment(it.folder, LABSCHED_SOCKET=str(it.folder / "s"))
        with out.open("wb") as file:
            following = subprocess.Popen(words, env=env, stdout=file, stderr=subprocess.PIPE)
        numbers = it.submit(*[chain(["true"], ["sh", "-c", f"exit {n % 3}"]) for n in range(6)])
        [long] = it.submit(command("sleep", "60"))
        eventually(lambda: it.job(long).state == "running" and heard(out) != [])
        it.kill()
        it.start()
        [held] = it.submit(command("true", hold=True, after=(long,)))
        it.verb("release", held)
        it.verb("hold", held)
        it.client.post("pools/GPU", PoolSet(slots=3, paused=True), Pools)
        it.verb("cancel", long, reason="enough")
        it.wait(*numbers)
        eventually(lambda: [(e.id, e.kind) for e in heard(out)] == written(it))
        assert it.stop() == 0
        it.start()
        it.verb("retry", numbers[1])
        it.wait(numbers[1])
        eventually(lambda: [(e.id, e.kind) for e in heard(out)] == written(it))
        told = heard(out)
        check_told(it, told)
        kinds = [e.kind for e in told]
        assert kinds.count("daemon.started") == 3
        assert kinds.count("daemon.stopped") == 1
        [cancel] = [e for e in told if e.kind == "job.cancelled"]
        assert (cancel.job, cancel.name, cancel.data) == (long, "job", {"reason": "enough"})
        following.send_signal(signal.SIGINT)
        _, said = following.communicate(timeout=20)
        assert following.returncode == 130
        assert said.decode().count("waiting up to") == 2


def test_many_who_change_and_many_who_follow() -> None:
    with world("[daemon]\nstop_grace = 1.0\n[pools]\nCPU = 4\n") as it:
        got: list[list[Event]] = [[] for _ in range(4)]

        def follow(mine: list[Event]) -> None:
            for event in Events(it.client, follow=True, after=0):
                mine.append(event)
                if event.kind == "pool.changed":
                    return

        def change() -> None:
            for _ in range(20):
                it.submit(command("true"))

        threads = [threading.Thread(target=follow, args=(mine,)) for mine in got]
        threads += [threading.Thread(target=change) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads[4:]:
            thread.join()
        it.wait(*[row.id for row in it.status(limit=1000).jobs])
        it.client.post("pools/RAM", PoolSet(slots=3), Pools)
        for thread in threads:
            thread.join(30)
        for mine in got:
            assert [(e.id, e.kind) for e in mine] == written(it)
        check_told(it, got[0])


def test_events_are_had_from_any_point_of_one_job_and_so_many() -> None:
    with world() as it:
        one, two = it.submit(chain(["true"], ["false"], name="a"), command("true", name="b"))
        it.wait(one, two)
        every = list(Events(it.client))
        assert [e.id for e in every] == [n for n, _ in written(it)]
        of_one = [e for e in every if e.job == one]
        assert list(Events(it.client, job="a")) == of_one
        assert [e.kind.removeprefix("stage.") for e in of_one if e.stage == "two"] == ["starting", "running", "failed"]
        assert list(Events(it.client, after=every[3].id, limit=2)) == every[4:6]
        assert list(Events(it.client, last=3)) == every[-3:]
        assert list(Events(it.client, last=0)) == []
        assert list(Events(it.client, job=one, last=2)) == of_one[-2:]
        with pytest.raises(BadRequest, match=f"there is no event {every[-1].id + 1} yet: the newest is"):
            list(Events(it.client, after=every[-1].id + 1))
        with pytest.raises(NotFound):
            list(Events(it.client, job="nobody"))
        with pytest.raises(BadRequest, match="not both"):
            list(Events(it.client, after=1, last=1))
        outcome = of_one[-1]
        assert outcome.kind == f"stage.{Outcome.FAILED}" and "exit 1" in str(outcome.data["reason"])


def test_a_person_reads_lines() -> None:
    with world() as it:
        [number] = it.submit(command("true", name="a", hold=True))
        it.verb("cancel", number, reason="\x1b[31mred")
        env = environment(it.folder, LABSCHED_SOCKET=str(it.folder / "s"))
        words = [sys.executable, "-m", "labsched", "events", "--job", str(number)]
        lines = subprocess.run(words, env=env, capture_output=True, check=True, text=True).stdout.splitlines()
        user = it.job(number).user
        assert lines[0].endswith(f"  {number} a  job.submitted  held True  by {user}")
        assert lines[-1].endswith(f"  {number} a  run  stage.cancelled  by {user}: \ufffd[31mred")
        plain = subprocess.run([*words[:-2], "--json", "-n", "1"], env=env, capture_output=True, check=True).stdout
        assert set(json.loads(plain)) == set(Event.__struct_fields__)
