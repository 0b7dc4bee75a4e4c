"""One daemon for each state folder: a lock says who has it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labsched.errors import Refused

LOCK = "daemon.lock"


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """Hold the state folder; raises Refused where a daemon does, or where it is not ours to hold."""
    try:
        lock = (state / LOCK).open("a+")
    except OSError as error:
        raise Refused(
            f"cannot write the state folder {state}: {error.strerror}; do it as its owner or as root"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Refused(
                f"another daemon (process {lock.read().strip() or '?'}) has the state folder {state}: "
                "stop it first, or name another folder with --state"
            ) from None
        os.fchmod(lock.fileno(), 0o600)  # whoever may open it could lock it
        give(state / LOCK, state)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def give(path: Path, state: Path) -> None:
    """Give what root has made in a state folder to the folder's owner: else their daemon could not open it."""
    if os.geteuid() == 0:
        owner = state.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
