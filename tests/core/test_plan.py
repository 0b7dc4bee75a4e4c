"""The plan keeps its promises, whatever the queue looks like."""

import time
from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from labsched.core.check import never_fits
from labsched.core.explain import why
from labsched.core.model import Holding, Pool, Snapshot, Waiting
from labsched.core.plan import Obstacle, free_slots, line_of, plan

POOLS = ("RAM", "CPU", "GPU")
NOW = 1_000_000.0
needs = st.dictionaries(st.sampled_from(POOLS), st.integers(0, 5), max_size=3)
users = st.sampled_from(["ann", "bob", "eve"])


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    pools = {name: Pool(name, draw(st.integers(0, 6)), draw(st.integers(0, 9)) == 0) for name in POOLS}
    holdings = []
    free = {name: pool.slots for name, pool in pools.items()}
    for stage in range(draw(st.integers(0, 4))):
        held = {pool: n for pool, n in draw(needs).items() if n <= free[pool]}
        for pool, n in held.items():
            free[pool] -= n
        end = draw(st.none() | st.floats(NOW - 100, NOW + 100))
        holdings.append(Holding(stage, stage, draw(users), held, end))
    waiting = [
        Waiting(100 + i, 100 + i, draw(users), draw(needs), draw(st.integers(-1, 1)))
        for i in range(draw(st.integers(0, 12)))
    ]
    shares = draw(st.dictionaries(st.sampled_from(POOLS), st.integers(1, 4), max_size=1))
    return Snapshot(pools, tuple(holdings), tuple(draw(st.permutations(waiting))), shares)


@given(snapshots())
def test_no_pool_is_ever_given_more_than_its_slots(snapshot: Snapshot) -> None:
    free = free_slots(snapshot)
    for start in plan(snapshot, NOW).starts:
        for pool, n in start.needs.items():
            free[pool] -= n
            assert free[pool] >= 0
            assert n == 0 or not snapshot.pools[pool].paused


@given(snapshots(), st.randoms(use_true_random=False))
def test_the_same_snapshot_in_any_order_gives_the_same_plan(snapshot: Snapshot, random: object) -> None:
    shuffled = list(snapshot.waiting)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan(snapshot, NOW) == plan(replace(snapshot, waiting=tuple(shuffled)), NOW)


@given(snapshots())
def test_what_does_not_start_has_something_in_its_way(snapshot: Snapshot) -> None:
    decided = plan(snapshot, NOW)
    free = free_slots(snapshot)
    for start in decided.starts:
        for pool, n in start.needs.items():
            free[pool] -= n
    reserved = any(blocked.obstacle is Obstacle.FULL for blocked in decided.blocked.values())
    for stage in set_of(snapshot.waiting) - set_of(decided.starts):
        waiting = next(w for w in snapshot.waiting if w.stage == stage)
        blocked = decided.blocked[line_of(waiting)]
        if blocked.obstacle is Obstacle.FULL:
            assert reserved
            assert any(n > free[pool] for pool, n in waiting.needs.items()) or len(decided.blocked) > 1
        elif blocked.obstacle is Obstacle.RESERVED:
            assert blocked.by is not None
            assert blocked.by.needs[blocked.pool] > 0
        elif blocked.obstacle is Obstacle.SHARE:
            has = held(snapshot, *decided.starts)[waiting.user, blocked.pool]
            assert has > 0
            assert has + waiting.needs[blocked.pool] > snapshot.shares[blocked.pool]
        elif blocked.obstacle is Obstacle.PAUSED:
            assert snapshot.pools[blocked.pool].paused
        else:
            assert waiting.needs[blocked.pool] > snapshot.pools[blocked.pool].slots
        assert why(decided, waiting, NOW)


@given(snapshots())
def test_the_first_of_all_starts_if_it_fits(snapshot: Snapshot) -> None:
    lone = replace(snapshot, waiting=snapshot.waiting[:1], shares={})
    free = free_slots(lone)
    for stage in lone.waiting:
        fits = all(n == 0 or (n <= free[p] and not lone.pools[p].paused) for p, n in stage.needs.items())
        assert bool(plan(lone, NOW).starts) == fits


@given(snapshots())
def test_priority_goes_first_in_a_pool_of_its_own(snapshot: Snapshot) -> None:
    one = {"CPU": 1}
    waiting = tuple(replace(stage, needs=one) for stage in snapshot.waiting)
    decided = plan(replace(snapshot, waiting=waiting, shares={}), NOW)
    left = [w for w in waiting if w not in decided.starts]
    if decided.starts and left:
        assert min(s.priority for s in decided.starts) >= max(w.priority for w in left)


def held(snapshot: Snapshot, *starts: Waiting) -> Counter[tuple[str, str]]:
    """What each person holds of each pool, with these stages too."""
    found: Counter[tuple[str, str]] = Counter()
    for stage in (*snapshot.holdings, *starts):
        found.update({(stage.user, pool): n for pool, n in stage.needs.items()})
    return found


