"""What a stage of a chaos job does: it keeps a journal of its own, whatever the daemon believes.

Run as ``python -I -S stage.py JOURNAL PLAN``. Each line of the journal is one write, so none is ever mixed with
another: JSON with `what` (begin, tick, asked, end, ghost), job, stage, attempt, pid, `t` (CLOCK_MONOTONIC, seconds).
PLAN is JSON: `codes`, the exit code of each attempt (the last holds for the rest); `seconds`; `lines` of the log;
`kind` (plain; polite, deaf: what it does with TERM; hang); `below`: what it leaves running (see `leave_behind`).
"""

import errno
import fcntl
import json
import os
import signal
import sys
import time

TICK_S = 0.05


def main() -> None:
    journal, plan = sys.argv[1], json.loads(sys.argv[2])
    job, stage, attempt = (os.environ[f"LABSCHED_{name}"] for name in ("JOB", "STAGE", "ATTEMPT"))
    fd = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    me = {"job": int(job), "stage": stage, "attempt": int(attempt)}

    def note(what: str, **more: object) -> None:
        line = {"what": what, **me, "pid": os.getpid(), "t": time.monotonic(), **more}
        os.write(fd, json.dumps(line).encode() + b"\n")

    note("begin")
    # Held by the whole tree, and given back by the kernel when the last of it is gone.
    guard = os.open(f"{journal}.{job}.{stage}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note("ghost")
    code = plan["codes"][min(int(attempt), len(plan["codes"])) - 1]
    if plan["kind"] == "polite":

        def asked(*_: object) -> None:
            note("end", code=9)
            os._exit(9)

        signal.signal(signal.SIGTERM, asked)
    elif plan["kind"] == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    leave_behind(plan["below"], note)
    end = time.monotonic() + (3600.0 if plan["kind"] == "hang" else plan["seconds"])
    for number in range(plan["lines"]):
        say(f"{job} {stage} {attempt} {number}\n".encode())
        note("tick", lines=number + 1)
        time.sleep(max(min((end - time.monotonic()) / (plan["lines"] - number), TICK_S), 0.0))
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, TICK_S))
        note("tick", lines=plan["lines"])
    note("end", code=code)
    os._exit(code)


def say(line: bytes) -> None:
    """Write it to the log, all of it, as soon as there is room."""
    while line:
        try:
            line = line[os.write(1, line) :]
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            time.sleep(TICK_S)


def leave_behind(how: str, note) -> None:  # type: ignore[no-untyped-def]
    """`child`; `session`: one that left the session; `daemon`: and its parent is gone; `exec`: as that, and it executes
    another program; `deaf`: as a daemon, and ignores TERM."""
    if how == "none" or os.fork():
        return
    if how != "child":
        os.setsid()
    if how in ("daemon", "exec", "deaf") and os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if how == "deaf" else signal.SIG_DFL)
    for fd in range(3, 10):
        try:
            os.set_inheritable(fd, True)
        except OSError:
            break
    if how == "exec":
        os.execv("/bin/sleep", ["sleep", "3600"])
    while True:
        time.sleep(TICK_S)
        note("tick")


main()
