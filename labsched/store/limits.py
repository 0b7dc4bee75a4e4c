"""How much of the queue one person may take."""

import sqlalchemy as sa

from labsched.errors import Refused
from labsched.store.tallies import kinds, live_jobs

MAX_KINDS = 100


def few_kinds(connection: sa.Connection, uid: int) -> None:
    """Raise Refused where this person's jobs have more kinds (priority and needs) than `MAX_KINDS`.

    Each is a line of its own, and every decision looks at every line: this is what keeps decisions fast for all.
    """
    if kinds(connection, uid) > MAX_KINDS:
        raise Refused(
            f"the jobs that one person has queued may have {MAX_KINDS} different priorities and needs: give more of "
            "them the same"
        )


def room(connection: sa.Connection, uid: int, more: int, limit: int, who: str = "you") -> None:
    """Raise Refused unless this person, called `who`, may have `more` jobs than they have queued or running."""
    have = live_jobs(connection, uid)
    if have + more > limit:
        raise Refused(
            f"{who} {'have' if who == 'you' else 'has'} {have} of the {limit} jobs that one person may have queued "
            f"([limits] queued_jobs_per_user), so {more} more {'is' if more == 1 else 'are'} too many: wait until some "
            "have ended"
        )
