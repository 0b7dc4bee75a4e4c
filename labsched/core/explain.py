"""why(...) -> the WHY column: the plan's own verdict on a waiting stage, in words."""

from labsched.core.model import Waiting
from labsched.core.plan import Blocked, Obstacle, Plan, line_of


def why(plan: Plan, stage: Waiting, now: float, ahead: int = 0) -> str:
    """Say why a stage that nothing but the pools could stop is waiting.

    `ahead` is the number of stages of the same line that are older. Times are seconds since the epoch.
    """
    blocked = plan.blocked.get(line_of(stage))
    if blocked is None:
        return "starting"
    if ahead and blocked.obstacle in (Obstacle.FULL, Obstacle.RESERVED):
        return f"{blocked.pool} full: {ahead} before it"
    return _in_words(blocked, stage, now)


def _in_words(blocked: Blocked, stage: Waiting, now: float) -> str:
    pool = blocked.pool
    match blocked.obstacle:
        case Obstacle.NO_POOL:
            return f"there is no pool {pool} (any more)"
        case Obstacle.TOO_WIDE:
            return f"needs {stage.needs[pool]} {pool}: the pool has fewer"
        case Obstacle.PAUSED:
            return f"pool {pool} is paused"
        case Obstacle.RESERVED:
            assert blocked.by is not None
            return f"{pool} full: next after {blocked.by.job}"
        case Obstacle.FULL:
            if blocked.after is None:
                return f"{pool} full"
            when = "" if blocked.at is None else f" (~{duration(blocked.at - now)})"
            return f"{pool} full: next after {blocked.after.job}{when}"


def duration(seconds: float) -> str:
    """Short for people: ``18s``, ``4m``, ``2h05``, ``3d 4h``."""
    total = max(int(seconds), 0)
    if total < 60:
        return f"{total}s"
    if total < 3600:
        return f"{total // 60}m"
    if total < 86400:
        return f"{total // 3600}h{total % 3600 // 60:02}"
    return f"{total // 86400}d {total % 86400 // 3600}h"
