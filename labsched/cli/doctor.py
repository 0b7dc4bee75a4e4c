"""labsched doctor: is everything there, and what to do where it is not."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from labsched import __version__
from labsched import config as configuration
from labsched.cli import table, words
from labsched.cli.context import client, json_option, print_json, quiet_option, socket_option
from labsched.errors import Forbidden, LabschedError, NoDaemon
from labsched.paths import config_file
from labsched.recipes import folders
from labsched.wire.client import Client
from labsched.wire.messages import Daemon, Doctor, Finding

KLUSTA_PATIENCE = 60.0  # seconds: the first import compiles
KLUSTA = "from labsched.ephys.klusta import compat; compat.apply(); import klusta.launch; print(klusta.__version__)"
PATIENCE = 3600.0  # seconds: a large queue takes its time
HUES = {"ok": "green", "note": "dim", "warning": "yellow", "problem": "red"}


@click.command()
@click.option("--full", is_flag=True, help="Look at every row of the queue and every attempt's folder.")
@click.option("--config", metavar="FILE", help="Where no daemon runs: the configuration to look at.")
@click.option("--state", metavar="DIR", help="Where no daemon runs: the state folder to look at.")
@json_option
@quiet_option
@socket_option
def doctor(full: bool, config: str | None, state: str | None, as_json: bool, quiet: bool) -> int:
    """Check the installation: daemon, configuration, klusta, queue, folders, permissions and disk; and say what to do.

    The exit code is 1 if there is a problem. With -q it prints only how many there are.

    \b
    Example:
      labsched doctor
      labsched doctor --full
      labsched doctor --config lab.toml
    """
    findings = tuple(examine(client(), config, state, full))
    problems = sum(finding.level == "problem" for finding in findings)
    if as_json:
        print_json(Doctor(findings))
    elif quiet:
        click.echo(problems)
    else:
        table.write(line for finding in findings for line in _lines(finding))
        table.write(["", f"{words.count(problems, 'problem')}" if problems else "no problem"])
    return 1 if problems else 0


def examine(ask: Client, config: str | None, state: str | None = None, full: bool = False) -> Iterator[Finding]:
    """All that can be found out, one after the other."""
    yield Finding(level="ok", what=f"labsched {__version__}, Python {sys.version.split()[0]} ({sys.executable})")
    daemon: Daemon | None = None
    try:
        daemon = ask.get("daemon", Daemon)
    except NoDaemon as error:
        yield Finding(level="problem", what=str(error).partition(";")[0], mend="start it: labsched daemon")
    except LabschedError as error:
        mend = "ask for membership of its group" if isinstance(error, Forbidden) else "see the daemon's log"
        yield Finding(level="problem", what=str(error), mend=mend)
    if daemon is None:
        try:
            file = config_file(config)
            sort: dict[str, Any] = _mapping(configuration.load(file).sort)
        except LabschedError as error:
            yield Finding(level="problem", what=str(error), mend="correct the file")
            return
        yield Finding(level="ok", what=f"configuration: {file}" if file else "configuration: none, so the defaults")
        python = sys.executable
    else:
        yield from _daemon(ask, daemon)
        found = daemon.settings.get("sort")
        sort, python = found if isinstance(found, dict) else {}, daemon.python
    yield _klusta(python)
    yield from _probe(sort.get("probe"))
    if daemon is None or daemon.as_submitter:
        yield from (Finding(level=level, what=what, mend=remedy) for level, what, remedy in folders.examine(sort))
    if daemon is None:
        yield from _state(state, full)
    else:
        try:
            yield from ask.get("doctor", Doctor, timeout=PATIENCE, full=full).findings
        except LabschedError as error:
            yield Finding(level="problem", what=f"the daemon cannot examine itself: {error}", mend="see its log")


def _state(state: str | None, full: bool) -> Iterator[Finding]:
    """What the daemon would say of its state folder."""
    import time

    from labsched.daemon.examine import examine
    from labsched.paths import state_folder

    return examine(state_folder(state), full, time.time())


def _mapping(sort: configuration.Sort) -> dict[str, Any]:
    import msgspec

    return dict(msgspec.structs.asdict(sort))


def _daemon(ask: Client, daemon: Daemon) -> Iterator[Finding]:
    yield Finding(level="ok", what=f"a daemon answers on {ask.path} (process {daemon.pid}, as {daemon.user})")
    if daemon.version != __version__:
        yield Finding(
            level="problem",
            what=f"the daemon is labsched {daemon.version}, this command {__version__}",
            mend="restart the daemon: stages that run go on",
        )
    yield Finding(level="ok", what=f"configuration: {daemon.config or 'none, so the defaults'}")


def _klusta(python: str) -> Finding:
    """Whether the interpreter of the stages can import klusta, for real."""
    mend = "install klusta and klustakwik2 there, as the README says: make venv, or make install"
    try:
        done = subprocess.run(
            [python, "-W", "ignore", "-c", KLUSTA],
            capture_output=True,
            text=True,
            timeout=KLUSTA_PATIENCE,
            stdin=subprocess.DEVNULL,
            cwd="/",
        )
    except OSError as error:
        return Finding(level="problem", what=f"cannot run {python}: {error.strerror}", mend="install labsched again")
    except subprocess.TimeoutExpired:
        return Finding(level="problem", what=f"{python} does not import klusta in {KLUSTA_PATIENCE:.0f} s", mend=mend)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        return Finding(level="problem", what=f"klusta cannot be imported by {python}: {why}", mend=mend)
    return Finding(level="ok", what=f"klusta {done.stdout.strip()} works in {python}")


def _probe(probe: object) -> Iterator[Finding]:
    if not isinstance(probe, str):
        yield Finding(
            level="warning",
            what="no probe is configured: all channels of a block are taken for one shank",
            mend="set probe in [sort] to your rig file, or give --probe with each block",
        )
        return
    try:
        from labsched.ephys.errors import EphysError
        from labsched.ephys.probes.files import load
    except ImportError as error:
        yield Finding(level="problem", what=f"labsched.ephys is not whole: {error}", mend="install labsched again")
        return
    try:
        load(probe, Path("/"))
    except (EphysError, OSError) as error:
        yield Finding(level="problem", what=f"the probe cannot be used: {error}", mend="correct probe in [sort]")
    else:
        yield Finding(level="ok", what=f"probe: {probe}")


def _lines(finding: Finding) -> list[str]:
    colour = table.use_colour()
    label = table.paint(f"{finding.level:<8}", HUES.get(finding.level), colour)
    lines = [f"{label} {table.clean(finding.what)}"]
    return lines if finding.mend is None else [*lines, f"         → {table.clean(finding.mend)}"]
