"""What a daemon that goes away in the middle means to those who wait for it."""

import subprocess
import sys
from pathlib import Path

import msgspec

from labsched.core.states import Outcome, State
from labsched.wire.messages import Job, JobRow, Waited
from tests.cli.canned import answering
from tests.cli.conftest import environment, eventually
from tests.cli.samples import JOB, ROWS

RUNNING: Job = msgspec.structs.replace(JOB, id=430, state=State.RUNNING, outcome=None)
DONE: JobRow = msgspec.structs.replace(ROWS[0], state=State.ENDED, outcome=Outcome.SUCCEEDED, why="")


def test_wait_goes_on_when_the_daemon_is_back(scratch: Path) -> None:
    words = [sys.executable, "-m", "labsched", "wait", "last"]
    with answering(scratch / "socket", {"job": RUNNING, "wait": Waited(False, (ROWS[0],))}) as asked:
        waiting = subprocess.Popen(words, env=environment(scratch), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        eventually(lambda: len(asked) >= 3)
    assert waiting.poll() is None
    with answering(scratch / "socket", {"wait": Waited(True, (DONE,))}) as asked:
        out, err = waiting.communicate(timeout=30)
    assert (waiting.returncode, out, err) == (0, b"430  rat12/2024-03-10  done\n", b"")
    assert all("jobs=430" in request for request in asked)


def test_the_time_is_up_also_while_nobody_answers(scratch: Path) -> None:
    words = [sys.executable, "-m", "labsched", "wait", "430", "--timeout", "1"]
    with answering(scratch / "socket", {"job": RUNNING, "wait": Waited(False, (ROWS[0],))}) as asked:
        waiting = subprocess.Popen(words, env=environment(scratch), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        eventually(lambda: len(asked) >= 2)
    assert waiting.communicate(timeout=30) == (b"", b"")
    assert waiting.returncode == 75
