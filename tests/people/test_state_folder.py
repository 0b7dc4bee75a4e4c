"""The state folder is the daemon's: nobody else reads it, writes to it, or makes it touch another file."""

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labsched.engines import rundir
from tests.people.test_as_submitter import folder, sh
from tests.people.users import User
from tests.worlds import World, eventually


@pytest.fixture(scope="module")
def done(it: World, one: User) -> Path:
    """The folder of an attempt of one's that has ended."""
    [number] = one.asks(it).submit(sh("echo hello; sleep 0.1"))
    one.asks(it).wait(number)
    return folder(it, number)


def refused(who: User, *ways: Callable[[], object]) -> None:
    def tries() -> list[int]:
        found = []
        for number, way in enumerate(ways):
            try:
                way()
            except PermissionError:
                continue
            found.append(number)
        return found

    assert who.does(tries) == []


def test_nobody_looks_into_what_is_not_theirs(it: World, done: Path, one: User, two: User) -> None:
    state = it.folder / "state"
    files = [state / name for name in os.listdir(state) if (state / name).is_file()]  # noqa: PTH208
    files += [done / name for name in ("record",)]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files if file.exists()} == {0o600}
    folders = [state, state / "attempts", done.parent, done]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o711}
    for who in (one, two):
        refused(who, *[lambda file=file: file.open("rb") for file in files])  # type: ignore[misc]
        refused(who, *[lambda file=file: file.open("ab") for file in files])  # type: ignore[misc]
        refused(who, *[lambda path=path: list(path.iterdir()) for path in folders])  # type: ignore[misc]


def test_nobody_adds_moves_or_removes_anything_there(it: World, done: Path, one: User, two: User) -> None:
    state, log, own = it.folder / "state", done / "log", done / "own"
    following = state / "attempts" / str(int(done.parent.name) + 1)
    for who in (one, two):
        refused(
            who,
            lambda: following.symlink_to("/etc"),
            lambda: following.mkdir(),
            lambda: (done.parent / "run.2").symlink_to("/etc"),
            lambda: (done / "new").touch(),
            lambda: (done / "record").unlink(),
            lambda: (done / "record.1").symlink_to("/etc/passwd"),
            lambda: (state / "queue.db").rename(state / "x"),
            lambda: log.unlink(),
            lambda: log.rename(done / "x"),
            lambda: own.rename(done / "x"),
            lambda: own.rmdir(),
        )
    refused(two, lambda: log.open("ab"), lambda: (own / "x").touch(), lambda: list(own.iterdir()))


@pytest.mark.parametrize("trick", ["symbolic link", "hard link", "fifo", "folder", "socket", "huge", "link to itself"])
def test_what_is_put_in_the_place_of_progress_is_not_followed(trick: str, it: World, one: User) -> None:
    secret = it.folder / "secret"
    secret.write_text("0.5 root's own words\n")
    secret.chmod(0o600)
    [number] = one.asks(it).submit(sh(f"until [ -e {one.home}/{trick[:3]} ]; do sleep 0.02; done"))
    eventually(lambda: it.job(number).state == "running")
    place = folder(it, number) / "own" / "progress"

    def put() -> None:
        import socket

        if trick == "symbolic link":
            place.symlink_to(secret)
        elif trick == "fifo":
            os.mkfifo(place)
        elif trick == "folder":
            place.mkdir()
        elif trick == "socket":
            os.chdir(place.parent)
            socket.socket(socket.AF_UNIX).bind("progress")
        elif trick == "huge":
            place.touch()
            os.truncate(place, 2**40)
        elif trick == "link to itself":
            place.symlink_to("progress")

    if trick == "hard link":  # which the kernel may refuse to those whose file it is not
        os.link(secret, place)
    else:
        one.does(put)
    started = time.monotonic()
    [stage] = one.asks(it).job(number).stages
    assert (stage.progress, stage.note and stage.note.strip("\0")) in [(None, None), (None, "")]
    (one.home / trick[:3]).touch()
    [job] = one.asks(it).wait(number)
    assert job.outcome == "succeeded"
    assert "root's own words" not in repr(job)
    assert time.monotonic() - started < 10
    assert (secret.read_text(), stat.S_IMODE(secret.stat().st_mode)) == ("0.5 root's own words\n", 0o600)


def test_what_an_owner_does_to_their_log_is_their_own_affair(it: World, one: User) -> None:
    script = 'exec >/dev/null 2>&1; log=$(dirname $LABSCHED_PROGRESS)/../log; truncate -s 1T "$log"; chmod 0 "$log"'
    [number] = one.asks(it).submit(sh(script))
    [job] = one.asks(it).wait(number)
    assert job.outcome == "succeeded", job
    assert (folder(it, number) / "log").stat().st_size == 2**40
    started = time.monotonic()
    stream = one.asks(it).user.does(lambda: _first(it, number))
    assert stream == b"\0" * 100
    it.status()
    assert time.monotonic() - started < 5
    (folder(it, number) / "log").unlink()  # a terabyte, to whoever looks at it


def _first(it: World, number: int) -> bytes:
    from labsched.wire.client import Client

    return next(iter(Client(it.folder / "s").log(str(number), lines=10)))[:100]


def test_a_link_where_a_log_should_be_is_not_written_through(it: World, one: User) -> None:
    """Nobody can lay one there; should somebody all the same, it is not followed."""
    [number] = one.asks(it).submit(sh("echo theirs", hold=True))
    victim = it.folder / "victim"
    victim.write_text("kept")
    place = folder(it, number)
    place.mkdir(parents=True)
    (place / "log").symlink_to(victim)
    one.asks(it).verb("release", number)
    [job] = one.asks(it).wait(number)
    assert (job.outcome, job.stages[0].reason) == (
        "failed",
        "its log could not be made: Too many levels of symbolic links",
    )
    assert (victim.read_text(), victim.stat().st_uid) == ("kept", 0)
    assert rundir.holder(str(place)) == 0


def test_an_own_folder_that_is_a_link_is_given_to_nobody(it: World, one: User) -> None:
    [number] = one.asks(it).submit(sh("echo x > $LABSCHED_PROGRESS", hold=True))
    victim = it.folder / "victims"
    victim.mkdir(mode=0o700)
    place = folder(it, number)
    place.mkdir(parents=True)
    (place / "own").symlink_to(victim)
    one.asks(it).verb("release", number)
    one.asks(it).wait(number)
    assert (victim.stat().st_uid, list(victim.iterdir())) == (0, [])
