"""Whatever people and stages do, the lines hold exactly what may start."""

import json
import shutil
import sqlite3
from collections import Counter, namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from labsched.core.model import Began, Ended, Fact, JobSpec, Retry, StageSpec, Waiting
from labsched.core.plan import free_slots, plan
from labsched.core.states import OPEN, Outcome, State, job_state
from labsched.errors import LabschedError
from labsched.store import lines, tallies
from labsched.store.tables import attempts, dependencies, events, jobs, stages
from tests.store import worlds
from tests.store.replay import replay

which = st.integers(0, 5)  # of the jobs, or of the open attempts, that are there: the newest first
names = st.sampled_from(["a", "b", "c"])
needs = st.sampled_from(
    [{}, {"CPU": 1}, {"CPU": 2}, {"CPU": 3, "RAM": 1}, {"RAM": 1}, {"GPU": 1, "CPU": 1}, {"RAM": 0}]
)
stage_lists = st.lists(needs, min_size=1, max_size=2).map(
    lambda all_needs: tuple(
        StageSpec(f"s{i}", ("true",), each, "/", retry=Retry(2, wait=3.0) if i == 0 else None)
        for i, each in enumerate(all_needs)
    )
)
specs = st.builds(
    JobSpec,
    name=names,
    stages=stage_lists,
    key=st.sampled_from([*[None] * 6, "k"]),
    after=st.just(()) | st.lists(which | st.just("last"), max_size=2).map(tuple),
    priority=st.sampled_from([0, 0, 1]),
    hold=st.integers(0, 9).map(lambda n: n == 0),
    again=st.booleans(),
)
ends = st.sampled_from([None, *Outcome, Outcome.SUCCEEDED, Outcome.SUCCEEDED])


def moves(verb: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
    """A call of one of the lab's methods."""
    return st.tuples(st.just(verb), st.tuples(*arguments))


stories = st.lists(
    st.one_of(
        moves("submit", st.lists(specs, min_size=1, max_size=5), st.sampled_from(["ann", "bob"])),
        moves("submit", st.lists(specs, min_size=1, max_size=5), st.sampled_from(["ann", "bob"])),
        moves("cancel", which),
        moves("hold", which),
        moves("release", which),
        moves("retry", which, st.none() | st.sampled_from(["s0", "s1"])),
        moves("retry", which, st.none()),
        moves("change_a_pool", st.sampled_from(["RAM", "CPU"]), st.integers(2, 5), st.booleans()),
        moves("happen", which, ends, st.booleans()),
        moves("happen", which, ends, st.booleans()),
        moves("happen", which, ends, st.booleans()),
    ),
    min_size=20,
    max_size=30,
)


class Lab:
    """People and stages that do what they like. A refusal is fine: it changes nothing."""

    def __init__(self, queue: worlds.Queue) -> None:
        self.queue = queue
        queue.submit(worlds.job(name="a"))

    def submit(self, wanted: list[JobSpec], user: str) -> None:
        after = [tuple(self._job(n) if isinstance(n, int) else n for n in spec.after) for spec in wanted]
        jobs = [replace(spec, after=numbers) for spec, numbers in zip(wanted, after, strict=True)]
        self.queue.submit(*jobs, user=user)

    def cancel(self, n: int) -> None:
        self.queue.cancel(self._job(n))

    def hold(self, n: int) -> None:
        self.queue.hold(self._job(n))

    def release(self, n: int) -> None:
        self.queue.release(self._job(n))

    def retry(self, n: int, stage: str | None) -> None:
        self.queue.retry(self._job(n), stage)

    def change_a_pool(self, name: str, slots: int, paused: bool) -> None:
        self.queue.pool(name, slots, paused)

    def happen(self, n: int, end: Outcome | None, at_once: bool) -> None:
        """Let an attempt begin, or end; then start what may."""
        facts: list[Fact] = []
        found = list(self.queue.running().values())
        if found:
            attempt, now = found[-1 - n % len(found)], self.queue.now
            # What never began can only have failed to start, have been stopped before, or be lost.
            begins = attempt.state is State.RUNNING or end not in (Outcome.FAILED, Outcome.CANCELLED, Outcome.LOST)
            if not at_once or end in (None, Outcome.SKIPPED):
                facts.append(Began(attempt.id, now))
            if end not in (None, Outcome.SKIPPED):
                code = n if end is Outcome.FAILED and begins else None
                memory = code is not None and code % 2 == 0
                began = now if begins else None
                facts.append(Ended(attempt.id, now, end, began=began, exit_code=code, oom=memory))
        self._start(facts)

    def _start(self, facts: list[Fact]) -> None:
        self.queue.step(*facts, drain=True)
        free = free_slots(self.queue.do(lines.snapshot))
        for attempt in self.queue.step():
            for pool, n in attempt.slots.items():
                free[pool] -= n
                assert n == 0 or free[pool] >= 0

    def _job(self, n: int) -> int:
        count = self.queue.do(lambda c: c.execute(sa.select(sa.func.max(jobs.c.id))).scalar_one())
        return int(count - n % count)


class Seen:
    """All that is in the database, read at once."""

    def __init__(self, connection: sa.Connection) -> None:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)

        def rows(table: sa.Table) -> list[Any]:
            # Not through SQLAlchemy, which takes five times as long: this runs after every step.
            cursor = raw.execute(f"SELECT * FROM {table.name} ORDER BY rowid")
            row = namedtuple(table.name, [name for name, *_ in cursor.description])  # type: ignore[misc]
            return [row(*values) for values in cursor]

        self.stages = {row.id: row for row in rows(stages)}
        self.jobs = {row.id: row for row in rows(jobs)}
        self.edges = [(self.stages[row.stage_id], self.stages[row.on_stage_id]) for row in rows(dependencies)]
        self.attempts = rows(attempts)
        self.events = rows(events)
        self.snapshot = lines.snapshot(connection)
        self.lines = tallies.lines(connection)
        self.kinds = {job.uid: tallies.kinds(connection, job.uid) for job in self.jobs.values()}
        self.live = {job.uid: tallies.live_jobs(connection, job.uid) for job in self.jobs.values()}


