"""The folders where blocks lie and results go: whether this process could work with them, for `labsched doctor`."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from labsched.core.units import size

LITTLE_DISK = 20_000_000_000  # bytes: a block of an hour and what klusta makes of it


def examine(sort: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Level (ok, warning, problem), what was found, and how to mend it; `sort` is [sort] with absolute patterns."""
    source, target = before_block(sort["source"]), before_block(sort["target"])
    if not os.path.isdir(source):
        mend = "make it, or set source in [sort] of the configuration"
        yield "problem", f"there is no folder {source}, where blocks should lie", mend
    elif not os.access(source, os.R_OK | os.X_OK):
        yield "problem", f"{source}, where blocks lie, may not be read", f"ls -ld {source}"
    else:
        yield "ok", f"blocks lie in {source}", None
    there = nearest(target)
    if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):
        mend = f"make it, with the right to write there: mkdir -p {target}"
        yield "problem", f"{target}, where results go, may not be written", mend
    else:
        yield "ok", f"results go to {target}" + ("" if os.path.exists(target) else " (to be made)"), None
    if os.path.isdir(there):
        found = os.statvfs(there)
        free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
        what = f"{size(free)} of {size(total)} are free for results"
        if free < LITTLE_DISK:
            yield "warning", what, f"make room: klusta needs about three times a recording ({there})"
        else:
            yield "ok", what, None


def nearest(path: str) -> str:
    """The folder itself, or the one nearest above it that is there, as far as one may look."""
    while not os.path.lexists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def before_block(pattern: str) -> str:
    """The folder that a pattern starts with: what stands before the part with {block} or {name} in it."""
    start, brace, _ = pattern.partition("{")
    return os.path.dirname(start) if brace else pattern
