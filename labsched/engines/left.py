"""What a shim that was killed leaves behind: found by its mark and its cgroup, ended, and reckoned up."""

import contextlib
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from labsched.engines import processes
from labsched.engines.cgroups import Group

MARK = "LABSCHED_PROGRESS"  # what no other attempt's environment has: whoever has it is of this attempt's tree


class Left(NamedTuple):
    """The processes of an attempt: `mark` is what their environment has, `uid` whose they are (None: anybody's).

    All that is done with them looks at every process of the machine: nothing for the event loop.
    """

    mark: bytes
    uid: int | None
    group: Group | None

    def end(self) -> bool:
        """Kill them all; whether there were any, that may not be gone yet. Raises OSError."""
        return processes.kill_marked(self.mark, self.uid) | (self.group is not None and self.group.kill())

    def reckon(self) -> dict[str, Any]:
        """What they took, as far as their group knows: peak memory (bytes), processor time (s). The group goes."""
        if self.group is None:
            return {}
        known: dict[str, Any] = {}
        with contextlib.suppress(OSError, KeyError):
            taken, known["cpu_time"] = self.group.taken(), self.group.cpu_time()
            known["peak_memory"] = max(taken.peak - taken.cache, 0)
        self.group.remove(tries=3)  # it is empty
        return known


def of(known: Mapping[str, Any]) -> Left:
    """By what its shim has noted when it began (`rundir.Record`)."""
    where = known.get("group")
    return Left(os.fsencode(known["mark"]), known["uid"], Group(*where) if where else None)
