"""The state of a queue as its events tell it, and nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labsched.core.states import MOVES, Move, Outcome, State


@dataclass
class Told:
    """What events say: who holds each job, where each stage is (unless it waits since it was queued), the pools."""

    held_by: dict[int, str | None] = field(default_factory=dict)
    stages: dict[tuple[int, object], tuple[State, Outcome | None]] = field(default_factory=dict)
    pools: dict[str, tuple[int, bool]] = field(default_factory=dict)  # slots, paused

    def hear(self, kind: str, job: int | None, stage: object, user: str | None, data: Mapping[str, Any]) -> None:
        """One event more. `stage` is whatever tells one of a job's stages from the others."""
        what, _, how = kind.partition(".")
        if kind == "jobs.pruned":
            for gone in data["jobs"]:
                del self.held_by[gone]
            self.stages = {place: at for place, at in self.stages.items() if place[0] not in data["jobs"]}
        elif what == "pool":
            slots, paused = self.pools.get(data["pool"], (0, False))
            self.pools[data["pool"]] = data.get("slots", slots), data.get("paused", paused)
        elif kind == "job.submitted":
            assert job is not None and job not in self.held_by
            self.held_by[job] = user if data.get("held") else None
        elif kind == "job.held":
            assert job is not None
            self.held_by[job] = self.held_by[job] or user
        elif kind == "job.released":
            assert job is not None and self.held_by[job]
            self.held_by[job] = None
        elif what == "stage":
            assert job in self.held_by
            old, new = MOVES[Move(data["move"])]
            assert self.stages.get((job, stage), (State.WAITING, None))[0] == old
            outcome = Outcome(how) if how in list(Outcome) else None
            assert (new == State.ENDED) == (outcome is not None)
            self.stages[(job, stage)] = new, outcome

    @property
    def moved(self) -> dict[tuple[int, object], tuple[State, Outcome | None]]:
        """The stages that are not as they were queued."""
        return {place: at for place, at in self.stages.items() if at != (State.WAITING, None)}


def replay(events: Iterable[tuple[str, int | None, object, str | None, Mapping[str, Any]]]) -> Told:
    """All of the events: kind, job, stage, user, data."""
    told = Told()
    for event in events:
        told.hear(*event)
    return told
