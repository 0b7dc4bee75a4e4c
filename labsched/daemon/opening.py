"""Before the daemon serves: the queue is brought up to date, and looked through for damage."""

import logging
import subprocess
import sys
import threading
from pathlib import Path

from labsched.daemon.restore import check_complete
from labsched.errors import Refused
from labsched.store import backup
from labsched.store.health import damage
from labsched.store.upgrade import is_current

log = logging.getLogger("labsched")
LOOK_S = 1.0  # for damage, before the daemon serves; after that it serves, and goes on looking


def open_queue(state: Path) -> None:
    """Have a queue in the state folder that this version can use.

    Raises Refused where it is damaged, newer than this version, or only half restored, with what to do.
    """
    check_complete(state)
    path = state / backup.QUEUE
    path.touch(mode=0o600)
    path.chmod(0o600)  # it holds environments; what SQLite lays beside it gets the same mode
    backup.tidy(state)
    _upgrade(path)
    found: list[str] = []
    late = threading.Event()
    look = threading.Thread(target=_look, args=(path, found, late), daemon=True)
    look.start()
    look.join(LOOK_S)
    late.set()
    if found:
        raise Refused(found[0])


def _look(path: Path, found: list[str], late: threading.Event) -> None:
    """Look for damage; where that takes longer than anybody waits, the daemon's log tells what comes of it."""
    if trouble := damage(path):
        found.append(f"the queue {path} is damaged ({trouble[0]}): {backup.mend(path)}")
        if late.is_set():
            log.error("%s", found[0])


def _upgrade(path: Path) -> None:
    """Bring the database up to date, in a process of its own: Alembic need not stay in the daemon's memory."""
    if is_current(path):
        return
    words = [sys.executable, "-m", "labsched.store.upgrade", str(path)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode:
        raise Refused(said or f"the queue {path} could not be brought up to date")
    if said:
        log.info("%s", said)
