"""``python -m labsched.ephys report``: the report of a block, without a daemon."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from ..errors import EphysError

SORTED, DENOISED = ".sorting.json", ".denoise.json"


def main(words: Sequence[str]) -> int:
    """Make the report and print where it is; exit code 0, or 1 with a sentence."""
    parser = argparse.ArgumentParser(
        prog="python -m labsched.ephys report",
        description="Make NAME.report.html, beside the results of a block: one page that opens in any browser.",
        epilog="example: python -m labsched.ephys report data/phy/demo",
        allow_abbrev=False,
    )
    parser.add_argument("target", metavar="TARGET", type=Path, help="the folder of the results, or one of its files")
    parser.add_argument("--name", help="name of the block, where the folder has several")
    parser.add_argument("--json", action="store_true", help="say where it is as JSON")
    asked = parser.parse_args(list(words))
    folder, name = block(asked.target, asked.name)
    from .make import make

    path = make(folder, name)
    print(json.dumps({"name": name, "report": str(path.resolve())}, ensure_ascii=False) if asked.json else path)
    return 0


def block(target: Path, name: str | None) -> tuple[Path, str]:
    """(The folder, the block's name) that a person means. Raises EphysError where that is not clear."""
    if target.is_file():
        known = (SORTED, DENOISED, ".report.html", ".raw.kwd", ".kwik", ".kwx", ".prm", ".prb", ".dat")
        suffix = next((each for each in known if target.name.endswith(each)), "")
        return target.parent, name or target.name.removesuffix(suffix)
    if not target.is_dir():
        raise EphysError(f"there is no folder {target}: name the one where a block's results are")
    names = {path.name.removesuffix(DENOISED) for path in target.glob(f"*{DENOISED}") if path.name != DENOISED}
    if name:
        if name not in names:
            has = f"it has {', '.join(sorted(names))}" if names else "it has none"
            raise EphysError(f"{target} has no block {name}: {has}")
        return target, name
    if len(names) != 1:
        what = f"has {len(names)} blocks ({', '.join(sorted(names))}): say which with --name" if names else (
            "has no results of a block (no *.denoise.json): name the folder that has"
        )  # fmt: skip
        raise EphysError(f"{target} {what}")
    return target, names.pop()
