"""Make a virtual environment that was built below a staging folder one that stands at its final place.

``python relocate.py STAGE FINAL``, run by the environment's own interpreter. Afterwards the environment does not work
where it was built, no file in it names the staging folder, and its bytecode is there: nothing is written into it later.
Ends with 1 and a sentence where a path is left.
"""

import compileall
import os
import py_compile
import sys
from pathlib import Path

#: For shells and for changing the environment; a server's is used through its programs, and changed by installing.
NEEDLESS = ("activate", "activate.csh", "activate.fish", "Activate.ps1")


def main(stage: str, final: str) -> int:
    root = Path(stage + final)
    for name in NEEDLESS:
        (root / "bin" / name).unlink(missing_ok=True)
    for path in (*(root / "bin").iterdir(), root / "pyvenv.cfg"):
        if path.is_file() and not path.is_symlink():
            replace(path, os.fsencode(stage + final), os.fsencode(final))
    # Not by time: then the same sources make the same files, whenever they are built.
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    # Some packages carry files that are not meant for this Python: nobody imports them.
    how = {"force": True, "quiet": 2, "workers": 0, "invalidation_mode": unchecked}
    compileall.compile_dir(root, stripdir=stage, prependdir="/", **how)
    left = [path for path in files(root) if os.fsencode(stage) in path.read_bytes()]
    if left:
        print(f"these files still name {stage}: {', '.join(map(str, left))}", file=sys.stderr)
    return 1 if left else 0


def files(root: Path) -> list[Path]:
    """Every file below a folder, links left out."""
    return [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]


def replace(path: Path, old: bytes, new: bytes) -> None:
    """Change what a file says; its mode stays."""
    text = path.read_bytes()
    if old in text:
        path.write_bytes(text.replace(old, new))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
