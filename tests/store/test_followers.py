"""Stages that are opened behind others of their line: which, and that no pool is ever over its slots for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labsched.core.model import Ended, JobSpec, Retry, Returned, StageSpec
from labsched.core.states import Outcome, State
from labsched.store import followers
from labsched.store.attempts import NOT_BEGUN, Open
from labsched.store.tables import attempts, events
from tests.store import worlds
from tests.store.worlds import FAILED, OK, job


@pytest.fixture
def queue(tmp_path: Path, blank: Path) -> Iterator[worlds.Queue]:
    path = tmp_path / "queue.db"
    path.write_bytes(blank.read_bytes())
    with worlds.queue(path, {"CPU": 2, "GPU": 1}) as it:
        yield it


def quick(queue: worlds.Queue, attempt: Open, outcome: Outcome = OK, seconds: float = 0.001) -> Ended:
    now = queue.now
    return Ended(attempt.id, now, outcome, began=now - seconds, exit_code=int(outcome is not OK))


def holders(queue: worlds.Queue) -> list[str]:
    """What has slots, by the queue's own books."""
    return sorted(name for name, one in queue.running().items() if one.behind is None)


def test_what_ends_at_once_is_followed_by_its_line_alternately_and_in_order(queue: worlds.Queue) -> None:
    queue.submit(*[job() for _ in range(30)])
    first, second = queue.step()
    opened = queue.step(quick(queue, first))
    assert [one.behind for one in opened[:1]] == [None]
    third, rest = opened[0], opened[1:]
    assert len(rest) == 2 * followers.MOST
    assert worlds.names(opened) == [f"{n}.run" for n in (3, *range(4, 20, 2), *range(5, 20, 2))]
    assert [one.behind for one in rest] == [
        *(second.id, *(one.id for one in rest[: followers.MOST - 1])),
        *(third.id, *(one.id for one in rest[followers.MOST : -1])),
    ]
    assert holders(queue) == ["2.run", "3.run"]
    more = queue.step(quick(queue, second), quick(queue, rest[0]))
    assert [one.behind for one in more] == [rest[followers.MOST - 1].id, more[0].id]  # it has lost two
    assert holders(queue) == ["3.run", f"{rest[1].job}.run"]
    told = queue.rows(events.select().where(events.c.stage_id == rest[0].stage).order_by(events.c.id))
    assert [(row.kind, row.data.get("behind")) for row in told] == [
        *(("stage.starting", second.stage), ("stage.running", None), ("stage.succeeded", None)),
    ]


@pytest.mark.parametrize("seconds", [followers.QUICK_S, 5.0])
def test_what_takes_its_time_is_not(queue: worlds.Queue, seconds: float) -> None:
    queue.submit(*[job() for _ in range(10)])
    first, _ = queue.step()
    assert len(queue.step(quick(queue, first, seconds=seconds))) == 1


def test_nothing_follows_where_others_want_the_pool_or_it_is_paused_or_over_full(queue: worlds.Queue) -> None:
    queue.submit(*[job() for _ in range(30)])
    first, _ = queue.step()
    queue.pool("CPU", paused=True)
    assert queue.step(quick(queue, first)) == []
    queue.pool("CPU", slots=3, paused=False)
    third, _ = queue.step()
    queue.pool("CPU", slots=1)
    assert queue.step(quick(queue, third)) == []  # two are there yet
    queue.pool("CPU", slots=3)
    [fourth] = queue.step()
    other, _ = queue.submit(job(), job(), user="bob")
    assert worlds.names(queue.step(quick(queue, fourth))) == [f"{other}.run"]  # whoever holds less goes first


def test_what_was_tried_before_is_waited_for(queue: worlds.Queue) -> None:
    tried = JobSpec("j", (StageSpec("run", ("true",), {"CPU": 1}, "/", retry=Retry(3, wait=0.0)),))
    [first] = queue.submit(tried)
    queue.submit(*[job() for _ in range(30)])
    one, two = queue.step()
    queue.hold(first)
    queue.step(quick(queue, one, FAILED))
    assert queue.states(first) == [State.WAITING]
    queue.release(first)
    assert len(queue.step()) <= 1
    opened = queue.step(quick(queue, two))
    assert all(attempt.behind is None for attempt in opened)


