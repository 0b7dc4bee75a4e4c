"""``python -m labsched.ephys export TARGET --to phy``: a finished sorting in another program's format."""

import argparse
import importlib
import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import EphysError

#: Format -> (what follows the block's name, the module that writes it, what opens it).
FORMATS = {
    "phy": (".phy", "phy", "phy template-gui {path}/params.py"),
    "nwb": (".nwb", "nwb", "python -m nwbinspector {path}"),
    "spikeinterface": (".sorting.spikeinterface", "spikeinterface", "in Python: spikeinterface.load({path!r})"),
}


def main(words: Sequence[str]) -> int:
    """Write the export and say where it is and what opens it; exit code 0."""
    parser = argparse.ArgumentParser(
        prog="python -m labsched.ephys export",
        description="Write a finished sorting in another program's format, beside the results.",
        epilog="example: python -m labsched.ephys export data/phy/demo --to phy",
    )
    parser.add_argument("target", metavar="TARGET", help="the folder with NAME.kwik")
    parser.add_argument("--to", required=True, choices=tuple(FORMATS), help="which format")
    parser.add_argument("--name", help="name of the block; needed where the folder has several")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export")
    asked = parser.parse_args(list(words))
    # matrices are small here: threads of the linear algebra would wait for each other. It reads this on import.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    path, note = export(asked.target, asked.name or the_one(Path(asked.target)), asked.to, overwrite=asked.overwrite)
    if note:
        print(f"note: {note}")
    print(f"exported to {path}")
    print(f"  {FORMATS[asked.to][2].format(path=str(path))}")
    return 0


def export(folder: str | Path, name: str, to: str, *, overwrite: bool = False) -> tuple[Path, str]:
    """(Where the export is, what a person should know). Raises EphysError: not sorted, it is there already, a package
    is missing, or it cannot be written."""
    from ..qc.metrics import table
    from ..qc.units import load
    from .place import made

    suffix, module, _ = FORMATS[to]
    writer = importlib.import_module(f".{module}", __package__)
    final = Path(folder).resolve() / f"{name}{suffix}"
    if not final.parent.is_dir():
        raise EphysError(f"there is no folder {folder}: correct the path")
    with made(final, overwrite) as partial:
        found = load(folder, name)
        note = writer.write(found, table(found), partial)
    return final, note


def the_one(folder: Path) -> str:
    """The name of the only sorted block in a folder. Raises EphysError where there is none, or more than one."""
    end = ".sorting.json"
    names = sorted(path.name.removesuffix(end) for path in folder.glob(f"*{end}"))
    names = [name for name in names if not name.rpartition(".")[2].startswith("before-")]
    if not names:
        raise EphysError(
            f"{folder} has no finished sorting (no NAME{end}): wait for the klusta stage, or correct the path"
        )
    if len(names) > 1:
        raise EphysError(f"{folder} has several sortings: say which with --name: {', '.join(names)}")
    return names[0]
