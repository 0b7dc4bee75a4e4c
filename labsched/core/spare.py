"""Slots that nobody needs: given to stages that start and can use more than they need.

What counts is what all that is queued needs, whether it could start by now or not: a sort that begins while three
others are still being de-noised leaves room for them, and the last one of the night gets the whole machine. A stage
keeps what it was given until its attempt ends.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from labsched.core.spec import Needs

VARIABLE = "LABSCHED_SLOTS_"


@dataclass(frozen=True, slots=True)
class Start:
    """A stage that starts, and how many slots it can use at most, by pool."""

    stage: int
    user: str
    needs: Needs
    up_to: Needs


def spare(slots: Needs, queued: Iterable[tuple[Needs, int]], beyond: Iterable[Needs]) -> dict[str, int]:
    """The slots of each pool that nothing needs, never below 0.

    `queued`: what stages need that have not ended, with how many of them need the same; `beyond`: what attempts that
    are open hold on top of that.
    """
    left = dict(slots)
    for needs, count in queued:
        for pool, n in needs.items():
            left[pool] = left.get(pool, 0) - n * count
    for more in beyond:
        for pool, n in more.items():
            left[pool] = left.get(pool, 0) - n
    return {pool: max(n, 0) for pool, n in left.items()}


def share_out(
    starts: Sequence[Start], spare: Mapping[str, int], may: Mapping[tuple[str, str], int]
) -> dict[int, dict[str, int]]:
    """The slots of each stage that gets more than it needs; one slot after the other, in turn.

    `may`: by person and pool, how many more they may hold; who is not in it, any number.
    """
    left, allowed = dict(spare), dict(may)
    given = {start.stage: dict(start.needs) for start in starts}
    hungry = [(start, pool) for start in starts for pool in sorted(start.up_to) if pool in start.needs]
    while hungry:
        still = []
        for start, pool in hungry:
            whose = (start.user, pool)
            has = given[start.stage][pool]
            if has < start.up_to[pool] and left.get(pool, 0) > 0 and allowed.get(whose, 1) > 0:
                given[start.stage][pool] = has + 1
                left[pool] -= 1
                if whose in allowed:
                    allowed[whose] -= 1
                still.append((start, pool))
        hungry = still
    return {start.stage: given[start.stage] for start in starts if given[start.stage] != dict(start.needs)}


def variables(slots: Needs) -> dict[str, str]:
    """How a stage is told of its slots, by variables of its environment that a shell can name, too."""
    return {VARIABLE + pool.replace(".", "_").replace("-", "_"): str(n) for pool, n in slots.items()}
