"""The package that `make deb` has built, and an older version of it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

#: It takes minutes to try it, so `make test-deb` alone names it.
PACKAGE = Path(os.environ.get("LABSCHED_PACKAGE", ""))
NOT_NAMED = "LABSCHED_PACKAGE names no package: make test-deb"
OLD = "0.0.1"
LEFTOVER = "opt/labsched/venv/of-an-older-version"


def field(name: str, package: Path) -> str:
    """What a package says of itself."""
    return subprocess.run(["dpkg-deb", "-f", package, name], capture_output=True, text=True, check=True).stdout.strip()


def needed(package: Path) -> list[str]:
    """The names of the packages that it depends on."""
    return sorted(set(re.findall(r"(?:^|, )([a-z][\w.+-]+)", field("Depends", package))))


def older(package: Path, folder: Path) -> Path:
    """The same package as an older version, which had a file that the newer has not."""
    subprocess.run(["dpkg-deb", "-R", package, folder / "p"], check=True)
    control = folder / "p/DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {OLD}", control.read_text()))
    (folder / "p" / LEFTOVER).touch()
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", folder / "p", folder / "older.deb"], check=True)
    shutil.rmtree(folder / "p")
    return folder / "older.deb"
