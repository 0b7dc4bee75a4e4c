"""What people were told is true; what watchers hear is what happened."""

from collections.abc import Iterator

from labsched.core.states import State
from tests.chaos.evidence import Evidence, Violation
from tests.chaos.people import YES
from tests.store.replay import replay


def cancelled_is_cancelled(it: Evidence) -> Iterator[Violation]:
    """Once a cancel is answered, nothing of the job is alive, and nothing of it starts (nobody retries those)."""
    for said in it.answers("cancel"):
        if said.answer != YES:
            continue
        [number] = said.numbers
        for line in it.journal:
            if line.job == number and line.t > said.answered:
                yield Violation(
                    f"its cancel was answered at {said.answered:.3f}, and {line.stage}.{line.attempt} was alive "
                    f"at {line.t:.3f} ({line.what})",
                    number,
                )
                break
        job = it.jobs.get(number)
        if job is not None and job.outcome == "succeeded" and any(not stage.attempts for stage in job.stages):
            yield Violation("it was cancelled, and succeeded without having run", number)


def what_was_cancelled_starts_nothing(it: Evidence) -> Iterator[Violation]:
    """From the moment in which a cancel is in the queue, answered or not, until a person retries the job."""
    cancelled: set[int] = set()
    for event in it.rows["events"]:
        if event["kind"] == "job.cancelled":
            cancelled.add(event["job_id"])
        elif event["data"].get("move") == "f":
            cancelled.discard(event["job_id"])
        elif event["kind"] == "stage.starting" and event["job_id"] in cancelled:
            yield Violation(f"event {event['id']} opens an attempt of a cancelled job", event["job_id"])


def acknowledged_pools_are_set(it: Evidence) -> Iterator[Violation]:
    """Every change of a pool that was answered is in the queue, in the order in which it was answered."""
    changes = [e for e in it.rows["events"] if e["kind"] == "pool.changed"]
    at = 0
    for said in it.answers("pool", said=YES):
        assert said.pool is not None
        name, slots, paused = said.pool
        wanted = {k: v for k, v in {"pool": name, "slots": slots, "paused": paused}.items() if v is not None}
        found = next((i for i in range(at, len(changes)) if changes[i]["data"] == wanted), None)
        if found is None:
            yield Violation(f"pool {name} was set to {slots}, and the queue knows nothing of it")
        else:
            at = found + 1


def events_are_heard_once_and_in_order(it: Evidence) -> Iterator[Violation]:
    """Who follows, through all restarts, hears every event once."""
    heard = [event.id for event in it.heard]
    there = [row["id"] for row in it.rows["events"]]
    if heard != there[: len(heard)]:
        wrong = next((i for i, (a, b) in enumerate(zip(heard, there, strict=False)) if a != b), len(there))
        yield Violation(f"events were heard as {heard[wrong - 1 : wrong + 3]}, not {there[wrong - 1 : wrong + 3]}")


def events_tell_the_same_story(it: Evidence) -> Iterator[Violation]:
    """Told from the first on, they end with every stage where the queue has it."""
    try:
        told = replay((e["kind"], e["job_id"], e["stage_id"], e["user"], e["data"]) for e in it.rows["events"])
    except AssertionError as error:
        yield Violation(f"the events make no sense: {error!r}")
        return
    for row in it.rows["stages"]:
        state, outcome = told.stages.get((row["job_id"], row["id"]), (State.WAITING, None))
        if (state, outcome) != (row["state"], row["outcome"]):
            yield Violation(
                f"by its events {row['name']} is {state} {outcome}, not {row['state']} {row['outcome']}", row["job_id"]
            )


def everything_has_ended(it: Evidence) -> Iterator[Violation]:
    """Once peace was made: no stage waits or runs, no attempt is open."""
    for row in it.rows["stages"]:
        if row["state"] != "ended":
            yield Violation(f"{row['name']} is {row['state']} at the end", row["job_id"])
    for row in it.rows["attempts"]:
        if row["ended_at"] is None:
            yield Violation(f"attempt {row['folder']} is open at the end")
