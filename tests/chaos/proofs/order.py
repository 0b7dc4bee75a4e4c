"""What came after what, and how much at a time."""

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.evidence import Evidence, Key, Violation, name_of

OPENED, MOVED = "stage.starting", ("stage.starting", "stage.running")


def stages_come_after_what_succeeded(it: Evidence) -> Iterator[Violation]:
    """Before a stage begins, each stage that it comes after has ended with exit code 0."""
    before: dict[int, list[int]] = defaultdict(list)
    for row in it.rows["dependencies"]:
        before[row["stage_id"]].append(row["on_stage_id"])
    good: dict[tuple[int, str], list[float]] = defaultdict(list)
    for (job, stage, _), run in it.runs.items():
        if run.code == 0 and run.end is not None:
            good[job, stage].append(run.end)
    places = {(row["job_id"], row["name"]): row["id"] for row in it.rows["stages"]}
    for key, run in it.runs.items():
        for earlier in before[places[key[0], key[1]]]:
            row = it.stages[earlier]
            if not any(end <= run.begin for end in good[row["job_id"], row["name"]]):
                yield Violation(f"{name_of(key)} began before {row['job_id']}/{row['name']} had succeeded", key[0])
    for number, spec in it.acknowledged:
        names = [stage.name for stage in spec.stages]
        for later, earlier_name in zip(names[1:], names, strict=False):
            if places.get((number, earlier_name)) not in before[places.get((number, later), 0)]:
                yield Violation(f"{later} does not come after {earlier_name} any more", number)


def slots_when_opened(it: Evidence) -> dict[Key, tuple[int, dict[str, int]]]:
    """By attempt: the number of the event that opened it, and the slots that each pool had then."""
    slots: dict[str, int] = {}
    count: dict[int, int] = defaultdict(int)
    found: dict[Key, tuple[int, dict[str, int]]] = {}
    for event in it.rows["events"]:
        data = event["data"]
        if event["kind"].startswith("pool.") and "slots" in data:
            slots[data["pool"]] = data["slots"]
        elif event["kind"] == OPENED:
            count[event["stage_id"]] += 1
            stage = it.stages[event["stage_id"]]
            found[stage["job_id"], stage["name"], count[stage["id"]]] = event["id"], dict(slots)
    return found


def held(it: Evidence) -> dict[Key, dict[str, int]]:
    """The slots of each attempt: what its stage needs, or more."""
    found = {}
    for row in it.rows["attempts"]:
        stage = it.stages[row["stage_id"]]
        found[stage["job_id"], stage["name"], row["number"]] = row["slots"] or stage["needs"]
    return found


def pools_are_never_over_their_slots(it: Evidence) -> Iterator[Violation]:
    """At no moment ran more, by the journal, than the pools had slots when the last of it was opened."""
    opened = slots_when_opened(it)
    needs = held(it)
    running: set[Key] = set()
    begins = [(run.begin, False, key) for key, run in it.runs.items()]
    ends = [(run.last, True, key) for key, run in it.runs.items()]  # after its begin, also where both are one line
    for t, ended, key in sorted(begins + ends):
        if ended:
            running.discard(key)
            continue
        running.add(key)
        for pool in (name for name, n in needs[key].items() if n):
            users = [one for one in running if needs[one].get(pool)]
            # It may have been shrunk since under what runs in it.
            openings = sorted((opened[one] for one in users if one in opened), key=lambda one: one[0])
            slots = openings[-1][1][pool] if openings else 0
            used = sum(needs[one][pool] for one in users)
            if used > slots:
                names = ", ".join(sorted(name_of(one) for one in users))
                yield Violation(f"{used} slots of {pool} were used, of {slots}, at {t:.3f}: {names}", key[0])


def the_queue_counts_the_same(it: Evidence) -> Iterator[Violation]:
    """The same by the events: nothing was opened that had no room, or stood in a pool that was paused."""
    slots: dict[str, int] = {}
    paused: dict[str, bool] = {}
    holding: dict[int, dict[str, int]] = {}
    following: dict[int, int] = {}  # what has no slots before another one has given them back
    for event in it.rows["events"]:
        data, stage = event["data"], event["stage_id"]
        if event["kind"].startswith("pool."):
            slots[data["pool"]] = data.get("slots", slots.get(data["pool"], 0))
            paused[data["pool"]] = data.get("paused", paused.get(data["pool"], False))
        elif event["kind"] == OPENED:
            if (before := data.get("behind")) in holding or before in following:
                following[stage] = before
            else:
                holding[stage] = data.get("slots") or it.stages[stage]["needs"]
            for pool, wanted in it.stages[stage]["needs"].items():
                used = sum(needs.get(pool, 0) for needs in holding.values())
                if wanted and used > slots[pool]:
                    yield Violation(f"event {event['id']} opens an attempt with {used} of {slots[pool]} {pool} slots")
                if wanted and paused[pool]:
                    yield Violation(f"event {event['id']} opens an attempt in {pool}, which is paused", event["job_id"])
        elif event["kind"].startswith("stage.") and event["kind"] not in MOVED:
            following.pop(stage, None)
            if holding.pop(stage, None) is not None:
                for other in [one for one, before in following.items() if before == stage]:
                    del following[other]
                    holding[other] = it.stages[other]["needs"]
    for stage in holding:
        yield Violation("it holds slots at the end", it.stages[stage]["job_id"])


def held_jobs_do_not_start(it: Evidence) -> Iterator[Violation]:
    """Between a hold and a release nothing of the job is opened; and what was answered is in the queue."""
    held: set[int] = set()
    for event in it.rows["events"]:
        job = event["job_id"]
        if event["kind"] == "job.held" or (event["kind"] == "job.submitted" and event["data"].get("held")):
            held.add(job)
        elif event["kind"] == "job.released":
            held.discard(job)
        elif event["kind"] == OPENED and job in held:
            yield Violation(f"event {event['id']} opens an attempt of a held job", job)
    kinds = {"hold": "job.held", "release": "job.released", "cancel": "job.cancelled"}
    there = {(event["kind"], event["job_id"]) for event in it.rows["events"]}
    for said in it.answers(*kinds, said="yes"):
        if (kinds[said.what], said.numbers[0]) not in there:
            yield Violation(f"a {said.what} was answered, and the queue knows nothing of it", said.numbers[0])
