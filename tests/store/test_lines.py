"""Whatever people and stages do, the lines hold exactly what may start."""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from labsched.core.model import Began, Ended, JobSpec, StageSpec, Waiting
from labsched.core.plan import free_slots, plan
from labsched.core.states import MOVES, OPEN, Move, Outcome, State
from labsched.errors import LabschedError
from labsched.store import lines
from labsched.store.find import find_job
from labsched.store.tables import attempts, dependencies, events, jobs, stages
from tests.store import worlds

users = st.sampled_from(["ann", "bob"])
needs = st.sampled_from(
    [{}, {"CPU": 1}, {"CPU": 3, "RAM": 1}, {"CPU": 2}, {"RAM": 1}, {"GPU": 1, "CPU": 1}, {"RAM": 0}]
)
numbers = st.integers(1, 12)
words = st.sampled_from(["a", "b", "c", "last"])
refs = numbers.map(str) | words


@st.composite
def specs(draw: st.DrawFn) -> JobSpec:
    """A job that may come after others, by number, or by a name that may be in the same request."""
    return JobSpec(
        name=draw(st.sampled_from(["a", "b", "c"])),
        stages=tuple(StageSpec(f"s{i}", ("true",), draw(needs), "/") for i in range(draw(st.integers(1, 3)))),
        key=draw(st.none() | st.sampled_from(["k", "l"])),
        after=tuple(draw(st.lists(numbers | words, max_size=2))),
        priority=draw(st.integers(0, 1)),
        hold=draw(st.integers(0, 4)) == 0,
        again=draw(st.booleans()),
    )


class Lab(RuleBasedStateMachine):
    """People and stages doing what they like; refusals are fine as long as they change nothing."""

    blank: Path

    @initialize()
    def open(self) -> None:
        self.folder = TemporaryDirectory()
        self.queue = worlds.Queue(Path(shutil.copy(self.blank, self.folder.name)))

    def teardown(self) -> None:
        self.queue.close()
        self.folder.cleanup()

    @rule(wanted=st.lists(specs(), min_size=1, max_size=3), user=users)
    def submit(self, wanted: list[JobSpec], user: str) -> None:
        self._try(lambda: self.queue.submit(*wanted, user=user))

    @rule(ref=refs)
    def cancel(self, ref: str) -> None:
        self._try(lambda: self.queue.cancel(self._job(ref)))

    @rule(ref=refs)
    def hold(self, ref: str) -> None:
        self._try(lambda: self.queue.hold(self._job(ref)))

    @rule(ref=refs)
    def release(self, ref: str) -> None:
        self._try(lambda: self.queue.release(self._job(ref)))

    @rule(ref=refs, stage=st.none() | st.sampled_from(["s0", "s1"]))
    def retry(self, ref: str, stage: str | None) -> None:
        self._try(lambda: self.queue.retry(self._job(ref), stage))

    @rule(
        name=st.sampled_from(list(worlds.POOLS)), slots=st.none() | st.integers(0, 4), paused=st.none() | st.booleans()
    )
    def change_a_pool(self, name: str, slots: int | None, paused: bool | None) -> None:
        self.queue.pool(name, slots, paused)

    @rule()
    def start_what_may(self) -> None:
        before = free_slots(self.queue.do(lines.snapshot))
        for attempt in self.queue.step():
            for pool, n in attempt.needs.items():
                before[pool] -= n
                assert n == 0 or before[pool] >= 0

    @rule(data=st.data(), drain=st.booleans())
    @precondition(lambda self: self.queue.running())
    def something_happens(self, data: st.DataObject, drain: bool) -> None:
        attempt = data.draw(st.sampled_from(list(self.queue.running().values())))
        now = self.queue.now
        began = Began(attempt.id, now)
        ends = [Ended(attempt.id, now, how, began=now) for how in Outcome if how is not Outcome.SKIPPED]
        if attempt.state is State.STARTING:  # it may also never have begun
            ends += [Ended(attempt.id, now, how) for how in (Outcome.FAILED, Outcome.CANCELLED, Outcome.LOST)]
        facts = data.draw(st.lists(st.sampled_from([began, *ends]), min_size=1, max_size=2))
        self.queue.step(*facts, drain=drain)

    def _job(self, ref: str) -> int:
        return int(self.queue.do(find_job, ref).id)

    def _try(self, what: Callable[[], object]) -> None:
        try:
            what()
        except LabschedError as error:
            assert " " in str(error)

    @invariant()
    def all_is_well(self) -> None:
        seen = self.queue.do(Seen)
        for check in CHECKS:
            check(seen)


