"""Any command as a job of one stage, and many of them from a file of JSON lines."""

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from labsched.core.check import bad_memory, bad_retry
from labsched.core.spec import JobSpec, Retry, StageSpec
from labsched.core.units import parse_size
from labsched.errors import BadRequest
from labsched.recipes.environ import is_text

RECIPE = "command"
STAGE = "run"
NEEDS = {"CPU": 1}
MAX_NAME = 200  # characters of a job's name
MAX_SLOTS = 1_000_000
MAX_PRIORITY = 1_000_000
MAX_TIME = 10 * 365 * 86400.0
_POOL = re.compile(r"[A-Za-z][\w.-]{0,63}", re.ASCII)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_PARTS = re.compile(rf"((?:{_NUMBER})[smhdw])+", re.ASCII)
_PART = re.compile(rf"({_NUMBER})([smhdw])", re.ASCII)
_CLOCK = re.compile(r"(\d+):([0-5]\d)(?::([0-5]\d))?", re.ASCII)


class Slots(NamedTuple):
    """The slots that a command takes, and those that it can use of the same pools, where that is more."""

    needs: dict[str, int]
    up_to: dict[str, int]


class Again(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A line's `retry`, where it says more than how many times."""

    times: int
    wait: float | str = Retry(0).wait
    codes: tuple[int, ...] = ()
    alone: bool = True


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of a file for `add --from`: `time` in seconds, or text for `parse_time`; `memory` in bytes, or text for
    `parse_memory`."""

    argv: tuple[str, ...]
    needs: dict[str, int] | None = None
    up_to: dict[str, int] = msgspec.field(default_factory=dict)
    name: str | None = None
    after: int | str | tuple[int | str, ...] = ()
    cwd: str | None = None
    env: dict[str, str] = msgspec.field(default_factory=dict)
    time: float | str | None = None
    memory: int | str | None = None
    retry: int | Again | None = None
    priority: Annotated[int, msgspec.Meta(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    hold: bool = False
    not_before: str | None = None


def parse_needs(values: Iterable[str]) -> Slots:
    """``["CPU=4,GPU=1"]`` -> ``{"CPU": 4, "GPU": 1}``; a pool without a number is one slot; ``CPU=1..4`` is one slot,
    and up to four. Raises BadRequest."""
    needs: dict[str, int] = {}
    up_to: dict[str, int] = {}
    for word in (word.strip() for value in values for word in value.split(",")):
        pool, equals, number = (part.strip() for part in word.partition("="))
        least, dots, most = number.partition("..")
        if equals and not all(re.fullmatch(r"[0-9]{1,7}", part) for part in ((least, most) if dots else (least,))):
            raise BadRequest(f"{word!r} is not a need: it is POOL=SLOTS, such as CPU=4, CPU=4,GPU=1 or CPU=1..8")
        if pool in needs:
            raise BadRequest(f"pool {pool} is named twice: say once how many slots it takes")
        needs[pool] = int(least) if equals else 1
        if dots:
            up_to[pool] = int(most)
    return check_slots(needs, up_to)


def parse_codes(text: str) -> tuple[int, ...]:
    """``1,2`` -> ``(1, 2)``. Raises BadRequest."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdecimal() and 1 <= int(word) <= 255 for word in words):
        raise BadRequest(f"{text!r} are not exit codes: they are numbers from 1 to 255, with commas between")
    return tuple(map(int, words))


def check_slots(needs: dict[str, int], up_to: dict[str, int]) -> Slots:
    """These needs, if a pool may have such a name and such a number of slots; raises BadRequest otherwise."""
    for pool, slots in needs.items():
        if not _POOL.fullmatch(pool):
            raise BadRequest(f"{pool!r} is not a pool's name: it is a letter, then letters, digits and . _ -")
        if not 1 <= slots <= MAX_SLOTS:
            raise BadRequest(f"{pool}={slots} makes no sense: a need is one slot or more; leave out what is not needed")
    for pool, most in up_to.items():
        if not needs.get(pool, most + 1) <= most <= MAX_SLOTS:
            raise BadRequest(f"{pool}: up to {most} slots, of {needs.get(pool, 0)} that it needs: that makes no sense")
    return Slots(needs, up_to)


def parse_time(text: str) -> float:
    """``90``, ``90s``, ``15m``, ``8h``, ``2d``, ``1h30m``, ``8:00`` (hours), ``1:30:00`` -> seconds; or BadRequest."""
    word = text.strip().lower()
    if clock := _CLOCK.fullmatch(word):
        hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return check_time(hours * 3600.0 + minutes * 60 + seconds)
    if re.fullmatch(_NUMBER, word, re.ASCII):
        return check_time(float(word))
    if not _PARTS.fullmatch(word):
        raise BadRequest(f"{text!r} is not a time: it is 90 (seconds), 15m, 8h, 2d, 1h30m or 12:00:00")
    return check_time(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(word)))


