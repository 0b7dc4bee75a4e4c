"""All that is known after a story: the stages' journal, the queue, what people were told, what was done to whom."""

import json
import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from labsched.core.model import JobSpec
from labsched.engines import rundir
from labsched.wire.messages import Event, Job
from tests.chaos.havoc import Done
from tests.chaos.people import Said

Key = tuple[int, str, int]
"""An attempt: job, stage, number."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be: what, and of which job (0: of none)."""

    what: str
    job: int = 0

    def __str__(self) -> str:
        return f"job {self.job}: {self.what}" if self.job else self.what


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the journal."""

    what: str
    job: int
    stage: str
    attempt: int
    pid: int
    t: float
    code: int | None = None
    lines: int | None = None

    @property
    def key(self) -> Key:
        return self.job, self.stage, self.attempt


@dataclass(slots=True)
class Run:
    """An attempt, as the journal has it."""

    key: Key
    lines: list[Line]

    def of(self, what: str) -> list[Line]:
        return [line for line in self.lines if line.what == what]

    @property
    def begin(self) -> float:
        return self.lines[0].t

    @property
    def last(self) -> float:
        """When something of it was last seen alive."""
        return max(line.t for line in self.lines)

    @property
    def code(self) -> int | None:
        """The exit code that the command meant to end with; None where it did not get there."""
        ends = self.of("end")
        return ends[-1].code if ends else None

    @property
    def end(self) -> float | None:
        ends = self.of("end")
        return ends[-1].t if ends else None

    @property
    def logged(self) -> int:
        """How many lines it had written to its log, at least."""
        return max((line.lines or 0 for line in self.lines), default=0)


@dataclass
class Evidence:
    """See the module."""

    journal: list[Line]
    said: list[Said]
    done: list[Done]
    clock: list[tuple[float, float]]
    jobs: dict[int, Job]  # as the daemon tells of them at the end
    logs: dict[Key, bytes]
    heard: list[Event]
    rows: dict[str, list[dict[str, Any]]]  # the tables of the queue
    exits: dict[str, dict[str, Any] | None] = field(default_factory=dict)  # the ends in the records, by JOB/STAGE.N

    @cached_property
    def runs(self) -> dict[Key, Run]:
        """The journal by attempt."""
        found: dict[Key, list[Line]] = defaultdict(list)
        for line in self.journal:
            found[line.key].append(line)
        return {key: Run(key, sorted(lines, key=lambda line: line.t)) for key, lines in found.items()}

    @cached_property
    def stages(self) -> dict[int, dict[str, Any]]:
        return {row["id"]: row for row in self.rows["stages"]}

    @cached_property
    def attempts(self) -> dict[Key, dict[str, Any]]:
        """The queue's attempts."""
        stages = self.stages
        return {
            (stages[row["stage_id"]]["job_id"], stages[row["stage_id"]]["name"], row["number"]): row
            for row in self.rows["attempts"]
        }

    @cached_property
    def kills(self) -> dict[str, list[Done]]:
        """What was killed of each attempt (JOB/STAGE.N)."""
        found: dict[str, list[Done]] = defaultdict(list)
        for one in self.done:
            if one.what == "kill" and one.attempt:
                found[one.attempt].append(one)
        return found

    @cached_property
    def reboots(self) -> list[tuple[float, float]]:
        """When each began and ended."""
        times = [one.t for one in self.done if one.what == "reboot"]
        return list(zip(times[::2], times[1::2], strict=False))

    @property
    def acknowledged(self) -> list[tuple[int, JobSpec]]:
        """The jobs whose numbers somebody was told."""
        return [pair for said in self.answers("submit") for pair in zip(said.numbers, said.jobs, strict=False)]

    def answers(self, *what: str, said: str | None = None) -> list[Said]:
        return [one for one in self.said if one.what in what and said in (None, one.answer)]


def read_journal(path: Path) -> list[Line]:
    """The stages' own words."""
    if not path.exists():
        return []
    lines = [Line(**json.loads(text)) for text in path.read_text().splitlines()]
    return sorted(lines, key=lambda line: line.t)


def read_tables(queue: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of the queue, JSON decoded."""
    tables: dict[str, list[dict[str, Any]]] = {}
    with closing(sqlite3.connect(f"file:{queue}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        for name in ("jobs", "stages", "dependencies", "attempts", "pools", "events", "environments"):
            tables[name] = [dict(row) for row in connection.execute(f"SELECT * FROM {name} ORDER BY rowid")]
    for name, columns in {
        "stages": ("argv", "env", "outputs", "needs", "up_to", "retry"),
        "attempts": ("slots",),
        "events": ("data",),
        "environments": ("variables",),
    }.items():
        for row in tables[name]:
            for column in columns:
                row[column] = json.loads(row[column]) if row[column] is not None else None
    return tables


def read_exits(attempts: Path) -> dict[str, dict[str, Any] | None]:
    """What the shims wrote last."""
    return {f"{folder.parent.name}/{folder.name}": rundir.record(str(folder)).ended for folder in attempts.glob("*/*")}


def name_of(key: Key) -> str:
    """As the folder of an attempt is called."""
    return f"{key[0]}/{key[1]}.{key[2]}"
