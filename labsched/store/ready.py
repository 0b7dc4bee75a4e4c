"""Jobs in the form in which they are stored.

Made before the transaction that queues them, for nobody else can write while that goes on.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from labsched.core.model import JobSpec, Needs, StageSpec


@dataclass(frozen=True, slots=True)
class Ready:
    """A job that may be queued. `variables` is its environment, as JSON, which `digest` identifies; `stages` are
    columns of theirs by name."""

    name: str
    recipe: str
    key: str | None
    priority: int
    hold: bool
    again: bool
    after: tuple[int | str, ...]
    digest: str
    variables: str
    not_before: float | None
    needs: Needs  # of its first stage
    stages: tuple[Mapping[str, Any], ...]


def ready(specs: Iterable[JobSpec]) -> Iterator[Ready]:
    """Each of these jobs, ready. An environment that one shares with the job before it is looked at once."""
    env: Mapping[str, str] | None = None
    digest = variables = ""
    for spec in specs:
        if spec.env is not env:
            env = spec.env
            digest, variables = hashlib.sha256(json.dumps(env, sort_keys=True).encode()).hexdigest(), _text(env)
        yield Ready(
            *(spec.name, spec.recipe, spec.key, spec.priority, spec.hold, spec.again, spec.after, digest, variables),
            *(spec.not_before, spec.stages[0].needs),
            tuple(_stage(position, stage) for position, stage in enumerate(spec.stages)),
        )


def _stage(position: int, stage: StageSpec) -> dict[str, Any]:
    return {
        "position": position,
        "name": stage.name,
        "argv": _text(stage.argv),
        "cwd": stage.cwd,
        "env": _text(stage.env),
        "outputs": _text(stage.outputs),
        "needs": _text(stage.needs),
        "up_to": _text(stage.up_to) if stage.up_to else None,
        "time_limit": stage.time_limit,
        "memory": stage.memory,
        "retry": None if stage.retry is None else _text(asdict(stage.retry)),
    }


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
