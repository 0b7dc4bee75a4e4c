"""``python -m tests.fuzz [REQUESTS] [SEED]``, as root: the long run."""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.storm import LIMITS, quick, storm
from tests.people.conftest import OpenWorld, config
from tests.people.users import people
from tests.worlds import world


def main(count: int = 100_000, seed: int | None = None) -> None:
    """Send so many requests to a daemon of its own, and say what came of it."""
    start = seed if seed is not None else int(time.time()) % 1_000_000
    print(f"fuzz: {count} requests, SEED={start}", flush=True)
    with TemporaryDirectory(prefix="ls-homes-") as folder:
        Path(folder).chmod(0o755)
        with people(Path(folder)) as crowd, world(config(crowd[2], LIMITS), kind=OpenWorld) as it:
            print(storm(it, crowd, count, start))
            print(f"a status on a connection of its own: {quick(it) * 1000:.1f} ms; nothing was found")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
