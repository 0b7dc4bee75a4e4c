"""verdict(...) -> whether an attempt that ended without success is followed by another one, when, and how."""

import signal
from dataclasses import dataclass

from labsched.core.model import Ended, Retry
from labsched.core.states import Outcome

NOT_NOW = 75  # EX_TEMPFAIL of sysexits.h: the command asks to be tried later
NOT_NOW_WAIT_S = 60.0
LONGEST_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Again:
    """Another attempt: not before `at` (seconds since the epoch); `counts` against the policy's number, or not;
    `alone` in its pools."""

    at: float
    counts: bool
    alone: bool = False


def verdict(policy: Retry | None, ended: Ended, tries: int, delays: int) -> Again | None:
    """None where the stage has ended for good.

    `tries` is how many attempts have followed a failure already, `delays` how many times in a row the command has
    asked to be tried later. Waits double from one to the next, up to an hour.
    """
    if ended.outcome is Outcome.FAILED and ended.exit_code == NOT_NOW:
        return Again(ended.at + _doubled(NOT_NOW_WAIT_S, delays), counts=False)
    if policy is None or tries >= policy.times:
        return None
    if ended.outcome is Outcome.FAILED and _worth_it(policy, ended):
        return Again(ended.at + _doubled(policy.wait, tries), counts=True, alone=ended.oom and policy.alone)
    if ended.outcome is Outcome.LOST:
        return Again(ended.at + _doubled(policy.wait, tries), counts=True)
    return None


def _worth_it(policy: Retry, ended: Ended) -> bool:
    return ended.oom or not policy.codes or _code(ended) in policy.codes


def _code(ended: Ended) -> int | None:
    """Its exit code, as a shell would give it."""
    number = getattr(signal, ended.signal or "", None)
    return ended.exit_code if number is None else 128 + int(number)


def _doubled(wait: float, times: int) -> float:
    return min(wait * 2.0 ** min(times, 32), max(wait, LONGEST_WAIT_S))
