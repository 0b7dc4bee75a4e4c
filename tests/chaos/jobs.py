"""The jobs of a story: the same seed makes the same ones."""

import json
import os
import sys
from pathlib import Path
from random import Random

from labsched.core.model import JobSpec, Retry, StageSpec

STAGE = str(Path(__file__).with_name("stage.py"))
POOLS = {"A": 2, "B": 3, "C": 1}
LARGEST = {"A": 3, "B": 4, "C": 2}  # slots that a pool is ever given
NEEDS = ({"A": 1}, {"A": 1}, {"A": 2}, {"B": 1}, {"B": 1}, {"B": 2}, {"B": 3}, {"A": 1, "B": 1}, {"C": 1}, {})
CODES = ([0], [0], [0], [0], [3], [3, 0], [3, 4, 0], [1, 1, 1, 0], [75, 0], [75, 3, 0], [255])
POLICIES = (
    *(None, None, None),
    Retry(1, 0.05),
    Retry(2, 0.2),
    Retry(3, 0.1, (3, 4)),
    Retry(2, 0.05, (3, 137)),
    Retry(5, 0.3),
)
KINDS = ("plain",) * 7 + ("polite", "deaf")
BELOW = ("none",) * 6 + ("child", "session", "daemon", "exec", "deaf")
MARK = "LABSCHED_CHAOS"


def batch(random: Random, who: str, number: int, journal: Path, mark: str, before: list[int]) -> tuple[JobSpec, ...]:
    """One to four jobs of one request, each with a name that no other request has.

    `before`: numbers of jobs that some of them come after.
    """
    jobs: list[JobSpec] = []
    for letter in "abcd"[: random.choice((1, 1, 2, 3, 4))]:
        after: list[int | str] = []
        if jobs and random.random() < 0.5:
            after.append(random.choice(jobs).name)
        if before and random.random() < 0.2:
            after.append(random.choice(before))
        name = f"{who}-{number}-{letter}"
        stages = tuple(_stage(random, journal, stage) for stage in ("one", "two", "three")[: random.choice((1, 2, 3))])
        jobs.append(
            JobSpec(
                name=name,
                stages=stages,
                key=name if random.random() < 0.3 else None,
                env={"PATH": os.environ["PATH"], MARK: mark, "SAID": random.choice(("", "ä\n'$x", "x" * 50))},
                after=tuple(after),
                priority=random.choice((0, 0, 0, 5, -3)),
                hold=random.random() < 0.08,
            )
        )
    return tuple(jobs)


def _stage(random: Random, journal: Path, name: str) -> StageSpec:
    hangs = random.random() < 0.06
    plan = {
        "codes": random.choice(CODES),
        "seconds": round(random.uniform(0.02, 0.6), 3),
        "lines": random.randrange(1, 9),
        "kind": "hang" if hangs else random.choice(KINDS),
        "below": random.choice(BELOW),
    }
    return StageSpec(
        name=name,
        argv=(sys.executable, "-I", "-S", STAGE, str(journal), json.dumps(plan)),
        needs=dict(random.choice(NEEDS)),
        cwd=random.choice(("/", "/usr")),
        time_limit=random.choice((0.5, 0.5, None)) if hangs else random.choice((None, None, 600.0)),
        env={"EXTRA": name} if random.random() < 0.3 else {},
        retry=random.choice(POLICIES),
    )
