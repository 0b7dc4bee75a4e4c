"""Measure the scheduler, and write docs/performance.md.

    python -m benchmarks.scheduler [PART...] [--quick] [--peers FOLDER]

Exit code 1 where a part could not be measured: its section stays as it is.
"""

import argparse
import os
import sys
import tempfile
import traceback
from pathlib import Path

from benchmarks.scheduler import page
from benchmarks.scheduler.parts import PARTS
from benchmarks.scheduler.processes import bounded, end_all, guarded
from benchmarks.scheduler.sides.base import Bench
from labsched.cli.main import INTERRUPTED


def main() -> int:
    parts = {part.name: part for part in PARTS}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; default: all")
    parser.add_argument("--quick", action="store_true", help="a look: few of everything; the page is not written")
    parser.add_argument("--peers", type=Path, help="a virtual environment with peers; they are looked for there first")
    parser.add_argument("--page", type=Path, default=page.PAGE, help="the page to write (default: docs/performance.md)")
    given = parser.parse_args()
    if strange := sorted(set(given.parts) - set(parts)):
        parser.error(f"there is no part {strange[0]}: give some of {', '.join(parts)}")
    peers = given.peers.absolute() if given.peers else None
    if peers and not (peers / "bin").is_dir():
        parser.error(f"{given.peers} is no virtual environment: make one with python3 -m venv {given.peers}")
    bad = 0
    with tempfile.TemporaryDirectory(prefix="lb-", ignore_cleanup_errors=True) as folder, guarded():
        bench = Bench(Path(folder), given.quick, peers)
        for name in given.parts or parts:
            part = parts[name]
            print(f"measuring: {part.title} …", file=sys.stderr, flush=True)
            load = os.getloadavg()[0]
            try:
                with bounded(part.limit):
                    found = part.measure(bench)
            except Exception:
                traceback.print_exc()
                print(f"{name} was not measured; its section stays as it is", file=sys.stderr)
                bad = 1
                continue
            finally:
                end_all()
            text = page.section(part, found, bench.folder, load)
            print(text, end="\n\n", flush=True)
            if not given.quick:
                page.write(given.page, list(parts), {name: text})
    return bad


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
