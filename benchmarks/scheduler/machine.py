"""The machine and the versions, as a figure's section names them."""

import os
import platform
import re
import sqlite3
from pathlib import Path

import psutil

from labsched import __version__


def machine(folder: Path) -> str:
    """The processors, memory, kernel and the file system of `folder`, in words."""
    memory = psutil.virtual_memory().total / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB, Linux {platform.release()}, {_file_system(folder)}"


def versions() -> str:
    """labsched's, Python's and SQLite's."""
    return f"labsched {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return " ".join(found[1].split()) if found else platform.machine()


def _file_system(folder: Path) -> str:
    best, kind = "", "unknown file system"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        place, name = line.split()[1:3]
        if (folder.is_relative_to(place)) and len(place) >= len(best):
            best, kind = place, name
    return kind
