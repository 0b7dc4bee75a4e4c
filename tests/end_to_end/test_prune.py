"""Old jobs go: as people ask for it, by itself once a day, and through the death of the daemon."""

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace

import msgspec
import pytest

from labsched.errors import LabschedError
from labsched.store.health import broken, damage
from labsched.wire.messages import Event, History, Pruned, Reloaded
from labsched.wire.requests import Prune, Reload
from tests.end_to_end.typed import labsched
from tests.worlds import QUICK, World, chain, command, eventually, world

ALL = Prune(before=0.0)


@pytest.fixture
def it() -> Iterator[World]:
    with world() as made:
        yield made


def history(it: World) -> list[int]:
    return sorted(row.id for row in it.client.get("history", History, limit=1000).jobs)


def folders(it: World) -> list[int]:
    return sorted(int(path.name) for path in (it.folder / "state/attempts").iterdir())


def pruned(it: World, *words: str) -> dict[str, object]:
    answer = json.loads(labsched(it, "prune", "--json", *words))
    assert answer["done"]
    return {name: answer[name] for name in ("jobs", "attempts", "kept")}


def test_old_jobs_go_with_their_logs_and_live_ones_stay(it: World) -> None:
    done = it.submit(command("echo", "one"), chain(["true"], ["false"]), command("true", name="before"))
    it.wait(*done)
    live = it.submit(command("sleep", "100"), command("true", hold=True), command("true", hold=True, after=("before",)))
    eventually(lambda: it.job(live[0]).state == "running")
    assert pruned(it, "--before", "1h") == {"jobs": 0, "attempts": 0, "kept": 0}
    assert pruned(it, "--before", "0.001", "--dry-run") == {"jobs": 2, "attempts": 3, "kept": 1}
    assert (history(it), folders(it)) == (done, [*done, live[0]])
    assert pruned(it, "--before", "0.001") == {"jobs": 2, "attempts": 3, "kept": 1}
    assert (history(it), folders(it)) == ([done[2]], [done[2], live[0]])
    assert "there is no job 1" in labsched(it, "show", "1", code=4)
    last = json.loads(labsched(it, "events", "--json", "-n", "1"))
    assert (last["kind"], last["data"]["jobs"]) == ("jobs.pruned", 2)
    assert labsched(it, "events", "--job", "1", code=4)
    assert broken(it.folder / "state/queue.db") == damage(it.folder / "state/queue.db", full=True) == []
    assert it.job(live[0]).state == "running"


def test_the_oldest_go_until_the_logs_take_no_more_than_that(it: World) -> None:
    for _ in range(5):
        it.wait(*it.submit(command("head", "-c", "1000000", "/dev/zero")))
    assert pruned(it, "--logs-over", "2.5M", "--dry-run")["jobs"] == 3
    assert "3 jobs, with 3 logs (3 MB) removed" in labsched(it, "prune", "--logs-over", "2.5M")
    assert history(it) == [4, 5]
    assert pruned(it, "--logs-over", "0", "--keep", "1")["jobs"] == 1
    assert (history(it), folders(it)) == ([5], [5])


@pytest.mark.parametrize("words", [("--before", "0.001"), ("--logs-over", "1.5M"), ("--keep", "2")], ids=lambda w: w[0])
def test_a_dry_run_says_what_then_goes_also_of_chains_without_success(it: World, words: tuple[str, ...]) -> None:
    go = f"until [ -e {it.folder}/go ]; do sleep 0.02; done; head -c 1000000 /dev/zero; exit "
    chained = [command("sh", "-c", f"{go}1", name="c0")]
    chained += [command("true", name=f"c{n}", after=(f"c{n - 1}",)) for n in range(1, 6)]
    ended = it.submit(*chained, command("sh", "-c", f"{go}0", name="other"), command("sh", "-c", f"{go}1", name="d0"))
    ended += it.submit(command("true", name="d1", after=("d0",)), command("sh", "-c", f"{go}1", name="e0"))
    it.submit(command("true", name="e1", after=("other",), hold=True))
    (it.folder / "go").touch()
    it.wait(*ended)
    said = pruned(it, *words, "--dry-run")
    there = history(it)
    went = pruned(it, *words)
    assert said == went
    assert len(there) - len(history(it)) == went["jobs"] >= 1


def test_by_age_and_by_size(it: World) -> None:
    it.wait(*it.submit(*(command("head", "-c", "1000000", "/dev/zero") for _ in range(3))))
    middle = time.time() + 0.5
    eventually(lambda: time.time() > middle + 0.5)
    it.wait(*it.submit(*(command("head", "-c", "1000000", "/dev/zero") for _ in range(3))))

    def older(dry_run: bool) -> int:
        asked = Prune(before=time.time() - middle, logs_over=1_500_000, dry_run=dry_run)
        return [*it.client.post_lines("prune", asked, Pruned)][-1].jobs

    assert older(dry_run=True) == older(dry_run=False) == 5
    assert len(history(it)) == 1