def test_what_is_given_back_is_as_it_was(queue: worlds.Queue) -> None:
    queue.submit(*[job() for _ in range(4)])
    first, second = queue.step()
    _, fourth = queue.step(quick(queue, first))
    assert fourth.behind == second.id
    assert queue.step(Returned(fourth.id, queue.now)) == []
    assert queue.states(fourth.job) == [State.WAITING] and queue.in_line() == [f"{fourth.job}.run"]
    assert fourth.id not in [row.id for row in queue.rows(attempts)]
    [again] = queue.step(quick(queue, second, seconds=1.0))
    assert (again.stage, again.number, again.folder) == (fourth.stage, 1, fourth.folder) and again.id > fourth.id


def test_what_is_barred_is_known_and_the_next_attempt_has_another_number(queue: worlds.Queue) -> None:
    queue.submit(*[job() for _ in range(4)])
    first, second = queue.step()
    _, fourth = queue.step(quick(queue, first))
    assert queue.step(Returned(fourth.id, queue.now, barred=True)) == []
    [row] = queue.rows(attempts.select().where(attempts.c.id == fourth.id))
    assert (row.outcome, row.reason, row.started_at) == (Outcome.LOST, NOT_BEGUN, None)
    [again] = queue.step(quick(queue, second, seconds=1.0))
    assert (again.stage, again.number) == (fourth.stage, 2)


def test_what_was_cancelled_meanwhile_does_not_come_again(queue: worlds.Queue) -> None:
    queue.submit(*[job() for _ in range(4)])
    first, _ = queue.step()
    _, fourth = queue.step(quick(queue, first))
    assert queue.cancel(fourth.job, "why not") == [fourth.id]
    queue.step(Returned(fourth.id, queue.now))
    assert queue.states(fourth.job) == [Outcome.CANCELLED]


DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["quick", "quick", "quick", "long", "fail", "back", "submit", "other", "pool", "hold"]),
        st.integers(0, 1000),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(DEEDS)
def test_whatever_happens_no_pool_is_over_its_slots_and_all_ends(
    tmp_path_factory: pytest.TempPathFactory, blank: Path, deeds: list[tuple[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("q") / "queue.db"
    path.write_bytes(blank.read_bytes())
    with worlds.queue(path, {"CPU": 2, "GPU": 1}) as queue:
        jobs = queue.submit(*[job() for _ in range(8)])
        chains: list[list[Open]] = []  # as shims have them: what runs, and what follows

        def turn(*facts: Ended | Returned) -> None:
            for one in queue.step(*facts):
                if one.behind is None:
                    chains.append([one])
                else:
                    [chain] = [chain for chain in chains if chain[-1].id == one.behind]
                    chain.append(one)
            assert len(chains) <= 2
            assert sorted(chain[0].id for chain in chains) == sorted(
                one.id for one in queue.running().values() if one.behind is None
            )
            assert all(len(chain) <= followers.MOST + 1 for chain in chains)

        def end(chain: list[Open], outcome: Outcome, seconds: float) -> None:
            fact = quick(queue, chain.pop(0), outcome, seconds)
            if not chain:
                chains.remove(chain)
            turn(fact)

        for what, number in deeds:
            chain = chains[number % len(chains)] if chains else []
            if what in ("quick", "long", "fail") and chain:
                end(chain, FAILED if what == "fail" else OK, 1.0 if what == "long" else 0.001)
            elif what == "back" and len(chain) > 1:
                given = [Returned(one.id, queue.now) for one in chain[1:]]
                del chain[1:]
                turn(*given)
            elif what in ("submit", "other"):
                jobs += queue.submit(*[job() for _ in range(number % 9)], user="ann" if what == "submit" else "bob")
                turn()
            elif what == "pool":
                queue.pool("CPU", slots=2, paused=bool(number % 2))
                turn()
            elif what == "hold" and queue.states(job_id := jobs[number % len(jobs)])[0] in list(State):
                queue.hold(job_id)
                queue.release(job_id)
                turn()
        queue.pool("CPU", paused=False)
        turn()
        while chains:
            end(chains[0], OK, 0.001)
        assert all(queue.states(number)[0] in (OK, FAILED) for number in jobs)
