"""labsched report: the page about what was made of a block."""

import os
import subprocess
import sys
from pathlib import Path

import click

from labsched.cli import table
from labsched.cli.context import client, json_option, print_json, socket_option
from labsched.cli.types import ABOUT_JOB, JOB
from labsched.core.states import State
from labsched.errors import BadRequest, LabschedError, NotFound, Refused, TryLater
from labsched.recipes import results
from labsched.wire.messages import Job, Reported


@click.command(epilog=ABOUT_JOB)
@click.argument("name", type=JOB, metavar="JOB")
@click.option("--print", "only_print", is_flag=True, help="Print where it is, and open nothing.")
@click.option("--again", is_flag=True, help="Make it anew first, from the results as they are now.")
@json_option
@socket_option
def report(name: str, only_print: bool, again: bool, as_json: bool) -> None:
    """Open the report on a sorted block: one page with its probe, signal, units and their quality.

    It opens in a browser where there is a display; its path is printed in any case. With --json nothing is opened. The
    exit code is 75 while the job has not ended, and 4 where it has no report.

    \b
    Example:
      labsched report rat12/2024-03-10
      labsched report last --again
      scp "server:$(labsched report 430 --print)" .
    """
    job = client().get("job", Job, ref=name)
    path = made_by(job)
    if again:
        _make(job, path)
    else:
        _look(job, path)
    opened = not (only_print or as_json) and _open(path)
    if as_json:
        print_json(Reported(job.id, job.name, path, opened))
    else:
        table.write([table.clean(path)])


def made_by(job: Job) -> str:
    """Where the report of a job is (or was). Raises LabschedError where it cannot have one."""
    if job.hidden:
        raise Refused(f"what job {job.id} has made is shown to {job.user} and to admins: ask them for its report")
    if job.report:
        return job.report
    if job.recipe != results.RECIPE:
        raise NotFound(f"job {job.id} is a command, not a block: only sorted blocks have a report")
    if job.state != State.ENDED:
        raise TryLater(f"job {job.id} has not ended, and its report comes last: labsched wait {job.id}")
    raise NotFound(f"job {job.id} did not succeed, so it has no report: labsched logs {job.id} says why")


def _look(job: Job, path: str) -> None:
    try:
        Path(path).stat()
    except PermissionError:
        raise Refused(f"you may not read {path}: ask {job.user} for it") from None
    except OSError:
        raise NotFound(f"there is no {path}: labsched report {job.id} --again makes it") from None


def _make(job: Job, path: str) -> None:
    """Make it by a process of its own: what computes is loaded there."""
    folder, name = results.block(path)
    argv = [sys.executable, "-m", "labsched.ephys", "report", folder, "--name", name, "--json"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        sentence = last.removeprefix("error: ") or f"it ended with exit code {done.returncode}"
        raise (BadRequest if done.returncode == 2 else LabschedError)(f"no report of job {job.id}: {sentence}")


def _open(path: str) -> bool:
    """Have a browser show it, where there is a display; whether one was found."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    import webbrowser

    return webbrowser.open(Path(path).as_uri())
