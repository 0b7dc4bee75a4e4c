"""The proofs can fail: a story without any fault, of which one thing is told otherwise than it was."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.evidence import Evidence, Key
from tests.chaos.people import NO, NOBODY, YES
from tests.chaos.proofs import CHECKS, violations
from tests.chaos.report import report
from tests.chaos.run import tell

LATER_S = 100.0


@pytest.fixture(scope="module")
def truth() -> Evidence:
    story = tell(seed=7, seconds=8, quiet=True)
    assert not story.violated, report(story)
    assert story.evidence is not None
    return story.evidence


def succeeded(it: Evidence) -> Iterator[Key]:
    """Attempts that did, of stages that come after another one."""
    after = {row["stage_id"] for row in it.rows["dependencies"]}
    return (key for key, row in it.attempts.items() if row["outcome"] == "succeeded" and row["stage_id"] in after)


def change(it: Evidence, key: Key, what: str, **new: Any) -> None:
    """Tell one line of an attempt's journal otherwise."""
    [at] = [i for i, line in enumerate(it.journal) if line.key == key and line.what == what]
    it.journal[at] = replace(it.journal[at], **new)


def a_job_is_gone(it: Evidence) -> str:
    number, _ = it.acknowledged[0]
    del it.jobs[number]
    return "and is not there"


def a_field_is_another(it: Evidence) -> str:
    from msgspec.structs import replace as other

    number, _ = it.acknowledged[0]
    it.jobs[number] = other(it.jobs[number], priority=77)
    return "its priority is 77"


def a_refused_one_is_there(it: Evidence) -> str:
    said = next(said for said in it.answers("submit", said=YES))
    said.answer, said.numbers = NO, ()
    return "was refused"


def half_a_request_is_there(it: Evidence) -> str:
    said = next(said for said in it.answers("submit", said=YES) if len(said.jobs) > 1)
    said.answer = NOBODY
    it.rows["jobs"] = [row for row in it.rows["jobs"] if row["id"] != said.numbers[0]]
    return "that got no answer"


def an_attempt_ran_twice(it: Evidence) -> str:
    line = next(line for line in it.journal if line.what == "begin")
    it.journal.append(replace(line, pid=line.pid + 1, t=line.t + 0.001))
    return "began 2 times"


def something_lives_on(it: Evidence) -> str:
    first = next(key for key in it.runs if (key[0], key[1], key[2] + 1) in it.runs)
    it.journal.append(replace(it.runs[first].lines[0], what="tick", t=it.runs[first].begin + LATER_S))
    return "was alive when the next attempt had begun"


def an_exit_code_is_another(it: Evidence) -> str:
    row = next(row for row in it.rows["attempts"] if row["exit_code"] == 3)
    row["exit_code"] = 4
    return "exit code 4, and the journal has 3"


def one_is_lost_without_a_cause(it: Evidence) -> str:
    next(row for row in it.rows["attempts"] if row["outcome"] == "failed")["outcome"] = "lost"
    return "nobody killed its shim"


def a_log_lacks_a_line(it: Evidence) -> str:
    key = next(key for key, log in it.logs.items() if log.count(b"\n") > 2)
    first, _, rest = it.logs[key].split(b"\n", 2)
    it.logs[key] = first + b"\n" + rest
    return "line 1 of its log"


def a_stage_begins_too_early(it: Evidence) -> str:
    change(it, key := next(succeeded(it)), "begin", t=it.runs[key].begin - LATER_S)
    return "had succeeded"


def a_pool_is_over_its_slots(it: Evidence) -> str:
    for row in it.rows["stages"]:
        row["needs"] = {pool: n + 4 for pool, n in row["needs"].items()}
    return "slots of"


def a_retry_is_one_too_many(it: Evidence) -> str:
    for row in it.rows["stages"]:
        row["retry"] = row["retry"] and {**row["retry"], "times": 0}
    return "was tried again"


def a_retry_comes_too_early(it: Evidence) -> str:
    for row in it.rows["stages"]:
        row["retry"] = row["retry"] and {**row["retry"], "wait": 50.0}
    return "after the one before, not 50 s"


def a_cancelled_job_lives_on(it: Evidence) -> str:
    said = next(said for said in it.answers("cancel", said=YES) if any(e.job == said.numbers[0] for e in it.journal))
    line = next(line for line in it.journal if line.job == said.numbers[0])
    it.journal.append(replace(line, what="tick", t=said.answered + LATER_S))
    return "its cancel was answered"


def an_event_is_heard_twice(it: Evidence) -> str:
    it.heard.insert(3, it.heard[2])
    return "events were heard"


def one_has_not_ended(it: Evidence) -> str:
    it.rows["attempts"][-1]["ended_at"] = None
    return "is open at the end"


LIES = [
    a_job_is_gone,
    a_field_is_another,
    a_refused_one_is_there,
    half_a_request_is_there,
    an_attempt_ran_twice,
    something_lives_on,
    an_exit_code_is_another,
    one_is_lost_without_a_cause,
    a_log_lacks_a_line,
    a_stage_begins_too_early,
    a_pool_is_over_its_slots,
    a_retry_is_one_too_many,
    a_retry_comes_too_early,
    a_cancelled_job_lives_on,
    an_event_is_heard_twice,
    one_has_not_ended,
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_what_is_told_otherwise_is_found(truth: Evidence, lie: Callable[[Evidence], str]) -> None:
    told = deepcopy(truth)
    try:
        words = lie(told)
    except StopIteration:
        pytest.skip("this story has nothing of the kind")
    for kept in ("runs", "stages", "attempts", "kills", "reboots"):
        told.__dict__.pop(kept, None)
    found = [str(violation) for violation in violations(told)]
    assert any(words in one for one in found), found[:5]


def test_the_truth_itself_is_well(truth: Evidence) -> None:
    assert not [(check.__name__, str(found)) for check in CHECKS for found in check(truth)]
    assert len(truth.runs) > 10
