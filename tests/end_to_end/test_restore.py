"""Back to a backup: nothing that has run since is taken for what is still to run, and no number is given twice."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from labsched.store.health import broken, damage
from labsched.wire.messages import Restored
from tests.end_to_end.typed import labsched
from tests.worlds import World, alive, chain, command, eventually, world


def restore(it: World, *words: str) -> Restored:
    return msgspec.json.decode(labsched(it, "restore", "b.db", "--json", *words), type=Restored)


def writes(it: World, word: str) -> list[str]:
    """A command that leaves a line in a journal, once it may: when there is a file of that name."""
    return [
        "sh",
        "-c",
        f"until [ -e {it.folder}/{word} ]; do sleep 0.01; done; echo {word} | tee -a {it.folder}/journal",
    ]


def journal(it: World) -> list[str]:
    file = it.folder / "journal"
    return file.read_text().split() if file.exists() else []


def go(it: World, *words: str) -> None:
    for word in words:
        (it.folder / word).touch()


def test_what_has_run_since_is_held_and_what_ran_is_known_at_the_next_start() -> None:
    with world() as it:
        one, two, three, four = it.submit(
            command(*writes(it, "one")), command(*writes(it, "two")), command(*writes(it, "three"), hold=True),
            chain(writes(it, "four"), writes(it, "five")),
        )  # fmt: skip
        go(it, "one")
        it.wait(one)
        eventually(lambda: [it.job(n).state for n in (two, four)] == ["running"] * 2)
        labsched(it, "backup", "b.db")
        go(it, "two", "three", "four", "five")
        it.verb("release", three)
        it.wait(two, three, four)
        it.wait(*it.submit(command("echo", "later", name="later")))
        assert sorted(journal(it)) == ["five", "four", "one", "three", "two"]
        assert "another daemon" in labsched(it, "restore", "b.db", code=5)
        it.stop()
        answer = restore(it)
        assert [(o.job, o.stage, o.attempt, o.how) for o in answer.held] == [
            (three, "run", 1, "succeeded"),
            (four, "two", 1, "succeeded"),
        ]
        assert [(o.job, o.how) for o in answer.open] == [(two, "succeeded"), (four, "succeeded")]
        assert [(ref.id, ref.name) for ref in answer.unknown] == [(5, "later")]
        assert answer.kept is not None
        assert {path.name for path in Path(answer.kept).iterdir()} == {"queue.db", "attempts"}
        assert (Path(answer.kept) / "attempts/3/run.1/log").read_text() == "three\n"
        it.start()
        it.wait(two)
        eventually(lambda: it.job(four).stages[0].outcome == "succeeded")
        assert it.job(three).held_by  # by the one who had held it
        assert it.job(four).held_by == "labsched restore"
        assert sorted(journal(it)) == ["five", "four", "one", "three", "two"]
        assert it.read_log(two) == "two\n"
        it.verb("release", three, four)
        it.wait(three, four)
        assert sorted(journal(it)) == ["five", "five", "four", "one", "three", "three", "two"]
        assert it.read_log(three) == "three\n"
        assert it.job(three).stages[0].attempts[0].number == 1
        [new] = it.submit(command("true", hold=True))
        assert new == 6
        assert broken(it.folder / "state/queue.db") == []


def test_what_still_runs_is_found_again() -> None:
    with world() as it:
        [one] = it.submit(command(*writes(it, "one")))
        eventually(lambda: it.job(one).state == "running")
        labsched(it, "backup", "b.db")
        it.stop()
        assert [o.how for o in restore(it).open] == ["runs"]
        it.start()
        assert it.job(one).state == "running"
        go(it, "one")
        it.wait(one)
        assert journal(it) == ["one"]


def test_what_runs_and_the_backup_does_not_know_is_not_left_to_run_beside_itself() -> None:
    with world() as it:
        [one] = it.submit(command("sleep", "100", hold=True))
        labsched(it, "backup", "b.db")
        it.verb("release", one)
        eventually(lambda: it.job(one).state == "running")
        [attempt] = it.job(one).stages[0].attempts
        assert attempt.pid is not None
        it.stop()
        before = (it.folder / "state/queue.db").read_bytes()
        assert f"({one}/run.1)" in labsched(it, "restore", "b.db", code=5)
        assert (it.folder / "state/queue.db").read_bytes() == before
        assert not list((it.folder / "state").glob("*restor*"))
        assert alive(attempt.pid)
        assert [o.how for o in restore(it, "--stop").held] == ["cancelled"]
        assert not alive(attempt.pid)
        it.start()
        assert (it.job(one).state, it.job(one).stages[0].attempts) == ("waiting", ())


def test_an_attempt_whose_folder_is_gone_does_not_begin_anew() -> None:
    with world() as it:
        [one] = it.submit(command(*writes(it, "one")))
        eventually(lambda: it.job(one).state == "running")
        labsched(it, "backup", "b.db")
        go(it, "one")
        it.wait(one)
        it.stop()
        shutil.rmtree(it.folder / "state/attempts/1")
        assert [o.how for o in restore(it).open] == ["lost: its folder is gone"]
        it.start()
        assert it.job(one).outcome == "lost"
        assert journal(it) == ["one"]


def test_what_had_ended_and_ran_again_since_is_told_and_its_next_attempt_is_new() -> None:
    with world() as it:
        [one] = it.submit(command("sh", "-c", f"echo x >> {it.folder}/journal; exit 3"))
        it.wait(one)
        labsched(it, "backup", "b.db")
        it.verb("retry", one)
        it.wait(one)
        it.stop()
        answer = restore(it)
        assert [(o.job, o.attempt, o.how) for o in answer.ended] == [(one, 2, "failed: exit 3")]
        it.start()
        it.verb("retry", one)
        [job] = it.wait(one)
        assert [a.number for a in job.stages[0].attempts] == [1, 2]
        assert journal(it) == ["x"] * 3


def test_a_damaged_queue_is_told_at_the_start_and_by_doctor_and_a_backup_mends_it() -> None:
    with world() as it:
        it.submit(*(command("true", name=f"job {n}", hold=True) for n in range(200)))
        labsched(it, "backup", "b.db")
        it.stop()
        queue = it.folder / "state/queue.db"
        with queue.open("r+b") as file:
            file.seek(40_000)
            file.write(bytes(30_000))
        said = labsched(it, "daemon", code=5)
        assert "is damaged" in said
        assert f"labsched restore FILE --state {it.folder}/state" in said
        answer = restore(it)
        assert (answer.jobs, answer.kept is not None) == (200, True)
        assert damage(queue, full=True) == []
        it.start()
        [new] = it.submit(command("true", hold=True))
        assert new > 200


def test_onto_an_empty_place() -> None:
    with world() as it:
        it.wait(*it.submit(command("true")))
        labsched(it, "backup", "b.db")
        it.stop()
        shutil.rmtree(it.folder / "state")
        assert restore(it).kept is None
        it.start()
        assert it.job(1).outcome == "succeeded"
        assert it.submit(command("true", hold=True)) == [2]


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def test_what_is_no_backup_is_refused_and_changes_nothing() -> None:
    with world() as it:
        it.submit(command("true", hold=True))
        labsched(it, "backup", "b.db")
        it.stop()
        state = it.folder / "state"
        before = {path: path.read_bytes() for path in state.glob("queue.db*")}
        (it.folder / "empty.db").touch()
        (it.folder / "text.db").write_text("hello " * 1000)
        half = (it.folder / "b.db").read_bytes()
        (it.folder / "half.db").write_bytes(half[: len(half) // 2])
        change(it.folder / "cook.db", "CREATE TABLE recipes (title)")
        shutil.copy(it.folder / "b.db", it.folder / "new.db")
        change(it.folder / "new.db", "UPDATE alembic_version SET version_num = 9999")
        for name, why, code in (
            ("gone.db", "there is no file", 4),
            ("empty.db", "no queue of labsched", 5),
            ("text.db", "damaged, or no queue", 5),
            ("half.db", "damaged, or no queue", 5),
            ("cook.db", "no queue of labsched", 5),
            ("new.db", "written by a newer labsched (schema 9999", 5),
            ("state/queue.db", "is the queue itself", 2),
        ):
            assert why in labsched(it, "restore", name, code=code), name
        assert {path: path.read_bytes() for path in state.glob("queue.db*")} == before
        assert not list(state.glob("*restor*"))
        it.start()


def test_a_restore_that_was_interrupted_is_done_again_before_a_daemon_starts() -> None:
    with world() as it:
        [one] = it.submit(command("true", hold=True))
        labsched(it, "backup", "b.db")
        it.verb("release", one)
        it.wait(one)
        it.stop()
        (it.folder / "state/restoring").write_text("before-restore-x\n")
        (it.folder / "state/before-restore-x/attempts/1").mkdir(parents=True)
        (it.folder / "state/attempts/1/run.1").rename(it.folder / "state/before-restore-x/attempts/1/run.1")
        (it.folder / "state/queue.db").rename(it.folder / "state/before-restore-x/queue.db")
        assert "was interrupted: do it again" in labsched(it, "daemon", code=5)
        answer = restore(it)
        assert answer.kept == str(it.folder / "state/before-restore-x")
        it.start()
        assert it.job(one).state == "waiting"
        assert it.submit(command("true", hold=True)) == [2]


def test_an_older_queue_is_brought_up_to_date(tmp_path: Path) -> None:
    rows = Path(__file__).parents[1] / "store/rows/0001.sql"
    with world() as it:
        it.stop()
        old = tmp_path / "old.db"
        make = f"""