def check_time(seconds: float) -> float:
    """These seconds, if a time limit can have them; raises BadRequest otherwise."""
    if not 0 < seconds <= MAX_TIME:
        raise BadRequest(f"a time of {seconds:g} s makes no sense: it is more than nothing, and less than ten years")
    return seconds


def parse_memory(text: str) -> int:
    """``500M``, ``12G``, ``12GiB`` -> bytes; raises BadRequest."""
    size = parse_size(text)
    if size is None:
        raise BadRequest(f"{text!r} is not a size of memory: it is 500M, 12G (12,000,000,000 bytes), 1.5T or 12GiB")
    return check_memory(size)


def check_memory(size: int) -> int:
    """These bytes, if a stage's memory can be limited to them; raises BadRequest otherwise."""
    if bad := bad_memory(size):
        raise BadRequest(bad)
    return size


def check_job_name(name: str) -> str:
    """This name, if a job can be told by it; raises BadRequest otherwise."""
    if not name.strip() or name != name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise BadRequest(f"{name[:60]!r} is not a job's name: it has 1 to {MAX_NAME} printable characters")
    if name.isdecimal() or name == "last":
        raise BadRequest(f"a job cannot be named {name}: that would mean another job")
    return name


def expand(
    argv: Sequence[str],
    *,
    cwd: str,
    needs: dict[str, int] | None = None,
    up_to: dict[str, int] | None = None,
    name: str | None = None,
    after: Sequence[int | str] = (),
    time_limit: float | None = None,
    extra: Mapping[str, str] | None = None,
    retry: Retry | None = None,
    memory: int | None = None,
    priority: int = 0,
    hold: bool = False,
    not_before: float | None = None,
) -> JobSpec:
    """A command as a job of one stage, `run`.

    `cwd` must be absolute; `extra` comes on top of the environment of whoever asks; `time_limit` is in seconds,
    `memory` in bytes, `not_before` in seconds since the epoch.
    Without a name a job is called like its command line. Raises BadRequest.
    """
    if not argv or not argv[0]:
        raise BadRequest("there is no command to run: give one after --")
    if bad := [number for number, word in enumerate(argv, 1) if not is_text(word)]:
        raise BadRequest(f"word {bad[0]} of the command is not UTF-8 text: it cannot be stored")
    if not is_text(cwd):
        raise BadRequest(f"the folder {cwd!r} is not UTF-8 text: run it from another folder")
    for key, value in (extra or {}).items():
        if not key or "=" in key or not is_text(key) or not is_text(value):
            raise BadRequest(f"{key!r} cannot be a variable of the environment")
    slots = check_slots(dict(NEEDS if needs is None else needs), up_to or {})
    stage = StageSpec(
        name=STAGE,
        argv=tuple(argv),
        needs=slots.needs,
        up_to=slots.up_to,
        cwd=cwd,
        time_limit=None if time_limit is None else check_time(time_limit),
        env=dict(extra or {}),
        retry=retry,
        memory=None if memory is None else check_memory(memory),
    )
    return JobSpec(
        name=called(argv) if name is None else check_job_name(name),
        recipe=RECIPE,
        stages=(stage,),
        after=tuple(after),
        priority=priority,
        hold=hold,
        not_before=not_before,
    )


def read_jobs(lines: Iterable[str], cwd: str) -> list[tuple[int, JobSpec]]:
    """Jobs from JSON lines, each with its line's number, and each after those of the file that it names in `after`.

    Blank lines and lines that start with # do not count; a relative `cwd` of a line starts at `cwd`. Raises
    BadRequest that names every bad line by its number.
    """
    jobs: dict[int, JobSpec] = {}
    bad: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            jobs[number] = _job(line, cwd)
        except BadRequest as error:
            bad.append(f"line {number}: {error}")
    if not bad:
        before = _edges(jobs, bad)
    if bad:
        raise BadRequest("\n".join(bad))
    return _in_order(jobs, before)


