"""labsched show: all about one job."""

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime

import click
from msgspec import UNSET

from labsched.cli import table, words
from labsched.cli.context import client, json_option, print_json, print_numbers, quiet_option, socket_option
from labsched.cli.types import ABOUT_JOB, JOB
from labsched.core import units
from labsched.core.states import State
from labsched.wire.messages import Attempt, Job, Retry, Stage

LABEL = 13  # cells of what stands before a value


@click.command(epilog=ABOUT_JOB)
@click.argument("name", type=JOB, metavar="JOB")
@click.option("--env", is_flag=True, help="Also the values of the environment (your own jobs only).")
@json_option
@quiet_option
@socket_option
def show(name: str, env: bool, as_json: bool, quiet: bool) -> None:
    """Show all about one job: its stages, their command lines and all attempts at them.

    \b
    Example:
      labsched show 430
      labsched show rat12/2024-03-10 --json | jq '.stages[].attempts[].exit_code'
      labsched show last --env
    """
    job = client().get("job", Job, ref=name, env=env)
    if as_json:
        print_json(job)
    elif quiet:
        print_numbers([job.id])
    else:
        table.write(render(job, datetime.now(UTC), table.use_colour()))


def render(job: Job, now: datetime, colour: bool = False) -> list[str]:
    """The lines of `labsched show` at this time."""
    held = job.held_by is not None and job.state != State.ENDED
    word = words.state_word(job.state, job.outcome, held)
    lines = [
        f"{table.paint(str(job.id), 'bold', colour)}  {table.clean(job.name)}  "
        + table.paint(word, words.state_colour(job.state, job.outcome), colour),
        _line("submitted", f"{_when(job.submitted, now)} by {job.user}"),
    ]
    if job.started is not None:
        lines.append(_line("started", _when(job.started, now)))
    if job.ended is not None:
        took = f", {units.duration((job.ended - job.started).total_seconds())} later" if job.started else ""
        lines.append(_line("ended", _when(job.ended, now) + took))
    if job.priority:
        lines.append(_line("priority", str(job.priority)))
    if held:
        lines.append(_line("held", f"by {job.held_by}: labsched release {job.id}"))
    if job.after:
        lines.append(_line("after", ", ".join(f"{number}" for number in job.after)))
    if job.report:
        lines.append(_line("report", job.report))
    for stage in job.stages:
        lines += ["", *_stage(stage, now, colour, job.hidden)]
    return [*lines, *_next(job)]


def _stage(stage: Stage, now: datetime, colour: bool, hidden: bool) -> list[str]:
    hue = words.state_colour(stage.state, stage.outcome)
    head = f"{words.mark(stage.state, stage.outcome)}{stage.name}  {words.state_word(stage.state, stage.outcome)}"
    live = [] if stage.progress is None else [f"{100 * stage.progress:.0f} %"]
    live += [stage.note] if stage.note else []
    live += [units.size(stage.memory)] if stage.memory else []
    lines = [table.paint(head, hue, colour)]
    lines += [_line("why", stage.why)] if stage.why else []
    lines += [_line("reason", stage.reason)] if stage.reason else []
    lines += [_line("progress" if stage.state != State.ENDED else "note", ", ".join(live))] if live else []
    lines.append(_line("command", " ".join(stage.argv) if hidden else shlex.join(stage.argv)))
    lines += [] if hidden else [_line("folder", stage.cwd)]
    lines.append(_line("needs", _slots(stage.needs, stage.up_to) or "nothing"))
    lines += [_line("time limit", units.duration(stage.time_limit))] if stage.time_limit is not None else []
    lines += _memory(stage)
    lines += [_line("retry", _retry(stage.retry))] if stage.retry is not None else []
    lines += [_line("output", path) for path in stage.outputs]
    if stage.env_values is UNSET:
        lines += [] if hidden else [_line("environment", ", ".join(stage.env) or "empty")]
    else:
        lines.append(_line("environment", ""))
        lines += [f"    {table.clean(f'{key}={value}')}" for key, value in sorted(stage.env_values.items())]
    for attempt in stage.attempts:
        lines += _attempt(attempt, now)
    return lines


def _slots(needs: Mapping[str, int], up_to: Mapping[str, int]) -> str:
    return ", ".join(f"{pool}={slots}" + (f"..{up_to[pool]}" if pool in up_to else "") for pool, slots in needs.items())


def _memory(stage: Stage) -> list[str]:
    if stage.memory_limit is None:
        return []
    lines = [_line("memory limit", units.size(stage.memory_limit))]
    if stage.unfenced:
        lines.append(_line("", f"not enforced by the kernel here, labsched watches it: {stage.unfenced}"))
    return lines


def _retry(retry: Retry) -> str:
    after = f" after exit code {', '.join(map(str, retry.codes))}" if retry.codes else ""
    return f"up to {words.count(retry.times, 'time')}{after}, first after {units.duration(retry.wait)}"


def _attempt(attempt: Attempt, now: datetime) -> list[str]:
    if attempt.ended is None:
        parts = ["running" if attempt.started else "starting"]
    else:
        parts = [words.state_word(State.ENDED, attempt.outcome)]
    parts += [f"exit code {attempt.exit_code}"] if attempt.exit_code is not None else []
    parts += [attempt.signal] if attempt.signal else []
    if attempt.started is not None:
        parts.append(f"from {_when(attempt.started, now)}")
        parts.append(f"for {units.duration(((attempt.ended or now) - attempt.started).total_seconds())}")
    parts += [f"peak memory {units.size(attempt.peak_memory)}"] if attempt.peak_memory is not None else []
    parts += [f"CPU time {units.duration(attempt.cpu_time)}"] if attempt.cpu_time is not None else []
    if attempt.bytes_read is not None and attempt.bytes_written is not None:
        parts.append(f"read {units.size(attempt.bytes_read)}, wrote {units.size(attempt.bytes_written)}")
    parts += [f"with {_slots(attempt.slots, {})}"] if attempt.slots else []
    parts += [f"process {attempt.pid}"] if attempt.pid is not None else []
    lines = [_line(f"attempt {attempt.number}", ", ".join(parts))]
    lines += [_line("", attempt.reason)] if attempt.reason else []
    return [*lines, _line("", attempt.log)]


def _next(job: Job) -> list[str]:
    if job.hidden:
        return ["", f"the rest of it is shown to {job.user}, and to admins"]
    tried = any(stage.attempts for stage in job.stages)
    ready = [f"labsched report {job.id}"] if job.report else []
    ready += [f"labsched logs {job.id}"] if tried else []
    if job.state != State.ENDED:
        ready.append(f"labsched cancel {job.id}")
    elif words.state_word(job.state, job.outcome) != "done":
        ready.append(f"labsched retry {job.id}")
    return ["", " · ".join(ready)] if ready else []


def _line(label: str, value: str) -> str:
    return f"  {label:<{LABEL}}{table.clean(value)}".rstrip()


def _when(when: datetime, now: datetime) -> str:
    return when.astimezone().strftime("%H:%M:%S") if _same_day(when, now) else words.moment(when, now)


def _same_day(one: datetime, other: datetime) -> bool:
    return one.astimezone().date() == other.astimezone().date()
