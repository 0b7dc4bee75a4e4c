"""What a stage that starts holds beyond what it needs: the queue's side of `core.spare`."""

from collections.abc import Sequence

import sqlalchemy as sa

from labsched.core.model import Needs, Snapshot
from labsched.core.spare import Start, share_out, spare
from labsched.store import tallies
from labsched.store.lines import taken
from labsched.store.prepared import Prepared
from labsched.store.tables import attempts, stages

_BEYOND = Prepared(
    sa.select(attempts.c.slots, stages.c.needs, stages.c.alone)
    .join(stages, stages.c.id == attempts.c.stage_id)
    .where(attempts.c.ended_at.is_(None), sa.or_(attempts.c.slots.is_not(None), stages.c.alone))
)


def given(
    connection: sa.Connection, seen: Snapshot, starting: Sequence[tuple[str, Needs]], starts: Sequence[Start]
) -> dict[int, dict[str, int]]:
    """The slots of each of `starts` that gets more than it needs; `starting`: by person, what all that starts takes."""
    slots = {name: 0 if pool.paused else pool.slots for name, pool in seen.pools.items()}
    beyond = []
    for row in _BEYOND.rows(connection):
        has = row.slots or taken(row.needs, row.alone, seen.pools)
        beyond.append({pool: n - row.needs[pool] for pool, n in has.items()})
    return share_out(starts, spare(slots, tallies.needs(connection), beyond), _may(seen, starting))


def _may(seen: Snapshot, starting: Sequence[tuple[str, Needs]]) -> dict[tuple[str, str], int]:
    """By person and pool: how many more slots they may hold, where that is bounded."""
    held = [*((holding.user, holding.needs) for holding in seen.holdings), *starting]
    left = {(user, pool): most for user, _ in held for pool, most in seen.shares.items()}
    for user, needs in held:
        for pool, n in needs.items():
            if pool in seen.shares:
                left[user, pool] -= n
    return left
