"""What was queued is there, as it was queued; what was not, is not."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import astuple
from typing import Any

from msgspec import structs

from labsched.core.model import JobSpec
from tests.chaos.evidence import Evidence, Violation
from tests.chaos.people import NO, NOBODY, YES


def acknowledged_jobs_are_there_as_submitted(it: Evidence) -> Iterator[Violation]:
    """Every one, under the number that was answered, with all its fields."""
    for said in it.answers("submit", said=YES):
        if len(said.numbers) != len(said.jobs):
            yield Violation(f"{len(said.jobs)} jobs were queued, and {len(said.numbers)} numbers answered")
        known = {spec.name: number for number, spec in zip(said.numbers, said.jobs, strict=False)}
        for number, spec in zip(said.numbers, said.jobs, strict=False):
            yield from _same(it, number, spec, known)


def refused_jobs_are_not_there(it: Evidence) -> Iterator[Violation]:
    """Who is told no may ask again."""
    there = _by_name(it)
    for said in it.answers("submit", said=NO):
        for spec in said.jobs:
            for number in there.get(spec.name, ()):
                yield Violation(f"{spec.name} was refused ({said.sentence}), and is there", number)


def unanswered_requests_are_there_whole_or_not_at_all(it: Evidence) -> Iterator[Violation]:
    """And if they are, with all their fields, too."""
    there = _by_name(it)
    for said in it.answers("submit", said=NOBODY):
        found = [there[spec.name][0] for spec in said.jobs if spec.name in there]
        if found and len(found) < len(said.jobs):
            yield Violation(
                f"of a request of {len(said.jobs)} jobs that got no answer, {len(found)} are there", found[0]
            )
        elif found:
            known = {spec.name: number for number, spec in zip(found, said.jobs, strict=True)}
            for number, spec in zip(found, said.jobs, strict=True):
                yield from _same(it, number, spec, known)


def nothing_else_is_there(it: Evidence) -> Iterator[Violation]:
    """No job that nobody asked for, and none twice."""
    asked = {spec.name for said in it.answers("submit") for spec in said.jobs}
    for name, numbers in _by_name(it).items():
        if len(numbers) > 1:
            yield Violation(f"{name} was queued once, and is there as {numbers}", numbers[0])
        if name not in asked:
            yield Violation(f"nobody asked for {name}", numbers[0])


def _by_name(it: Evidence) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for row in it.rows["jobs"]:
        found[row["name"]].append(row["id"])
    return found


def _same(it: Evidence, number: int, spec: JobSpec, known: dict[str, int]) -> Iterator[Violation]:
    job = it.jobs.get(number)
    if job is None:
        yield Violation(f"{spec.name} was queued, and is not there", number)
        return
    after = tuple(sorted({known[ref] if isinstance(ref, str) else ref for ref in spec.after}))
    asked: dict[str, Any] = {
        "name": spec.name, "recipe": spec.recipe, "key": spec.key, "priority": spec.priority, "after": after,
    }  # fmt: skip
    for name, value in asked.items():
        if getattr(job, name) != value:
            yield Violation(f"its {name} is {getattr(job, name)!r}, not {value!r}", number)
    if len(job.stages) != len(spec.stages):
        yield Violation(f"it has {len(job.stages)} stages, not {len(spec.stages)}", number)
    for there, stage in zip(job.stages, spec.stages, strict=False):
        for name in ("name", "argv", "needs", "cwd", "outputs", "time_limit"):
            if getattr(there, name) != getattr(stage, name):
                yield Violation(f"{stage.name}: its {name} is not as submitted", number)
        if there.env_values != {**spec.env, **stage.env}:
            yield Violation(f"{stage.name}: its environment is not as submitted", number)
        policy = None if there.retry is None else structs.astuple(there.retry)
        if policy != (None if stage.retry is None else astuple(stage.retry)):
            yield Violation(f"{stage.name}: its retry policy is not as submitted", number)