class Seen:
    """All that is in the database, read at once."""

    def __init__(self, connection: sa.Connection) -> None:
        def rows(table: sa.Table) -> list[sa.Row[Any]]:
            return list(connection.execute(sa.select(table).order_by(*table.primary_key)))

        self.stages = {row.id: row for row in rows(stages)}
        self.jobs = {row.id: row for row in rows(jobs)}
        self.edges = [(self.stages[row.stage_id], self.stages[row.on_stage_id]) for row in rows(dependencies)]
        self.attempts = rows(attempts)
        self.events = rows(events)
        self.snapshot = lines.snapshot(connection)


def a_stage_stands_in_line_if_and_only_if_it_may_start(seen: Seen) -> None:
    unmet = {stage.id for stage, earlier in seen.edges if earlier.outcome != Outcome.SUCCEEDED}
    for row in seen.stages.values():
        owner = seen.jobs[row.job_id]
        may_start = row.state == State.WAITING and owner.held_by is None and row.id not in unmet
        assert row.line == (lines.line_text(owner.priority, owner.user, row.needs) if may_start else None), row


def an_open_stage_has_one_open_attempt_and_no_other_has_any(seen: Seen) -> None:
    count = Counter(row.stage_id for row in seen.attempts if row.ended_at is None)
    for row in seen.stages.values():
        assert count[row.id] == (row.state in OPEN), row
        assert (row.state == State.ENDED) == (row.outcome is not None) == (row.ended_at is not None), row


def nothing_waits_for_what_will_not_come(seen: Seen) -> None:
    for stage, earlier in seen.edges:
        assert stage.state != State.WAITING or earlier.outcome in (None, Outcome.SUCCEEDED), (stage, earlier)


def no_two_live_jobs_have_one_key(seen: Seen) -> None:
    live = {row.job_id for row in seen.stages.values() if row.state != State.ENDED}
    keys = Counter(seen.jobs[job].key for job in live)
    assert all(count == 1 for key, count in keys.items() if key is not None), keys


def the_events_tell_of_every_move(seen: Seen) -> None:
    told = dict.fromkeys(seen.stages, State.WAITING)
    for event in seen.events:
        if event.stage_id is not None:
            old, new = MOVES[Move(event.data["move"])]
            assert told[event.stage_id] == old
            told[event.stage_id] = new
    assert told == {row.id: row.state for row in seen.stages.values()}


def the_plan_sees_enough_of_every_line(seen: Seen) -> None:
    owners = {row.id: seen.jobs[row.job_id] for row in seen.stages.values()}
    every = tuple(
        Waiting(row.id, row.job_id, owners[row.id].user, row.needs, owners[row.id].priority)
        for row in seen.stages.values()
        if row.line is not None
    )
    assert plan(seen.snapshot, 0.0) == plan(replace(seen.snapshot, waiting=every), 0.0)


CHECKS = (
    a_stage_stands_in_line_if_and_only_if_it_may_start,
    an_open_stage_has_one_open_attempt_and_no_other_has_any,
    nothing_waits_for_what_will_not_come,
    no_two_live_jobs_have_one_key,
    the_events_tell_of_every_move,
    the_plan_sees_enough_of_every_line,
)


def test_whatever_happens_the_lines_hold_what_may_start(blank: Path) -> None:
    Lab.blank = blank
    run_state_machine_as_test(
        Lab,
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
