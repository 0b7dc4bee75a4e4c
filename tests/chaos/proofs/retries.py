"""Another attempt comes where the policy says so, or a person; and when."""

import signal
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from labsched.store.attempts import NOT_BEGUN
from tests.chaos.evidence import Evidence, Violation, name_of

NOT_NOW, NOT_NOW_S, LONGEST_S = 75, 60.0, 3600.0
SLACK_S = 0.002  # of clocks that are read one after the other
AGAIN, PUT_BACK, RETRY = "g", "h", "f"


def attempts_follow_as_the_policy_says(it: Evidence) -> Iterator[Violation]:
    """After each end of an attempt, the stage waits again if and only if its policy (docs/states.md) says so."""
    for stage, story in _stories(it).items():
        row = it.stages[stage]
        tries = delays = 0
        for attempt, move, asked in story:
            if attempt is None:  # a person sent it back
                tries = delays = 0
                continue
            wanted = not asked and _another(row["retry"], attempt, tries)
            if wanted != (move in (AGAIN, PUT_BACK)):
                what = "was tried again" if move in (AGAIN, PUT_BACK) else "was not tried again"
                end = f"{attempt['outcome']} {attempt['exit_code']} {attempt['signal']}"
                yield Violation(
                    f"{row['name']}.{attempt['number']} ({end}; try {tries}; policy {row['retry']}) {what}",
                    row["job_id"],
                )
            if move in (AGAIN, PUT_BACK):
                tries, delays = (tries, delays + 1) if _not_now(attempt) else (tries + 1, 0)


def none_comes_too_early(it: Evidence) -> Iterator[Violation]:
    """By the injected clock: neither is the next one opened, nor does it begin, before the wait is over."""
    at_once: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for event in it.rows["events"]:
        if event["kind"] == "job.retry":
            at_once[event["job_id"]].append(event)
    opened = _openings(it)
    for stage, story in _stories(it).items():
        row = it.stages[stage]
        tries = delays = 0
        for attempt, move, _ in story:
            if attempt is None:
                tries = delays = 0
            elif move in (AGAIN, PUT_BACK):
                wait = _wait(row["retry"], attempt, tries, delays)
                tries, delays = (tries, delays + 1) if _not_now(attempt) else (tries + 1, 0)
                key = (row["job_id"], row["name"], attempt["number"] + 1)
                following = it.attempts.get(key)
                if following is None or _hurried(at_once[row["job_id"]], opened[stage], attempt["number"]):
                    continue
                early = attempt["ended_at"] + wait - following["created_at"]
                if early > SLACK_S and not _stepped(it, key):
                    yield Violation(f"{name_of(key)} was opened {early:.3f} s too early, for {wait:g} s", key[0])
                yield from _really(it, key, wait)


def _openings(it: Evidence) -> dict[int, list[int]]:
    """By stage: the event that opened each of its attempts."""
    barred = Counter(row["stage_id"] for row in it.rows["attempts"] if row["reason"] == NOT_BEGUN)
    opened: dict[int, list[int]] = defaultdict(list)
    for event in it.rows["events"]:
        stage = event["stage_id"]
        if event["kind"] == "stage.starting":
            opened[stage].append(event["id"])
        elif event["kind"] == "stage.waiting" and event["data"].get("reason") == NOT_BEGUN:
            if barred[stage]:
                barred[stage] -= 1
            else:
                opened[stage].pop()  # nothing is left of it
    return opened


def _really(it: Evidence, key: tuple[int, str, int], wait: float) -> Iterator[Violation]:
    """By the journals' own clock, and the steps that wall time took meanwhile."""
    before, after = it.runs.get((key[0], key[1], key[2] - 1)), it.runs.get(key)
    if before is None or after is None or before.end is None:
        return
    at_end = [offset for t, offset in it.clock if t <= before.end][-1:]
    during = [offset for t, offset in it.clock if before.end <= t <= after.begin]
    # A step that was being made: either side of it.
    base = min([*at_end, *during[:1]])
    gained = max([*at_end, *during]) - base
    if after.begin - before.end + gained + SLACK_S < wait:
        yield Violation(
            f"{name_of(key)} began {after.begin - before.end:.3f} s after the one before, not {wait:g} s", key[0]
        )


def _stepped(it: Evidence, key: tuple[int, str, int]) -> bool:
    """Whether wall time was stepped between the last attempt and this one, as far as the journal knows."""
    before, after = it.runs.get((key[0], key[1], key[2] - 1)), it.runs.get(key)
    if before is None or after is None:
        return True
    last = [offset for t, offset in it.clock if t <= before.begin][-1:]
    return len({*last, *(offset for t, offset in it.clock if before.begin <= t <= after.begin)}) > 1


def _hurried(at_once: list[dict[str, Any]], opened: list[int], number: int) -> bool:
    """Whether a person ended the wait after this attempt."""
    return any(opened[number - 1] < event["id"] < opened[number] for event in at_once)


Step = tuple[dict[str, Any] | None, str, bool]


def _stories(it: Evidence) -> dict[int, list[Step]]:
    """By stage, in order: each attempt, the letter of the move that its end made, and whether a person had asked it to
    stop; None for the attempt where a person sent the stage back, or it was given back before it began."""
    rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in it.rows["attempts"]:
        rows[row["stage_id"]].append(row)
    stories: dict[int, list[Step]] = defaultdict(list)
    done: dict[int, int] = defaultdict(int)  # attempts, of each stage
    asked: set[int] = set()  # jobs
    for event in it.rows["events"]:
        kind, stage, job = event["kind"], event["stage_id"], event["job_id"]
        move = event["data"].get("move")
        if kind == "job.cancelled":
            asked.add(job)
        elif move == RETRY:
            asked.discard(job)
            stories[stage].append((None, RETRY, False))
        elif move == PUT_BACK and event["data"]["reason"] == NOT_BEGUN:
            stories[stage].append((None, PUT_BACK, False))
            # Its attempt is forgotten, unless its folder was barred.
            done[stage] += any(row["reason"] == NOT_BEGUN for row in rows[stage][done[stage] :][:1])
        elif move in ("c", "d", AGAIN, PUT_BACK):
            stories[stage].append((rows[stage][done[stage]], move, job in asked))
            done[stage] += 1
    return stories


def _not_now(attempt: dict[str, Any]) -> bool:
    return attempt["outcome"] == "failed" and attempt["exit_code"] == NOT_NOW


def _another(policy: dict[str, Any] | None, attempt: dict[str, Any], tries: int) -> bool:
    if _not_now(attempt):
        return True
    if policy is None or tries >= policy["times"]:
        return False
    if attempt["outcome"] == "lost":
        return True
    code = attempt["exit_code"]
    if attempt["signal"]:
        code = 128 + signal.Signals[attempt["signal"]].value
    return attempt["outcome"] == "failed" and (not policy["codes"] or code in policy["codes"])


def _wait(policy: dict[str, Any] | None, attempt: dict[str, Any], tries: int, delays: int) -> float:
    if _not_now(attempt):
        return min(NOT_NOW_S * 2**delays, LONGEST_S)
    assert policy is not None
    return min(policy["wait"] * 2**tries, max(policy["wait"], LONGEST_S))
