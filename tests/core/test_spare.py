"""Slots that nobody needs go to those who can use them, and never one too many."""

from hypothesis import given
from hypothesis import strategies as st

from labsched.core.spare import Start, share_out, spare, variables

NAMES = st.sampled_from(["CPU", "GPU", "RAM"])
SLOTS = st.dictionaries(NAMES, st.integers(0, 9))


def start(stage: int, needs: int, up_to: int, user: str = "ann") -> Start:
    return Start(stage, user, {"CPU": needs}, {"CPU": up_to})


def test_what_is_queued_is_left_room_for() -> None:
    queued = [({"CPU": 1}, 3), ({"CPU": 2, "RAM": 1}, 1)]
    assert spare({"CPU": 8, "RAM": 2, "GPU": 0}, queued, [{"CPU": 2}]) == {"CPU": 1, "RAM": 1, "GPU": 0}
    assert spare({"CPU": 1}, [({"CPU": 1}, 9)], []) == {"CPU": 0}


def test_one_slot_after_the_other_in_turn() -> None:
    starts = [start(1, 1, 8), start(2, 1, 2), start(3, 2, 2), start(4, 1, 8)]
    assert share_out(starts, {"CPU": 6}, {}) == {1: {"CPU": 4}, 2: {"CPU": 2}, 4: {"CPU": 3}}
    assert share_out(starts, {"CPU": 0}, {}) == share_out([], {"CPU": 5}, {}) == {}


def test_nobody_gets_more_than_they_may_hold() -> None:
    starts = [start(1, 1, 8), start(2, 1, 8), start(3, 1, 8, "bob")]
    assert share_out(starts, {"CPU": 9}, {("ann", "CPU"): 3}) == {1: {"CPU": 3}, 2: {"CPU": 2}, 3: {"CPU": 7}}
    assert share_out(starts[:2], {"CPU": 9}, {("ann", "CPU"): -1}) == {}


@st.composite
def _starts(draw: st.DrawFn) -> list[Start]:
    found = []
    for stage in range(draw(st.integers(0, 5))):
        needs = draw(SLOTS)
        more = draw(SLOTS)
        up_to = {pool: n + more.get(pool, 0) for pool, n in needs.items() if pool in more}
        found.append(Start(stage, draw(st.sampled_from("ab")), needs, up_to))
    return found


@given(_starts(), SLOTS, st.dictionaries(st.tuples(st.sampled_from("ab"), NAMES), st.integers(-2, 9)))
def test_needs_are_met_limits_are_kept_and_nothing_is_left_that_somebody_could_use(
    starts: list[Start], left: dict[str, int], may: dict[tuple[str, str], int]
) -> None:
    given_out = share_out(starts, left, may)
    got: dict[tuple[str, str], int] = {}
    for one in starts:
        for pool, n in given_out.get(one.stage, dict(one.needs)).items():
            assert one.needs[pool] <= n <= max(one.up_to.get(pool, 0), one.needs[pool])
            got[one.user, pool] = got.get((one.user, pool), 0) + n - one.needs[pool]
    for pool in ("CPU", "GPU", "RAM"):
        assert sum(n for (_, name), n in got.items() if name == pool) <= left.get(pool, 0)
    assert all(n <= max(may.get(whose, n), 0) for whose, n in got.items())
    for one in starts:
        for pool, most in one.up_to.items():
            has = given_out.get(one.stage, dict(one.needs))[pool]
            used = sum(n for (_, name), n in got.items() if name == pool)
            whose = (one.user, pool)
            assert has == most or used >= left.get(pool, 0) or got[whose] >= may.get(whose, 10**6)


def test_a_stage_is_told_by_names_that_a_shell_can_read() -> None:
    assert variables({"CPU": 4, "big-gpu.2": 1}) == {"LABSCHED_SLOTS_CPU": "4", "LABSCHED_SLOTS_big_gpu_2": "1"}