def _job(line: str, cwd: str) -> JobSpec:
    try:
        said = msgspec.json.decode(line, type=Line)
    except msgspec.ValidationError as error:
        if unknown := re.fullmatch(r"Object contains unknown field `(.*?)`(?: - at `\$`)?", str(error)):
            raise BadRequest(f"there is no key {unknown[1]}; known are {', '.join(Line.__struct_fields__)}") from None
        raise BadRequest(_in_words(str(error))) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadRequest(f"not a JSON object: {error}") from None
    after: tuple[Any, ...] = said.after if isinstance(said.after, tuple) else (said.after,)
    if any(isinstance(one, int) and not 1 <= one < 10**18 for one in after):
        raise BadRequest("after: a job's number is 1 or more")
    return expand(
        said.argv,
        cwd=os.path.join(cwd, said.cwd) if said.cwd else cwd,
        needs=said.needs,
        up_to=said.up_to,
        name=said.name,
        after=after,
        time_limit=parse_time(said.time) if isinstance(said.time, str) else said.time,
        extra=said.env,
        retry=_retry(said.retry),
        memory=parse_memory(said.memory) if isinstance(said.memory, str) else said.memory,
        priority=said.priority,
        hold=said.hold,
        not_before=_moment(said.not_before),
    )


def _edges(jobs: Mapping[int, JobSpec], bad: list[str]) -> dict[int, set[int]]:
    """By line: the lines of this file that it comes after. Names that are not in the file are the daemon's to find."""
    named: dict[str, list[int]] = {}
    for number, job in jobs.items():
        named.setdefault(job.name, []).append(number)
    before: dict[int, set[int]] = {number: set() for number in jobs}
    for number, job in jobs.items():
        for name in job.after:
            lines = named.get(name, []) if isinstance(name, str) else []
            if len(lines) > 1:
                bad.append(f"line {number}: after {name!r} could mean lines {', '.join(map(str, lines))}")
            before[number].update(lines)
    return before


def _in_order(jobs: Mapping[int, JobSpec], before: dict[int, set[int]]) -> list[tuple[int, JobSpec]]:
    from graphlib import CycleError, TopologicalSorter

    if all(max(lines, default=0) < number for number, lines in before.items()):
        return list(jobs.items())  # as almost every file is
    try:
        return [(number, jobs[number]) for number in TopologicalSorter(before).static_order()]
    except CycleError as error:
        round_trip = ", ".join(map(str, sorted(set(error.args[1]))))
        raise BadRequest(f"line {min(error.args[1])}: each of these lines comes after another: {round_trip}") from None


def called(argv: Sequence[str]) -> str:
    """The name of a job that was given none: its command line, as far as there is room."""
    line = " ".join(shlex.join(argv).split())
    line = "".join(ch if ch.isprintable() else "�" for ch in line)
    line = line if len(line) <= MAX_NAME else line[: MAX_NAME - 1] + "…"
    return f"{argv[0]} (command)" if line.isdecimal() or line == "last" else line


def _in_words(error: str) -> str:
    for said, meant in (("`object`", "a JSON object"), ("`array`", "a list"), ("`str`", "text"), ("`int`", "a number")):
        error = error.replace(said, meant)
    what, _, where = error.partition(" - at `$")
    where = where.strip("`.")
    return f"{where}: {what[:1].lower()}{what[1:]}" if where else what[:1].lower() + what[1:]


def _moment(said: str | None) -> float | None:
    if said is None:
        return None
    from datetime import datetime

    from labsched.recipes.moment import parse_moment  # which needs `parse_time`, and few lines say one

    return parse_moment(said, datetime.now().astimezone())


def _retry(said: int | Again | None) -> Retry | None:
    if said is None or said == 0:
        return None
    if isinstance(said, int):
        return check_retry(Retry(said))
    wait = parse_time(said.wait) if isinstance(said.wait, str) else said.wait
    return check_retry(Retry(said.times, wait, said.codes, said.alone))


def check_retry(policy: Retry) -> Retry:
    """This policy, if a stage can have it; raises BadRequest otherwise."""
    if bad := bad_retry(policy):
        raise BadRequest(f"this retry makes no sense: {bad}")
    return policy
