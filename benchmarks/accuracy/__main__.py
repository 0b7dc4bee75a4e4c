"""``make bench-accuracy SEEDS=1,2,3 FAMILIES="linear-40-some-hum tetrode*"``: see `benchmarks.accuracy`."""

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

# One sort, one processor: as many recordings as there are processors are at work at once.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from . import families, report, rows  # noqa: E402
from .recordings import measured  # noqa: E402


def main() -> int:
    """Measure, print the table, write it into the page unless told not to; 1 where the verdict is against us."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("families", nargs="*", help="names or patterns; without them, each probe with each spread")
    parser.add_argument("--seeds", default="1", help="such as 1,2,3")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each recording (default: 60)")
    parser.add_argument("--rows", default=",".join(rows.TITLES), help=f"of {','.join(rows.TITLES)}")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="recordings at once")
    parser.add_argument("--bench", type=Path, default=Path(".bench"), help="where the peers and the cache are")
    parser.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
    asked = parser.parse_args()
    seeds, names = [int(each) for each in asked.seeds.split(",")], asked.rows.split(",")
    if unknown := set(names) - set(rows.TITLES):
        parser.error(f"no row is called {sorted(unknown)[0]}: they are {', '.join(rows.TITLES)}")
    try:
        chosen = families.chosen(asked.families)
    except ValueError as error:
        parser.error(str(error))
    python = asked.bench / "peers/bin/python"
    if not python.exists():
        if missing := [name for name in names if name in rows.FOREIGN]:
            print(f"left out, for {python} is not there (make bench-peers): {', '.join(missing)}", file=sys.stderr)
        names, python = [name for name in names if name not in rows.FOREIGN], None
    found: report.Found = {}
    with ProcessPoolExecutor(max(asked.jobs, 1)) as pool:
        waiting = {
            pool.submit(
                measured, family, seed, asked.seconds, names, (asked.bench / "accuracy").absolute(),
                python.absolute() if python else None,
            ): (family, seed)
            for seed in seeds
            for family in chosen
        }  # fmt: skip
        for future in as_completed(waiting):
            family, seed = waiting[future]
            found[family, seed] = future.result()
            print(json.dumps({"family": family.name, "seed": seed, **found[family, seed]}), flush=True)
    found = {key: found[key] for key in sorted(found, key=lambda key: (chosen.index(key[0]), key[1]))}
    print("\n" + report.text(found, names))
    said = report.verdict(found)
    print("\n" + "\n".join(said.lines))
    if asked.write:
        report.write(found, names, asked.seconds, asked.families)
    return 0 if said.good else 1


if __name__ == "__main__":
    sys.exit(main())
