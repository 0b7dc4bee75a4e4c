"""What the daemon finds when it examines itself, for `labsched doctor`."""

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from labsched.core.model import Pool
from labsched.core.units import size
from labsched.daemon import privileges
from labsched.daemon.examine import examine
from labsched.daemon.privileges import Mode
from labsched.recipes import folders
from labsched.wire.messages import Finding

WHOM = {
    Mode.EACH: "it serves everybody who reaches its socket; each stage runs as its submitter",
    Mode.OWN: "it serves its own user alone, and root; all stages run as that user",
    Mode.SHARED: "it serves everybody who reaches its socket; all stages run as its own user",
}
LITTLE = 1_000_000_000  # bytes free under which the queue is in danger


def findings(
    state: Path,
    pools: Mapping[str, Pool],
    sort: Mapping[str, Any],
    mode: Mode,
    trouble: str | None,
    unfenced: str | None,
    full: bool,
) -> Iterator[Finding]:
    """One finding after the other: the blocks' folders, the queue, its disk, the machine, the pools."""
    yield Finding(level="ok", what=WHOM[mode])
    if lacking := privileges.lacking():
        yield Finding(
            level="note",
            what=f"to run others' stages it lacks {', '.join(lacking)}",
            mend="give it all of AmbientCapabilities= in its unit, or none",
        )
    # Else whoever asks looks for themselves: it is their right to read and write that counts.
    for level, what, mend in folders.examine(sort) if mode is not Mode.EACH else ():
        yield Finding(level=level, what=what, mend=mend)
    if trouble:
        yield Finding(level="problem", what=f"nothing starts: {trouble}", mend="mend that; it goes on by itself")
    yield from examine(state, full, time.time())
    free = shutil.disk_usage(state).free
    if free < LITTLE:
        yield Finding(
            level="problem", what=f"{size(free)} are left for {state}", mend="make room: logs and queue live there"
        )
    else:
        yield Finding(level="ok", what=f"{size(free)} are free for {state}")
    memory = psutil.virtual_memory()
    yield Finding(level="ok", what=f"{size(memory.available)} of {size(memory.total)} memory are available")
    if unfenced:
        yield Finding(
            level="note",
            what=f"the kernel keeps no stage within its --memory, labsched watches them instead: {unfenced}",
            mend="run the daemon as a service of systemd, with cgroups of version 2",
        )
    else:
        yield Finding(level="ok", what="the kernel keeps each stage within its --memory, in a cgroup of its own")
    words = ", ".join(f"{pool.name} {pool.slots}" + (" (paused)" if pool.paused else "") for pool in pools.values())
    yield Finding(level="ok", what=f"pools: {words}")
    processors = len(os.sched_getaffinity(0))
    if "CPU" in pools and pools["CPU"].slots > processors:
        yield Finding(
            level="note",
            what=f"CPU has {pools['CPU'].slots} slots, and the machine {processors} processors",
            mend=f"labsched pool set CPU {processors}, unless that is meant",
        )