import shutil, sqlite3, sys
from pathlib import Path
from labsched.store import upgrade
then = Path({str(tmp_path / "then")!r})
shutil.copytree(upgrade.MIGRATIONS, then, ignore=shutil.ignore_patterns("__pycache__", "000[2-9]_*", "00[1-9]?_*"))
upgrade.MIGRATIONS = then
upgrade.upgrade(Path(sys.argv[1]))
c = sqlite3.connect(sys.argv[1])
c.executescript(Path({str(rows)!r}).read_text())
c.close()
"""
        subprocess.run([sys.executable, "-c", make, old], check=True)
        before = old.read_bytes()
        answer = json.loads(labsched(it, "restore", str(old), "--json"))
        assert answer["jobs"] == 3
        assert old.read_bytes() == before
        it.start()
        assert it.job(2).outcome == "lost"


def test_what_is_said_can_be_read_by_people() -> None:
    with world() as it:
        [one] = it.submit(command("true", hold=True))
        labsched(it, "backup", "b.db")
        it.verb("release", one)
        it.wait(one)
        it.stop()
        said = labsched(it, "restore", "b.db")
        assert "would run again; they are held" in said
        assert "  1  job  run, attempt 1: succeeded\n" in said
        assert "what was there is kept in " in said
        it.start()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_what_root_restores_is_the_daemons() -> None:
    with world() as it:
        [one] = it.submit(command("true", hold=True))
        labsched(it, "backup", "b.db")
        it.verb("release", one)
        it.wait(one)
        it.stop()
        state = it.folder / "state"
        for path in [state, *state.rglob("*")]:
            os.chown(path, 12345, 12345, follow_symlinks=False)
        kept = restore(it).kept
        assert kept is not None
        owners = {path: path.stat().st_uid for path in [*state.iterdir(), *Path(kept).rglob("*")]}
        assert {owner for path, owner in owners.items() if path.parent != state / "backups"} == {12345}, owners
        it.start()


def test_a_queue_that_was_replaced_by_hand_takes_no_old_folder_for_a_new_attempt() -> None:
    with world() as it:
        [one] = it.submit(command(*writes(it, "one"), hold=True))
        it.stop()
        shutil.copy(it.folder / "state/queue.db", it.folder / "copy.db")
        it.start()
        it.verb("release", one)
        go(it, "one")
        it.wait(one)
        it.stop()
        shutil.copy(it.folder / "copy.db", it.folder / "state/queue.db")
        it.start()
        it.verb("release", one)
        it.wait(one)
        assert journal(it) == ["one", "one"]
        assert (it.folder / "state/attempts/1/run.1.before-1/log").exists()
        assert "was there before its attempt" in it.log
