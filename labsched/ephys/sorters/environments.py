"""The sorters' virtual environments: made, looked at, and found; each is a folder NAME among the sorters."""

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import EphysError
from .catalogue import COMMON, SORTERS, Sorter

FORMAT = "labsched sorter 1"
RECORD = "installed.json"
VERSIONS = (
    "import json, sys; from importlib import metadata; "
    "print(json.dumps({n: metadata.version(n) for n in sys.argv[1:]}))"
)


@dataclass(frozen=True)
class Environment:
    """A finished one: its interpreter, and the versions that it was made of."""

    sorter: Sorter
    folder: Path
    versions: dict[str, str]

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.folder / "bin" / "python"

    @property
    def version(self) -> str:
        """The sorter's own, or SpikeInterface's where it is a part of that."""
        own = self.sorter.packages[0].partition("==")[0]
        if own in (self.sorter.name, "kilosort"):
            return self.versions.get(own, "?")
        return f"of spikeinterface {self.versions.get('spikeinterface', '?')}"

    @property
    def outdated(self) -> bool:
        """Whether it was made from other packages than would be taken today."""
        return any(self.versions.get(name) != wanted for name, wanted in _pins(self.sorter).items())


def known(name: str) -> Sorter:
    """The sorter of that name. Raises EphysError."""
    if name not in SORTERS:
        import difflib

        near = difflib.get_close_matches(name, SORTERS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(SORTERS)}"
        raise EphysError(f"there is no sorter {name!r} to install; {hint}")
    return SORTERS[name]


def look(sorters: str | Path, name: str) -> Environment | None:
    """The environment of a sorter, or None where it is not there or not finished."""
    folder = Path(sorters) / name
    try:
        said = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        versions = {str(key): str(value) for key, value in said["versions"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    found = Environment(known(name), folder, versions)
    return found if os.access(found.python, os.X_OK) else None


def find(sorters: str | Path, name: str) -> Environment:
    """`look`, or EphysError with the sentence that mends it."""
    sorter, found = known(name), look(sorters, name)
    if found is None:
        raise EphysError(f"{sorter.name} is not installed in {sorters}: labsched sorter install {sorter.name}")
    return found


def install(sorters: str | Path, name: str, say: Callable[[str], None], *, again: bool = False) -> Environment:
    """Make the environment of a sorter; one that is there already is returned, unless it is to be made ``again``.

    It is made under its final name, since it cannot be moved, and counts only once `RECORD` is in it. Raises
    EphysError where a package cannot be had, or does not work.
    """
    sorter, folder = known(name), Path(sorters) / name
    if (there := look(sorters, name)) and not again:
        say(f"{name} is installed already, in {folder} ({there.version}): --again makes it anew")
        return there
    try:
        if folder.exists():
            (folder / RECORD).unlink(missing_ok=True)  # it is no longer whole from here on
            shutil.rmtree(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        say(f"making {folder}")
        venv.EnvBuilder(with_pip=True, symlinks=True).create(folder)
        _run(folder, sorter, say)
        record = folder / f"{RECORD}.new"
        record.write_text(json.dumps({"format": FORMAT, "versions": _versions(folder, sorter)}, indent=1) + "\n")
        record.replace(folder / RECORD)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, subprocess.CalledProcessError):
            raise EphysError(
                f"Python's venv cannot be made in {folder}: install it (apt-get install python3-venv), and try again"
            ) from None
        if isinstance(error, OSError):
            raise EphysError(
                f"{name} cannot be installed in {folder} ({error.strerror or error}): make room, or name another "
                "folder with sorters in [sort] of the configuration, or have its owner install it"
            ) from None
        raise
    found = find(sorters, name)
    say(f"{name} {found.version} is installed in {folder}")
    return found


def _run(folder: Path, sorter: Sorter, say: Callable[[str], None]) -> None:
    """pip, with its last words kept; then everything is imported once."""
    python = str(folder / "bin" / "python")
    packages = [*COMMON, *sorter.packages]
    say(f"installing {', '.join(packages)}")
    words = [python, "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off", *packages]
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    last = ""
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as pip:
        try:
            assert pip.stdout is not None
            for line in pip.stdout:
                if line.startswith(("Collecting", "Installing", "Successfully", "ERROR", "error")):
                    say(line.rstrip())
                if line.startswith("ERROR"):
                    last = line.removeprefix("ERROR:").strip()
        except BaseException:
            pip.kill()
            raise
    if pip.returncode:
        raise EphysError(
            f"pip could not install {sorter.name} ({last or f'exit code {pip.returncode}'}): look whether this machine "
            "reaches PyPI (or set PIP_INDEX_URL), then try again"
        )
    modules = ", ".join(("spikeinterface.sorters", *sorter.modules))
    tried = subprocess.run(
        [python, "-W", "ignore", "-c", f"import {modules}"], capture_output=True, text=True, env=environment
    )
    if tried.returncode:
        why = tried.stderr.strip().rpartition("\n")[2] or f"exit code {tried.returncode}"
        raise EphysError(f"{sorter.name} was installed but does not start ({why}): report it, with this line")


def _pins(sorter: Sorter) -> dict[str, str]:
    pairs = (each.partition("==") for each in (*COMMON, *sorter.packages))
    return {name: version for name, _, version in pairs}


def _versions(folder: Path, sorter: Sorter) -> dict[str, str]:
    python = str(folder / "bin" / "python")
    done = subprocess.run([python, "-c", VERSIONS, *_pins(sorter)], capture_output=True, text=True, check=False)
    with suppress(ValueError):
        return {**json.loads(done.stdout), "python": ".".join(map(str, sys.version_info[:3]))}
    raise EphysError(f"the packages of {sorter.name} cannot be listed in {folder}: install it with --again")
