"""How much of the queue one person may take."""

import sqlalchemy as sa

from labsched.core.states import State
from labsched.errors import Refused
from labsched.store.tables import jobs, stages


def live_jobs(connection: sa.Connection, uid: int) -> int:
    """How many jobs of this person have not ended."""
    query = sa.select(sa.func.count(sa.distinct(stages.c.job_id))).join(jobs, jobs.c.id == stages.c.job_id)
    return connection.execute(query.where(stages.c.state != State.ENDED, jobs.c.uid == uid)).scalar_one()


def room(connection: sa.Connection, uid: int, more: int, limit: int, who: str = "you") -> None:
    """Raise Refused unless this person, called `who`, may have `more` jobs than they have queued or running."""
    have = live_jobs(connection, uid)
    if have + more > limit:
        raise Refused(
            f"{who} {'have' if who == 'you' else 'has'} {have} of the {limit} jobs that one person may have queued "
            f"([limits] queued_jobs_per_user), so {more} more {'is' if more == 1 else 'are'} too many: wait until some "
            "have ended"
        )
