"""Throw-away users, and doing something as one of them: in a fork, for their files may be closed to this Python."""

import os
import pickle
import secrets
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from labsched.core.model import JobSpec
from labsched.wire.client import Client
from labsched.wire.messages import Job, Jobs, Status, Submitted, Waited
from labsched.wire.requests import Edit, Submit, Verb
from tests.worlds import World

T = TypeVar("T")


@dataclass(frozen=True)
class User:
    """A user of this machine, with a closed home of its own."""

    name: str
    uid: int
    gid: int
    home: Path

    def does(self, what: Callable[[], T]) -> T:
        """Do this as this user, in a fork; returns what it returns, raises what it raises."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(reader)
                if self.name:  # else it is somebody without an account
                    os.initgroups(self.name, self.gid)
                else:
                    os.setgroups([])
                os.setgid(self.gid)
                os.setuid(self.uid)
                try:
                    answer: object = (True, what())
                except Exception as error:
                    answer = (False, error)
                with os.fdopen(writer, "wb") as pipe:
                    pickle.dump(answer, pipe)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            data = pipe.read()
        os.waitpid(pid, 0)
        good, value = pickle.loads(data)
        if not good:
            raise value
        return value  # type: ignore[no-any-return]

    def asks(self, it: World) -> "Asking":
        return Asking(self, it)


@dataclass(frozen=True)
class Asking:
    """What a user asks a world's daemon."""

    user: User
    it: World

    def submit(self, *jobs: JobSpec) -> list[int]:
        return self.user.does(lambda: [ref.id for ref in self._client.post("jobs", Submit(jobs), Submitted).jobs])

    def job(self, ref: int | str, **query: Any) -> Job:
        return self.user.does(lambda: self._client.get("job", Job, ref=ref, **query))

    def status(self, **query: Any) -> Status:
        return self.user.does(lambda: self._client.get("status", Status, **query))

    def verb(self, what: str, *refs: int | str) -> Jobs:
        return self.user.does(lambda: self._client.post(f"jobs/{what}", Verb(jobs=tuple(map(str, refs))), Jobs))

    def edit(self, *refs: int | str, **more: Any) -> Jobs:
        asked = Edit(jobs=tuple(map(str, refs)), **more)
        return self.user.does(lambda: self._client.post("jobs/edit", asked, Jobs))

    def log(self, ref: int | str, **query: object) -> str:
        return self.user.does(lambda: b"".join(self._client.log(str(ref), **query)).decode())  # type: ignore[arg-type]

    def wait(self, *numbers: int, seconds: float = 60.0) -> list[Job]:
        """Wait until these jobs have ended, and return them as this user sees them."""
        deadline = time.monotonic() + seconds
        jobs = ",".join(map(str, numbers))
        while not self.user.does(lambda: self._client.get("wait", Waited, jobs=jobs, within=5).done):
            assert time.monotonic() < deadline, [self.it.job(number) for number in numbers]
        return [self.job(number) for number in numbers]

    @property
    def _client(self) -> Client:
        return Client(self.it.folder / "s", timeout=30)


@contextmanager
def user(folder: Path, *, groups: str = "") -> Iterator[User]:
    """A new user, whose home is in `folder`; removed at the end."""
    if os.getuid() != 0:
        pytest.skip("only root can make users")
    name = f"ls-{secrets.token_hex(4)}"
    home = folder / name
    more = ["--groups", groups] if groups else []
    _run(
        "useradd",
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir",
        str(home),
        "--shell",
        "/bin/sh",
        *more,
        name,
    )
    try:
        import pwd

        entry = pwd.getpwnam(name)
        home.mkdir(mode=0o700)
        os.chown(home, entry.pw_uid, entry.pw_gid)
        yield User(name, entry.pw_uid, entry.pw_gid, home)
    finally:
        _run("userdel", name, accept=(0, 6))


@contextmanager
def group() -> Iterator[str]:
    """A new group; removed at the end."""
    if os.getuid() != 0:
        pytest.skip("only root can make groups")
    name = f"ls-{secrets.token_hex(4)}"
    _run("groupadd", "--system", name)
    try:
        yield name
    finally:
        _run("groupdel", name, accept=(0, 6))


@contextmanager
def people(folder: Path) -> Iterator[tuple[User, User, User]]:
    """Two users who have nothing to do with each other, and one who is in a group of admins named like its own."""
    with ExitStack() as stack:
        admins = stack.enter_context(group())
        one, two = stack.enter_context(user(folder)), stack.enter_context(user(folder))
        yield one, two, stack.enter_context(user(folder, groups=admins))


def admin_group(of: User) -> str:
    """The group that makes an admin of this user."""
    import grp

    return next(entry.gr_name for entry in grp.getgrall() if of.name in entry.gr_mem)


def _run(*words: str, accept: tuple[int, ...] = (0,)) -> None:
    deadline = time.monotonic() + 30
    while True:  # somebody else may be changing /etc/passwd
        try:
            done = subprocess.run(words, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip(f"there is no {words[0]}")
        if done.returncode in accept:
            return
        assert done.returncode in (1, 10), done.stderr
        assert time.monotonic() < deadline, done.stderr
