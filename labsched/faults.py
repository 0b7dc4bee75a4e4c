"""Named points between an intent and its record, where the chaos suite (docs/chaos.md) lets a process die.

Without ``LABSCHED_FAULTS`` in the environment a point does nothing. It names a folder: whoever comes to a point takes
the file ``armed/POINT`` in it, if there is one (one process alone gets it), notes in it who and where it is, leaves it
as ``hit/POINT.PID``, and does what the file said: ``kill PID ...`` (0: itself) or ``sleep SECONDS``.

Standard library only, and little of it: the shims import this.
"""

import contextlib
import os
import signal
import time

ENVIRONMENT = "LABSCHED_FAULTS"

#: What each point stands between. `daemon`, `parent` (of the shims), `shim`, `stage`: the process that comes to it.
POINTS = {
    "submit.committed": "daemon: a job is in the queue | whoever queued it has an answer",
    "store.written": "daemon: a transaction is written | it is committed",
    "store.committed": "daemon: a transaction is committed | whoever asked for it goes on",
    "verb.committed": "daemon: a hold, a release, a retry or the cancel of what waits is in the queue | it is answered",
    "pool.committed": "daemon: a pool's new slots are in the queue | it is answered",
    "cancel.committed": "daemon: the cancel of what runs is in the queue | its shim is told",
    "cancel.signalled": "daemon: the shim is told to stop | all of it has ended, and the cancel is answered",
    "attempt.opened": "daemon: an attempt is in the queue | a shim gets it",
    "attempt.asked": "daemon: a shim got an attempt | it is heard of",
    "adopt.next": "daemon: an attempt of an earlier daemon is looked at | the next one is",
    "parent.asked": "parent: it is asked for a shim | the shim is forked",
    "parent.forked": "parent: the shim is forked | the daemon hears of it",
    "shim.forked": "shim: it is forked | it waits for an attempt",
    "shim.asked": "shim: it got an attempt | the attempt's folder is made",
    "shim.made": "shim: the attempt's folder is made | it holds the lock",
    "shim.locked": "shim: it holds the lock | it is written down that it begins",
    "shim.begun": "shim: that is written down | the command is started",
    "stage.forked": "stage: the command is forked, where it is somebody else's | it is executed",
    "shim.started": "shim: the command runs | that is written down, unless it is over by then",
    "shim.noted": "shim: it is written down that the command runs | the daemon is told",
    "shim.reaped": "shim: the command and all below it have ended | that is written down",
    "shim.recorded": "shim: how it ended is written down | the daemon is told",
    "shim.told": "shim: the daemon is told how an attempt ended | it waits for the next one",
    "shim.gone": "daemon: it hears that a shim has ended | it looks how",
    "lost.swept": "daemon: what a dead shim left behind is ended | the attempt is known to be lost",
    "fact.heard": "daemon: it knows how an attempt went on | that is in the queue",
    "fact.committed": "daemon: how an attempt went on is in the queue | those who watch are told, the next is launched",
    "daemon.draining": "daemon: it stops, and takes no more requests | what it heard last is in the queue",
}

_folder = os.environ.get(ENVIRONMENT)


def point(name: str, where: object = "") -> None:
    """Come to a point; `where` tells one attempt from another."""
    if _folder is not None:
        _come_to(_folder, name, where)


def _come_to(folder: str, name: str, where: object) -> None:
    assert name in POINTS, name
    hit = os.path.join(folder, "hit", f"{name}.{os.getpid()}")
    try:
        os.rename(os.path.join(folder, "armed", name), hit)
    except FileNotFoundError:
        return
    with open(hit, "r+") as file:
        what, *words = file.read().split()
        file.write(f"\n{time.monotonic()} {os.getpid()} {where}\n")
    if what == "sleep":
        time.sleep(float(words[0]))
        return
    for pid in sorted(map(int, words), reverse=True):  # itself last
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid or os.getpid(), signal.SIGKILL)
