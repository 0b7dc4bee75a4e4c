"""What a shim is told of an attempt: all that it takes to run it, as JSON (`shim.live` reads it)."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from labsched.engines import left, rundir
from labsched.engines.base import Order
from labsched.engines.fences import Fences

UMASK = "LABSCHED_UMASK"  # the submitter's, octal, in the environment that a job takes along


@dataclass(frozen=True, slots=True)
class Settings:
    """How all attempts run; see `local.Local`."""

    grace: float = 10.0
    nice: int = 0
    as_submitter: bool = False
    umask: int | None = None
    limits: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    log_size: int | None = None


def spec(order: Order, settings: Settings, fences: Fences, behind: int | None = None) -> dict[str, Any]:
    """Of an attempt that is to follow another one, `behind` is that one."""
    env = dict(order.env)
    umask = env.pop(UMASK, "")
    env[left.MARK] = rundir.progress_path(order.folder, settings.as_submitter and order.uid != os.geteuid())
    group = fences.group(order.attempt)
    # On version 1 it may take many milliseconds to enter one: only for what needs it.
    if group is not None and not group.v2 and order.memory is None:
        group = None
    return {
        "attempt": order.attempt,
        "behind": behind,
        "folder": order.folder,
        "opened": order.opened,
        "mark": f"{left.MARK}={env[left.MARK]}",
        "argv": list(order.argv),
        "cwd": order.cwd,
        "env": env,
        "said": list(order.said),
        "outputs": list(order.outputs),
        "time_limit": order.time_limit,
        "stop_grace": settings.grace,
        "umask": settings.umask if settings.umask is not None else _mask(umask),
        "nice": settings.nice,
        "uid": order.uid if settings.as_submitter else None,
        "user": order.user,
        "limits": _limits(order, settings),
        "log_size": settings.log_size,
        "memory": order.memory,
        "group": [group.path, group.v2] if group is not None else None,
        "unfenced": fences.why if order.memory is not None else None,
    }


def encoded(said: Mapping[str, Any]) -> bytes:
    """A spec as it is sent."""
    try:
        return msgspec.json.encode(said)
    except UnicodeEncodeError:  # not all that an environment may have is text
        return json.dumps(said).encode()


def _limits(order: Order, settings: Settings) -> list[list[Any]]:
    own = settings.as_submitter and order.limits is not None
    pairs = enumerate(order.limits or ()) if own else settings.limits.items()
    return [[number, list(pair)] for number, pair in pairs]


def _mask(said: str) -> int:
    """A umask as a submitter's environment has it; 022 where it has none that makes sense."""
    return int(said, 8) if re.fullmatch("[0-7]{1,4}", said) and int(said, 8) <= 0o777 else 0o022
