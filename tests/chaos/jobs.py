"""The jobs of a story: the same seed makes the same ones."""

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

from labsched.core.model import JobSpec, Retry, StageSpec

STAGE = str(Path(__file__).with_name("stage.py"))
QUICK = Path(__file__).with_name("quick.c")
SWEEPS, SWEEP = 0.25, 12  # how many of the requests are sweeps; the jobs of one
POOLS = {"A": 2, "B": 3, "C": 1, "Q": 2}
LARGEST = {"A": 3, "B": 4, "C": 2, "Q": 3}  # slots that a pool is ever given
ELASTIC = 0.2  # of the stages can use more slots than they need
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
    if random.random() < SWEEPS and (quick := program()):
        return tuple(_one_of_a_sweep(random, f"{who}-{number}-{i}", quick, journal, mark) for i in range(SWEEP))
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


def _one_of_a_sweep(random: Random, name: str, quick: str, journal: Path, mark: str) -> JobSpec:
    """A job that ends at once, of a line that has a pool for itself: others follow it (`store.followers`)."""
    argv = (quick, str(journal), str(random.randrange(1, 9)), *map(str, random.choice(CODES)))
    stage = StageSpec(name="one", argv=argv, needs={"Q": 1}, cwd="/", retry=random.choice(POLICIES))
    return JobSpec(name=name, stages=(stage,), env={"PATH": os.environ["PATH"], MARK: mark})


@functools.cache
def program() -> str | None:
    """quick.c, compiled; None where there is no compiler."""
    if (compiler := shutil.which("cc")) is None:
        return None
    path = Path(tempfile.mkdtemp(prefix="chaos-quick-")) / "quick"
    subprocess.run([compiler, "-O1", "-static", "-o", str(path), str(QUICK)], check=True)
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    return str(path)


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
        needs=(needs := dict(random.choice(NEEDS))),
        up_to={pool: n + 3 for pool, n in needs.items()} if random.random() < ELASTIC else {},
        cwd=random.choice(("/", "/usr")),
        time_limit=random.choice((0.5, 0.5, None)) if hangs else random.choice((None, None, 600.0)),
        env={"EXTRA": name} if random.random() < 0.3 else {},
        retry=random.choice(POLICIES),
    )
