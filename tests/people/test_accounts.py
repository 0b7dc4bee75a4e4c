"""Accounts and homes that go while jobs wait or run: each job ends, with a sentence, and nobody else notices."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.people.conftest import OpenWorld, config
from tests.people.test_as_submitter import sh
from tests.people.users import User, user
from tests.worlds import World, eventually, world


@pytest.fixture
def it(boss: User) -> Iterator[World]:
    """A daemon for each: one that knew somebody with the same number takes a few seconds to ask again."""
    with world(config(boss), kind=OpenWorld) as made:
        yield made


@pytest.fixture
def leaver(it: World) -> Iterator[User]:
    """Somebody who is about to leave the lab."""
    homes = it.folder / "homes"
    homes.mkdir(mode=0o755)
    try:
        with user(homes) as made:
            yield made
    finally:
        shutil.rmtree(homes)


def leaves(who: User) -> None:
    subprocess.run(["userdel", "--force", who.name], check=True, capture_output=True)


def test_a_home_that_has_vanished_fails_what_starts_in_it_and_nothing_else(it: World, leaver: User) -> None:
    inside, outside = leaver.asks(it).submit(
        sh("true", cwd=str(leaver.home), hold=True), sh('echo "$HOME"; cd', name="b", hold=True)
    )
    shutil.rmtree(leaver.home)
    leaver.asks(it).verb("release", inside, outside)
    first, second = leaver.asks(it).wait(inside, outside)
    assert first.stages[0].reason == f"its working folder {leaver.home} does not exist"
    assert (second.outcome, second.stages[0].attempts[0].exit_code) == ("failed", 2)
    assert leaver.asks(it).log(outside).splitlines()[0] == str(leaver.home)
    leaver.home.mkdir(mode=0o700)  # it was only not mounted
    shutil.chown(leaver.home, leaver.uid, leaver.gid)
    leaver.asks(it).verb("retry", inside, outside)
    assert [job.outcome for job in leaver.asks(it).wait(inside, outside)] == ["succeeded", "succeeded"]


def test_an_account_that_goes_while_its_job_runs_lets_it_end_and_what_waits_fails(it: World, leaver: User) -> None:
    go = it.folder / "go"
    script = f"until [ -e {go} ]; do sleep 0.02; done; id -u"
    chained = sh(script, outputs=("/",))
    running, waiting = leaver.asks(it).submit(chained, sh("true", name="later", hold=True))
    eventually(lambda: it.job(running).state == "running")
    leaves(leaver)
    assert {row.user for row in it.status().jobs if row.id in (running, waiting)} == {leaver.name}
    go.touch()
    [job] = it.wait(running)
    assert (job.outcome, it.read_log(running)) == ("succeeded", f"{leaver.uid}\n")
    it.verb("release", waiting)
    [job] = it.wait(waiting)
    gone = f"{leaver.name}, who submitted it, has no account (uid {leaver.uid}) on this machine any more"
    assert (job.outcome, job.user, job.stages[0].reason) == ("failed", leaver.name, gone)
    it.verb("retry", waiting)  # by an admin: it is nobody else's job for that
    assert it.wait(waiting)[0].stages[0].reason == gone
    assert "Traceback" not in it.log


def test_a_killed_shim_of_somebody_who_has_left_leaves_nothing_running(it: World, leaver: User) -> None:
    [number] = leaver.asks(it).submit(sh("setsid sleep 60 & echo $!; wait"))
    eventually(lambda: it.job(number).state == "running" and bool(it.read_log(number).strip()))
    child = int(it.read_log(number))
    leaves(leaver)
    it.verb("cancel", number)
    [job] = it.wait(number)
    assert job.outcome == "cancelled"
    eventually(lambda: not Path(f"/proc/{child}").exists())