@given(snapshots())
def test_nobody_is_given_more_than_their_share_but_for_one_stage_that_is_wider(snapshot: Snapshot) -> None:
    before, starts = held(snapshot), plan(snapshot, NOW).starts
    for (user, pool), n in held(snapshot, *starts).items():
        given_ = [s.needs[pool] for s in starts if s.user == user and s.needs.get(pool)]
        if given_ and pool in snapshot.shares and n > snapshot.shares[pool]:
            assert (before[user, pool], len(given_)) == (0, 1)


def test_a_share_leaves_room_for_others_and_reserves_nothing() -> None:
    pools = {"CPU": Pool("CPU", 4)}
    ann = tuple(Waiting(i, i, "ann", {"CPU": 1}) for i in range(5))
    bob = Waiting(9, 9, "bob", {"CPU": 2}, priority=-5)
    decided = plan(Snapshot(pools, (), (*ann, bob), {"CPU": 2}), NOW)
    assert [s.stage for s in decided.starts] == [0, 1, 9]
    assert decided.blocked[line_of(ann[2])].obstacle is Obstacle.SHARE


def test_thousands_of_priorities_are_decided_on_in_no_time() -> None:
    pools = {"CPU": Pool("CPU", 1)}
    waiting = tuple(Waiting(i, i, "eve", {"CPU": 1}, priority=i) for i in range(5_000))
    started = time.process_time()
    assert [s.stage for s in plan(Snapshot(pools, (), waiting), NOW).starts] == [4_999]
    assert time.process_time() - started < 2  # if it looked at all of them for each: twenty times as long


def test_a_wide_stage_is_not_starved_by_narrow_ones() -> None:
    pools = {"CPU": Pool("CPU", 4)}
    running = tuple(Holding(i, i, "ann", {"CPU": 1}) for i in range(3))
    wide = Waiting(10, 10, "bob", {"CPU": 4})
    narrow = tuple(Waiting(11 + i, 11 + i, "ann", {"CPU": 1}) for i in range(5))
    for left in (3, 2, 1):
        decided = plan(Snapshot(pools, running[:left], (wide, *narrow)), NOW)
        assert decided.starts == ()
        assert decided.blocked[line_of(narrow[0])].by == wide
    assert plan(Snapshot(pools, (), (wide, *narrow)), NOW).starts == (wide,)


def test_who_cannot_delay_the_wide_one_overtakes_it() -> None:
    pools = {"CPU": Pool("CPU", 4), "GPU": Pool("GPU", 1), "RAM": Pool("RAM", 2)}
    wide = Waiting(10, 10, "bob", {"CPU": 4, "RAM": 1})
    other = Waiting(11, 11, "bob", {"GPU": 1})
    spare = Waiting(12, 12, "bob", {"RAM": 1})
    decided = plan(Snapshot(pools, (Holding(1, 1, "ann", {"CPU": 1}),), (wide, other, spare)), NOW)
    assert decided.starts == (other, spare)


def test_a_stage_whose_pool_is_paused_keeps_nothing_from_others() -> None:
    pools = {"CPU": Pool("CPU", 1), "GPU": Pool("GPU", 1, paused=True)}
    both = Waiting(1, 1, "ann", {"CPU": 1, "GPU": 1})
    cpu = Waiting(2, 2, "ann", {"CPU": 1})
    decided = plan(Snapshot(pools, (), (both, cpu)), NOW)
    assert decided.starts == (cpu,)
    assert why(decided, both, NOW) == "pool GPU is paused"


def test_who_holds_less_goes_first_and_they_take_turns() -> None:
    pools = {"CPU": Pool("CPU", 4)}
    ann = tuple(Waiting(i, i, "ann", {"CPU": 1}) for i in range(10))
    bob = tuple(Waiting(20 + i, 20 + i, "bob", {"CPU": 1}) for i in range(10))
    assert [s.user for s in plan(Snapshot(pools, (), ann + bob), NOW).starts] == ["ann", "bob", "ann", "bob"]


def test_the_wait_names_the_job_that_makes_room_and_when() -> None:
    pools = {"RAM": Pool("RAM", 2)}
    holdings = (
        Holding(1, 430, "ann", {"RAM": 1}, expected_end=NOW + 250),
        Holding(2, 431, "ann", {"RAM": 1}, expected_end=NOW + 900),
    )
    first, second = (Waiting(i, i, "ann", {"RAM": 1}) for i in (5, 6))
    decided = plan(Snapshot(pools, holdings, (first, second)), NOW)
    assert why(decided, first, NOW) == "RAM full: next after 430 (~4m)"
    assert why(decided, second, NOW, ahead=1) == "RAM full: 1 before it"


def test_what_could_never_start_is_named() -> None:
    assert never_fits({"CPU": 4}, {"CPU": 4}) is None
    assert never_fits({"CPU": 4}, {"CPU": 5}) == "it needs 5 slots of CPU, and there are 4"
    assert never_fits({"CPU": 4, "RAM": 1}, {"TPU": 1}) == "there is no pool TPU; the pools are CPU, RAM"


def set_of(stages: tuple[Waiting, ...]) -> set[int]:
    return {stage.stage for stage in stages}
