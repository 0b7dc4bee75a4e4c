"""What must be true after a story, each room with its own kind of promise. Every check yields what is violated."""

from collections.abc import Iterator

from tests.chaos.evidence import Evidence, Violation
from tests.chaos.proofs import attempts, order, retries, submits, verbs

CHECKS = (
    submits.acknowledged_jobs_are_there_as_submitted,
    submits.refused_jobs_are_not_there,
    submits.unanswered_requests_are_there_whole_or_not_at_all,
    submits.nothing_else_is_there,
    attempts.none_ran_twice,
    attempts.all_that_ran_are_known,
    attempts.nothing_is_left_of_one_when_the_next_begins,
    attempts.ends_are_the_journals,
    attempts.ends_are_what_the_shims_wrote,
    attempts.what_is_lost_is_truly_lost,
    attempts.signals_have_a_cause,
    attempts.logs_are_whole,
    order.stages_come_after_what_succeeded,
    order.pools_are_never_over_their_slots,
    order.the_queue_counts_the_same,
    order.held_jobs_do_not_start,
    retries.attempts_follow_as_the_policy_says,
    retries.none_comes_too_early,
    verbs.cancelled_is_cancelled,
    verbs.what_was_cancelled_starts_nothing,
    verbs.acknowledged_pools_are_set,
    verbs.events_are_heard_once_and_in_order,
    verbs.events_tell_the_same_story,
    verbs.everything_has_ended,
)


def violations(evidence: Evidence) -> Iterator[Violation]:
    """All of them."""
    for check in CHECKS:
        yield from check(evidence)