def test_all_but_the_last_few(it: World) -> None:
    for _ in range(4):
        it.wait(*it.submit(command("true")))
    assert pruned(it, "--keep", "9")["jobs"] == 0
    assert pruned(it, "--keep", "2")["jobs"] == 2
    assert history(it) == [3, 4]


def test_a_block_that_is_done_stays_done(it: World) -> None:
    it.wait(*it.submit(command("true", key="k")))
    it.wait(*it.submit(command("true", key="k", again=True)))
    assert pruned(it, "--before", "0.001") == {"jobs": 1, "attempts": 1, "kept": 1}
    assert history(it) == [2]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "prune what?"),
        (("--before", "soon"), "is not a time"),
        (("--before", "0"), "makes no sense"),
        (("--logs-over", "much"), "is not a size"),
        (("--keep", "-1"), "is not from 0"),
    ],
)
def test_what_makes_no_sense_is_refused(it: World, words: tuple[str, ...], why: str) -> None:
    assert why in labsched(it, "prune", *words, code=2)


@pytest.mark.skipif(os.getuid() == 0, reason="root may remove everything")
def test_what_cannot_be_removed_is_told_and_stays(it: World) -> None:
    it.wait(*it.submit(command("true")))
    (it.folder / "state/attempts/1").chmod(0o500)
    said = labsched(it, "prune", "--before", "0.001", code=1)
    assert said == f"not removed: {it.folder}/state/attempts/1/run.1: Permission denied"
    assert history(it) == [1]
    (it.folder / "state/attempts/1").chmod(0o700)


def test_one_that_is_no_folder_is_told_and_the_others_go(it: World) -> None:
    it.wait(*it.submit(command("true"), command("true")))
    attempt = it.folder / "state/attempts/1/run.1"
    attempt.rename(it.folder / "elsewhere")
    attempt.symlink_to(it.folder / "elsewhere")
    *_, last = it.client.post_lines("prune", ALL, Pruned)
    assert (last.jobs, len(last.errors)) == (1, 1)
    assert history(it) == [1]
    assert (it.folder / "elsewhere/log").exists()


def test_the_queues_file_becomes_smaller(it: World) -> None:
    large = [replace(command("true", hold=True), env={"N": str(n), "X": "x" * 10_000}) for n in range(600)]
    numbers = it.submit(*large)
    it.verb("cancel", *numbers)
    queue = it.folder / "state/queue.db"
    with closing(sqlite3.connect(queue)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    assert queue.stat().st_size > 5_000_000
    assert pruned(it, "--before", "0.001")["jobs"] == 600
    assert queue.stat().st_size < 1_000_000


def test_rows_whose_folders_are_gone_are_no_error(it: World) -> None:
    """What a daemon leaves that dies between the two."""
    it.wait(*it.submit(command("true")))
    for path in sorted((it.folder / "state/attempts/1").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert labsched(it, "logs", "1") == ""
    assert pruned(it, "--before", "0.001")["jobs"] == 1
    assert (history(it), folders(it)) == ([], [])


def test_a_daemon_that_is_killed_meanwhile_goes_on_the_next_time(it: World) -> None:
    it.wait(*it.submit(*(command("true") for _ in range(60))), seconds=120)
    lines = it.client.post_lines("prune", ALL, Pruned)
    thread = threading.Thread(target=lambda: swallow(lines))
    thread.start()
    eventually(lambda: len(folders(it)) < 60)
    it.kill()
    thread.join()
    it.start()
    queue = it.folder / "state/queue.db"
    assert broken(queue) == damage(queue, full=True) == []
    pruned(it, "--before", "0.001")
    assert (history(it), folders(it)) == ([], [])


def swallow(lines: Iterator[object]) -> None:
    with suppress(LabschedError):
        for _ in lines:
            pass


def test_it_happens_by_itself_as_the_configuration_says() -> None:
    with world(f"{QUICK}[prune]\nafter_days = 0.000001\nkeep = 1\n") as it:
        it.wait(*it.submit(command("true"), command("true"), command("true")))
        it.stop()
        it.start()  # it looks soon after its start
        eventually(lambda: len(history(it)) == 1, 60)
        assert len(folders(it)) == 1
        eventually(lambda: "2 old jobs were removed, as [prune] says" in it.log)
        [event] = [e for e in events(it) if e.kind == "jobs.pruned"]
        assert (event.user, event.data["jobs"]) == (None, 2)
        assert pruned(it)["jobs"] == 0  # without options: what the configuration says


def events(it: World) -> list[Event]:
    lines = labsched(it, "events", "--json", "--since", "0").splitlines()
    return [msgspec.json.decode(line, type=Event) for line in lines]


def test_a_configuration_that_is_read_again_is_followed_at_once() -> None:
    with world() as it:
        it.wait(*it.submit(command("true"), command("true")))
        (it.folder / "config.toml").write_text(f"{QUICK}[prune]\nafter_days = 0.000001\nkeep = 1\n")
        it.client.post("config/reload", Reload(), Reloaded)
        eventually(lambda: len(history(it)) == 1, 25)
