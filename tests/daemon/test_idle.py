"""A daemon that has nothing to do does nothing, and is small."""

import re
import time
from pathlib import Path

from labsched.daemon.pruning import FIRST_S
from tests.worlds import World, command, eventually, world

WINDOW_S = 2.0
MOST_MIB = 60.0  # of a daemon that has served a few requests; it takes 45 to 50


def wake_ups(it: World) -> int:
    """How often a thread of the daemon, or of the process that stands by it to start stages, was woken up so far."""
    assert it.process is not None
    found = 0
    for pid in family(it.process.pid):
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            found += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read_text(), re.M)[1])  # type: ignore[index]
    return found


def family(pid: int) -> list[int]:
    children = [int(word) for file in Path(f"/proc/{pid}/task").glob("*/children") for word in file.read_text().split()]
    return [pid, *(one for child in children for one in family(child))]


def test_nothing_wakes_it_up_where_there_is_nothing_to_do() -> None:
    with world() as it:
        it.wait(*it.submit(command("true"), command("false")))
        eventually(lambda: it.status().uptime > FIRST_S + 1)  # then all that goes on for ever has begun

        def still() -> bool:
            before = wake_ups(it)
            time.sleep(WINDOW_S)
            return wake_ups(it) == before

        eventually(still, 30)


def test_it_is_small_and_has_loaded_nothing_that_few_ask_for() -> None:
    with world() as it:
        it.wait(*it.submit(command("true")))
        it.status()
        assert it.process is not None
        rollup = Path(f"/proc/{it.process.pid}/smaps_rollup").read_text()
        size = int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.M)[1]) / 1024  # type: ignore[index]
        assert size < MOST_MIB
        loaded = Path(f"/proc/{it.process.pid}/maps").read_text()
        for heavy in ("numpy", "h5py", "scipy", "psutil"):
            assert f"/{heavy}" not in loaded, heavy
