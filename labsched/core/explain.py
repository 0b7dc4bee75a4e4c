"""why(...) -> the WHY column: the plan's own verdict on a waiting stage, in words."""

from labsched.core.model import Waiting
from labsched.core.plan import Blocked, Obstacle, Plan, line_of
from labsched.core.units import duration


def why(plan: Plan, stage: Waiting, now: float, ahead: int = 0) -> str:
    """Say why a stage that nothing but the pools could stop is waiting.

    `ahead` is the number of stages of the same line that are older. Times are seconds since the epoch.
    """
    line = line_of(stage)
    starting = [each.stage for each in plan.starts if line_of(each) == line]
    blocked = plan.blocked.get(line)
    if blocked is None or stage.stage in starting:
        return "starting"
    ahead -= len(starting)
    if ahead > 0 and blocked.obstacle in (Obstacle.FULL, Obstacle.RESERVED):
        return f"{blocked.pool} full: {ahead} before it"
    return _in_words(blocked, stage, now)


def _in_words(blocked: Blocked, stage: Waiting, now: float) -> str:
    pool = blocked.pool
    match blocked.obstacle:
        case Obstacle.NO_POOL:
            return f"there is no pool {pool} (any more)"
        case Obstacle.TOO_WIDE:
            return f"needs {stage.needs[pool]} {pool}: the pool has fewer"
        case Obstacle.SHARE:
            return f"{stage.user} holds as much of {pool} as one person may"
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
