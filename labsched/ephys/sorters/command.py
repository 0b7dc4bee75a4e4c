"""``python -m labsched.ephys sort``: stage 2 with another sorter than klusta; and ``sorters``: their environments."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from ..klusta.command import threads
from .catalogue import NAMES, SORTERS


def main(words: Sequence[str]) -> int:
    """Sort a de-noised block; exit code 0, or 143 after a SIGTERM (130 after Ctrl-C)."""
    parser = argparse.ArgumentParser(
        prog="python -m labsched.ephys sort",
        description="Sort a de-noised block with a sorter of an environment of its own: NAME.kwik, NAME.kwx and "
        "NAME.sorting.json in the target, as klusta leaves them.",
        epilog="example: python -m labsched.ephys sort mountainsort5 --sorters ~/.local/share/labsched/sorters "
        "--target data/phy/demo --name demo",
        allow_abbrev=False,
    )
    parser.add_argument("sorter", choices=NAMES, metavar="SORTER", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--sorters", required=True, metavar="DIR", help="the folder of the sorters' environments")
    parser.add_argument(
        "--target", required=True, metavar="DIR", help="the folder where the denoise stage left its results"
    )
    parser.add_argument("--name", required=True, help="name of the block")
    parser.add_argument(
        "--threads", type=threads, default=1, metavar="N", help="processors to use (default: 1), or granted"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed, the same result (default: 1)")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="an option of the sorter's own"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a finished sorting")
    asked = parser.parse_args(list(words))
    from ..attend import Stopped
    from .run import sort

    try:
        sorting = sort(
            asked.target, asked.name, asked.sorter, asked.sorters, threads=asked.threads, seed=asked.seed,
            settings=asked.settings, overwrite=asked.overwrite, say=lambda line: print(line, flush=True),
        )  # fmt: skip
    except Stopped as stop:
        print("stopped: the next attempt goes on from the shanks that are sorted so far", flush=True)
        return 128 + int(stop.args[0])
    for warning in sorting.warnings:
        print(f"WARNING: {warning}")
    print(f"sorted {sorting.name}: {sorting.note()}, in {sorting.wall_s:.1f} s")
    for shank in sorting.shanks:
        print(f"  shank {shank.number}: {len(shank.samples):,} spikes, {len(shank.units)} clusters")
    print(f"  {sorting.kwik}")
    return 0


def environments(words: Sequence[str]) -> int:
    """Install a sorter, or list them all (one JSON value)."""
    parser = argparse.ArgumentParser(
        prog="python -m labsched.ephys sorters",
        description="The environments of sorters: install one, or list them as JSON.",
        epilog="example: python -m labsched.ephys sorters install mountainsort5 --sorters sorters",
        allow_abbrev=False,
    )
    parser.add_argument("what", choices=("install", "list"))
    parser.add_argument("sorter", nargs="?", help="which to install")
    parser.add_argument("--sorters", required=True, metavar="DIR", help="the folder of the environments")
    parser.add_argument("--again", action="store_true", help="make it anew")
    asked = parser.parse_args(list(words))
    if asked.what == "install":
        if not asked.sorter:
            parser.error(f"say which sorter to install: {', '.join(NAMES)}")
        from .environments import install

        install(asked.sorters, asked.sorter, lambda line: print(line, flush=True), again=asked.again)
        return 0
    print(json.dumps(listed(asked.sorters)))
    return 0


def listed(sorters: str | Path) -> list[dict[str, object]]:
    """Every sorter: what it is, and what is installed of it."""
    from .environments import look

    rows: list[dict[str, object]] = []
    for sorter in SORTERS.values():
        found = look(sorters, sorter.name)
        rows.append(
            {
                "sorter": sorter.name, "says": sorter.says, "installed": found is not None,
                "version": found.version if found else None, "outdated": bool(found and found.outdated),
                "folder": str(Path(sorters) / sorter.name),
            }
        )  # fmt: skip
    return rows
