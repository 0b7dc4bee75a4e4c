"""Where the results of a job are: what the verbs need that look at a sorted block."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from labsched.core.states import Outcome, State
from labsched.errors import BadRequest, LabschedError, Refused
from labsched.wire.messages import Job

DONE = ".sorting.json"  # ends the name of what a sort leaves last


class Results(NamedTuple):
    """The folder of a sorted block's results, and its name in there."""

    folder: Path
    name: str


def of(job: Job) -> Results:
    """The results of a job that has sorted a block; raises Refused where it has not, or not yet."""
    if job.hidden:
        raise Refused(f"job {job.id} is {job.user}'s: its results are shown to {job.user} and to admins")
    outputs = [path for stage in job.stages for path in stage.outputs if path.endswith(DONE)]
    if not outputs:
        raise Refused(f"job {job.id} ({job.name}) sorts no block: give one that labsched submit has queued")
    if job.state != State.ENDED:
        raise Refused(f"job {job.id} ({job.name}) has not finished: labsched wait {job.id}, then try again")
    done = Path(outputs[-1])
    if job.outcome != Outcome.SUCCEEDED:
        raise Refused(f"job {job.id} ({job.name}) did not succeed: labsched logs {job.id} says why")
    if not done.exists():
        raise Refused(f"the results of job {job.id} are gone: there is no {done}")
    return Results(done.parent, done.name.removesuffix(DONE))


def ephys(name: str, *words: str) -> str:
    """What ``python -m labsched.ephys WORDS`` printed, in a process of its own. Raises its sentence."""
    argv: Sequence[str] = [sys.executable, "-m", "labsched.ephys", *words]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        sentence = last.removeprefix("error: ") or f"it ended with exit code {done.returncode}"
        raise (BadRequest if done.returncode == 2 else LabschedError)(f"{name}: {sentence}")
    return done.stdout
