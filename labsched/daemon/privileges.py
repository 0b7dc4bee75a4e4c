"""What this daemon may do with users: run each stage as its submitter, or all of them as itself."""

import os
import resource
from enum import StrEnum
from pathlib import Path

from labsched.errors import Refused

#: What it takes to run others' stages: to become them, give them their logs, end their processes, read what they own.
NEEDED = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SYS_PTRACE": 19,
}
NOFILE = 65_536  # descriptors: a connection takes one, a running stage too
ROOT_IS_SHARED = (
    "[daemon] shared_account = true would make root of everybody who reaches the socket, for this daemon may change "
    "user: leave it out, and each stage runs as its submitter; or run the daemon as an account of its own (User= in "
    "its unit)"
)


class Mode(StrEnum):
    """Whom a daemon serves, and whom stages run as."""

    EACH = "each"  # everybody who reaches the socket; as the submitter
    OWN = "own"  # its own user and root; as itself
    SHARED = "shared"  # everybody who reaches the socket; as itself


def choose(shared_account: bool) -> Mode:
    """How this daemon goes about it; raises Refused where `shared_account` would give root away."""
    held = effective()
    may_become = {"CAP_SETUID", "CAP_SETGID"} <= held or os.geteuid() == 0
    if shared_account and may_become:
        raise Refused(ROOT_IS_SHARED)
    if shared_account:
        return Mode.SHARED
    return Mode.EACH if held >= NEEDED.keys() else Mode.OWN


def lacking() -> list[str]:
    """The capabilities that are missing to a daemon which has some of those it takes to change user."""
    held = effective()
    return sorted(NEEDED.keys() - held) if {"CAP_SETUID", "CAP_SETGID"} & held else []


def effective() -> set[str]:
    """Which of `NEEDED` this process has."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            bits = int(line.split()[1], 16)
            return {name for name, number in NEEDED.items() if bits >> number & 1}
    return set(NEEDED) if os.geteuid() == 0 else set()


def more_descriptors() -> tuple[int, int]:
    """Have many descriptors, for connections and pidfds; returns the limits from before, for the stages."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = NOFILE if hard == resource.RLIM_INFINITY else min(NOFILE, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return soft, hard


def make_state(state: Path, mode: Mode) -> None:
    """Make the state folder, and have all that is made from now on closed to others; raises OSError.

    Where stages run as their submitters, everybody may pass through to their own logs, and see nothing else.
    """
    mask = 0o711 if mode is Mode.EACH else 0o750
    for folder in (state, state / "attempts"):
        new = not folder.exists()
        folder.mkdir(mode=mask, parents=True, exist_ok=True)
        if new or (mode is Mode.EACH and folder.stat().st_uid == os.geteuid()):
            folder.chmod(mask)
    os.umask(0o077)