def a_stage_stands_in_line_if_and_only_if_it_may_start(seen: Seen) -> None:
    unmet = {stage.id for stage, earlier in seen.edges if earlier.outcome != Outcome.SUCCEEDED}
    for row in seen.stages.values():
        owner = seen.jobs[row.job_id]
        may_start = row.state == State.WAITING and owner.held_by is None and row.id not in unmet
        may_start = may_start and row.not_before is None
        needs = lines.taken(json.loads(row.needs), row.alone, seen.snapshot.pools)
        assert row.line == (lines.line_text(owner.priority, owner.user, needs) if may_start else None), row
        assert row.not_before is None or row.state == State.WAITING


def an_open_stage_has_one_open_attempt_and_no_other_has_any(seen: Seen) -> None:
    count = Counter(row.stage_id for row in seen.attempts if row.ended_at is None)
    for row in seen.stages.values():
        assert count[row.id] == (row.state in OPEN), row
        assert (row.state == State.ENDED) == (row.outcome is not None) == (row.ended_at is not None), row


def nothing_waits_for_what_will_not_come(seen: Seen) -> None:
    for stage, earlier in seen.edges:
        assert stage.state != State.WAITING or earlier.outcome in (None, Outcome.SUCCEEDED), (stage, earlier)


def a_job_has_ended_as_its_stages_have(seen: Seen) -> None:
    for job in seen.jobs.values():
        own = sorted((row for row in seen.stages.values() if row.job_id == job.id), key=lambda row: row.position)
        state, outcome = job_state([(State(row.state), row.outcome and Outcome(row.outcome)) for row in own])
        ends = [row.ended_at for row in own]
        assert (job.outcome, job.ended_at) == ((outcome, max(ends)) if state is State.ENDED else (None, None))


def what_the_database_counts_is_true(seen: Seen) -> None:
    assert seen.lines == Counter(row.line for row in seen.stages.values() if row.line is not None)
    assert seen.kinds == {
        uid: len({(seen.jobs[row.job_id].priority, row.needs) for row in seen.stages.values()
                  if row.ended_at is None and seen.jobs[row.job_id].uid == uid})
        for uid in seen.live
    }  # fmt: skip
    live = Counter(job.uid for job in seen.jobs.values() if job.ended_at is None)
    assert {uid: seen.live[uid] for uid in seen.live} == {job.uid: live[job.uid] for job in seen.jobs.values()}


def no_two_live_jobs_have_one_key(seen: Seen) -> None:
    live = {row.job_id for row in seen.stages.values() if row.state != State.ENDED}
    keys = Counter(seen.jobs[job].key for job in live)
    assert all(count == 1 for key, count in keys.items() if key is not None), keys


def the_events_tell_it_all(seen: Seen) -> None:
    told = replay((e.kind, e.job_id, e.stage_id, e.user, json.loads(e.data)) for e in seen.events)
    assert told.held_by == {job.id: job.held_by for job in seen.jobs.values()}
    where = {(row.job_id, row.id): (row.state, row.outcome) for row in seen.stages.values()}
    assert told.moved == {place: at for place, at in where.items() if at != (State.WAITING, None)}
    assert told.pools == {pool.name: (pool.slots, pool.paused) for pool in seen.snapshot.pools.values()}


def the_plan_sees_enough_of_every_line(seen: Seen) -> None:
    owners = {row.id: seen.jobs[row.job_id] for row in seen.stages.values()}
    every = tuple(
        Waiting(
            row.id,
            row.job_id,
            owners[row.id].user,
            lines.taken(json.loads(row.needs), row.alone, seen.snapshot.pools),
            owners[row.id].priority,
        )
        for row in seen.stages.values()
        if row.line is not None
    )
    assert plan(seen.snapshot, 0.0) == plan(replace(seen.snapshot, waiting=every), 0.0)


CHECKS = (
    a_stage_stands_in_line_if_and_only_if_it_may_start,
    an_open_stage_has_one_open_attempt_and_no_other_has_any,
    nothing_waits_for_what_will_not_come,
    a_job_has_ended_as_its_stages_have,
    what_the_database_counts_is_true,
    no_two_live_jobs_have_one_key,
    the_events_tell_it_all,
    the_plan_sees_enough_of_every_line,
)


@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to look for a shorter story would take minutes
    suppress_health_check=list(HealthCheck),
)
@given(story=stories)
def test_whatever_happens_the_lines_hold_what_may_start(
    story: list[tuple[str, tuple[Any, ...]]], blank: Path, tmp_path: Path
) -> None:
    for file in tmp_path.iterdir():
        file.unlink()
    with worlds.queue(Path(shutil.copy(blank, tmp_path / "queue.db"))) as queue:
        lab = Lab(queue)
        for verb, arguments in story:
            try:
                getattr(lab, verb)(*arguments)
            except LabschedError as error:
                assert " " in str(error)
            seen = queue.do(Seen)
            for check in CHECKS:
                check(seen)
