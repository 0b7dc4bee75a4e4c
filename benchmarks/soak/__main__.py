"""A day of a lab's traffic in 20 minutes: does anything grow that should not?

    python -m benchmarks.soak [--seconds 1200]

A daemon of its own, many people at once (as many as one user can be), short jobs: submits, cancels, retries, failures,
holds, logs read and followed, the status polled, events followed, prune by its settings. Prints a table, and exits with
1 where a bound is broken, or somebody saw an error.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.scheduler.figures import Table
from benchmarks.scheduler.ours import Queue, queue
from benchmarks.scheduler.processes import guarded
from benchmarks.soak.traffic import Lab, settings
from benchmarks.soak.watch import Look, broken, cells, head, look
from labsched.cli.main import INTERRUPTED

POOLS = {"RAM": 2, "CPU": 4}
LOOKS = 60  # in all
WARM = 0.15  # of the time: until there is as much as there will be


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1200.0, help="how long (default: 1200)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lb-", ignore_cleanup_errors=True) as folder, guarded():
        with queue(Path(folder), POOLS, settings()) as it:
            with Lab(it) as lab:
                looks = watched(it, given.seconds)
            jobs = it.status()
            log = (it.folder / "daemon.log").read_text()
        shown = looks[:: max(len(looks) // 12, 1)]
        rows = [(f"{at:.0f}", *cells(one)) for at, one in shown]
        print(Table(("second", *head()), rows).markdown())
        print(f"done: {', '.join(f'{what} {n:,}' for what, n in lab.done.most_common())}; {jobs.counts.waiting} wait")
    bad = broken([one for at, one in looks if at >= WARM * given.seconds])
    bad += [f"somebody saw an error: {error}" for error in lab.errors[:10]]
    bad += ["the daemon's log has a traceback:\n" + log[log.index("Traceback") :][:2000]] if "Traceback" in log else []
    bad += ["no job ever ran"] if not lab.done["jobs"] else []
    print("\n".join(bad) if bad else "every bound was kept")
    return int(bool(bad))


def watched(it: Queue, seconds: float) -> list[tuple[float, Look]]:
    """Look at regular times; stops early where the daemon has died."""
    began, found = time.monotonic(), []
    while (at := time.monotonic() - began) < seconds:
        if it.process.poll() is not None:
            raise SystemExit(f"the daemon died: {(it.folder / 'daemon.log').read_text()[-2000:]}")
        found.append((at, look(it)))
        time.sleep(max(0.0, min(seconds / LOOKS, seconds - at)))
    return found


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
