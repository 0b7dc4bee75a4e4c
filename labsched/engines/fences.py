"""Where attempts may have groups of their own, so that the kernel keeps each within its memory; or why nowhere.

The shims' parent looks for that place once, when it starts. It may be

- a scope of systemd's that was made for it alone (`scope`): it outlives the daemon, and systemd leaves it alone;
- what else was handed over to the daemon: the group above its own, where systemd says so (``DelegateSubgroup=``), or
  its own, where nobody else is in it;
- with cgroups of version 1, its own: there, processes and groups may lie side by side.

Never the service's own group on version 2: systemd starts a service in it, and cannot while it is divided.
"""

import contextlib
import os
import shutil
from collections.abc import Sequence
from typing import NamedTuple

from labsched.engines import processes
from labsched.engines.cgroups import Group

MIN_LIMIT = 64 * 1024**2  # bytes, of the trial
SYSTEMD = "/run/systemd/system"
BELOW = ".daemon"  # the group that we move into, so that our own can be divided


class Fences(NamedTuple):
    """Where groups can be made: below `path`, each beginning with `name`; or `why` they cannot."""

    path: str = ""
    v2: bool = False
    name: str = ""
    why: str | None = None

    def group(self, attempt: int) -> Group | None:
        """A new group for an attempt; None where there can be none.

        In a queue that was restored, a number may be given again while the one who had it runs.
        """
        if self.why is not None:
            return None
        return Group(f"{self.path}/{self.name}-{attempt}.{os.urandom(4).hex()}", self.v2)


class _Cannot(Exception):
    """Why not, in words."""


def scope(version: int, name: str) -> list[str]:
    """The words before a command that put it into a scope of systemd's, for it and what it starts; none where there is
    no systemd (of this `version`) that could.

    The scope goes by itself once its last process has ended.
    """
    program = shutil.which("systemd-run")
    if program is None or not version or not os.path.isdir(SYSTEMD) or not _has_memory("/sys/fs/cgroup"):
        return []
    words = [program, "--scope", "--quiet", "--collect", f"--unit={name}"]
    if os.geteuid() != 0:
        folder = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}")
        if not os.path.exists(f"{folder}/systemd/private"):
            return []
        words.append("--user")
    # Where a stage has no more memory, that stage is killed, and nothing else.
    given = ["Delegate=yes", "TasksMax=infinity", "ManagedOOMPreference=omit"]
    given += ["OOMPolicy=continue"] if version >= 253 else []
    return [*words, "--description=Stages of labsched", *(f"--property={one}" for one in given), "--"]


def find(name: str) -> Fences:
    """Look for a place, try it, and remove what an earlier daemon has left there under this name."""
    why = "this machine has no cgroup for memory"
    for kind, v2 in (("cgroup2", True), ("cgroup", False)):
        folder = _own(kind)
        if folder is None:
            continue
        try:
            place = Fences(_prepare(folder, name) if v2 else _memory(folder), v2, name)
            _sweep(place)
            _try(place)
            return place
        except _Cannot as error:
            why = str(error)
        except OSError as error:
            why = f"no cgroup can be made in {folder}: {error.strerror}"
    return Fences(name=name, why=why)


def _own(kind: str) -> str | None:
    """The folder of our own group: of version 2, or of version 1's hierarchy for memory; None where there is none."""
    try:
        with open("/proc/self/cgroup") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
        with open("/proc/self/mountinfo") as file:
            mounts = [line.split() for line in file]
    except OSError:
        return None
    wanted = [path for _, names, path in lines if (not names if kind == "cgroup2" else "memory" in names.split(","))]
    for fields in mounts:
        after = fields[fields.index("-") + 1 :]
        if not wanted or after[0] != kind or (kind == "cgroup" and "memory" not in after[2].split(",")):
            continue
        root, at, path = fields[3].rstrip("/"), fields[4], wanted[0].rstrip("/")
        if path == root or path.startswith(f"{root}/"):
            return at + path[len(root) :]
    return None


def _prepare(own: str, name: str) -> str:
    """The group to make others in, in a hierarchy of version 2: one that is ours to divide, with no process in it."""
    above = os.path.dirname(own)
    moved = os.path.basename(own).startswith("labsched-") and own.endswith(BELOW)  # as another of our parents was
    base = above if moved or (_delegated(above) and not _delegated(own)) else own
    if not _has_memory(base):
        raise _Cannot(f"the cgroup {base} does not have the controller for memory")
    if base == own and os.path.exists(f"{own}/cgroup.type"):  # else it is the root, which may have both
        _evacuate(own, name)
    with open(f"{base}/cgroup.subtree_control") as file:
        given = file.read().split()
    if "memory" not in given:
        with open(f"{base}/cgroup.subtree_control", "w") as file:
            file.write("+memory")
    return base


def _evacuate(own: str, name: str) -> None:
    """Move us (and our daemon) into a group below: a group with groups in it may have no processes."""
    if own.endswith(".service") and os.path.isdir(SYSTEMD):
        raise _Cannot(
            "systemd can make no scope for the stages; where the daemon is not root's, its unit needs "
            "Delegate=yes and DelegateSubgroup=daemon (systemd 254)"
        )
    with open(f"{own}/cgroup.procs") as file:
        here = set(map(int, file.read().split()))
    ours = {os.getpid(), os.getppid(), *processes.descendants(os.getppid())}
    if here - ours:
        raise _Cannot(f"the daemon shares its cgroup {own} with other processes: start it with systemd")
    below = f"{own}/{name}{BELOW}"
    with contextlib.suppress(FileExistsError):
        os.mkdir(below)
    for pid in here:
        with contextlib.suppress(ProcessLookupError), open(f"{below}/cgroup.procs", "w") as file:
            file.write(str(pid))


def _memory(own: str) -> str:
    if not os.path.exists(f"{own}/memory.limit_in_bytes"):
        raise _Cannot(f"{own} has no memory.limit_in_bytes")
    return own


def _has_memory(folder: str) -> bool:
    try:
        with open(f"{folder}/cgroup.controllers") as file:
            return "memory" in file.read().split()
    except OSError:
        return False


def _delegated(folder: str) -> bool:
    """Whether systemd has handed this group over."""
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


def _sweep(place: Fences) -> None:
    for name in os.listdir(place.path):
        if name.startswith(f"{place.name}-"):
            with contextlib.suppress(OSError):
                os.rmdir(f"{place.path}/{name}")  # not what still has a process in it


def _try(place: Fences) -> None:
    """Make a group and have a process in it; raises OSError where that cannot be."""
    trial = Group(f"{place.path}/{place.name}-trial", place.v2)
    trial.make(MIN_LIMIT)
    try:
        pid = trial.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        trial.taken()
    except KeyError as error:
        raise _Cannot(f"the cgroups here do not say {error}") from None
    finally:
        trial.remove()


def said(words: Sequence[object]) -> Fences:
    """What `find` found, as it came through a socket as JSON."""
    path, v2, name, why = words
    return Fences(str(path), bool(v2), str(name), None if why is None else str(why))
