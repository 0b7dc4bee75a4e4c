"""An attempt's folder: the files in which shim and daemon meet, whoever of them dies in between.

====================  ===============================================================================================
``lock``              held (fcntl) by the shim until the end is known; says by what its processes can be found
``begun``             made once, exclusively, before the command is started: no attempt ever starts twice; a link to
                      nowhere, made by the daemon, where it is never to start
``started.json``      the command's pid and time of start, unless it is over at once
``log``               what the command writes, from both its streams, as it writes it
``progress``          ``FRACTION MESSAGE``, written by the command where it cares to
``own/``              only where stages run as their submitters: a folder that is theirs, with ``progress`` in it
``exit.json``         how it ended; written last, whole or not at all
====================  ===============================================================================================

All but ``log`` and what is in ``own`` is the daemon's and closed to others. A submitter may do anything to what is
theirs: it is opened without following links, and without waiting for whatever was put there.

Standard library only, and little of it: the shim imports this.
"""

import contextlib
import fcntl
import json
import os
import re
import stat
import struct
from typing import Any, BinaryIO

from labsched.faults import point

LOCK, BEGUN, STARTED, LOG, PROGRESS, EXIT = "lock", "begun", "started.json", "log", "progress", "exit.json"
OWN = "own"
_NOBODY = "nobody"
_CAREFUL = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FLOCK = struct.Struct("hhqqi4x")  # struct flock on 64-bit Linux: type, whence, start, len, pid
_ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")
TAIL = 8_192


def write(folder: str, name: str, value: object) -> None:
    """Write a value as JSON, whole or not at all: under a name of its own first, then renamed."""
    path = os.path.join(folder, name)
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", opener=_private) as file:
        file.write(json.dumps(value))  # at once, not dump: that writes it in a hundred pieces
    point("file.unnamed", path)
    os.replace(temporary, path)


def _private(path: str, flags: int) -> int:
    """The environment of a stage is nobody's but its owner's; the log alone is for the group."""
    return os.open(path, flags, 0o600)


def read(folder: str, name: str) -> dict[str, Any] | None:
    """The value that `write` wrote; None where there is none, or none that is whole (a power cut)."""
    try:
        with open(os.path.join(folder, name)) as file:
            value = json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def holder(folder: str) -> int:
    """The pid of the shim that holds the folder's lock; 0 where none does."""
    try:
        fd = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    try:
        question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, question))
    finally:
        os.close(fd)
    return 0 if kind == fcntl.F_UNLCK else int(pid)


def has_begun(folder: str) -> bool:
    """Whether a shim has got as far as to start the command."""
    return os.path.exists(os.path.join(folder, BEGUN))


def lock(folder: str, known: dict[str, Any]) -> int | None:
    """Be the one who has this attempt until the descriptor is closed; None where somebody has it. Raises OSError.

    `known` is what `read` finds in the lock from then on.
    """
    fd = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        os.write(fd, json.dumps(known).encode())
    except (BlockingIOError, PermissionError):
        os.close(fd)
        return None
    except OSError:
        os.close(fd)
        raise
    return fd


def begin(folder: str) -> bool:
    """Be the one who starts the command; False where somebody has, or nobody may. Raises OSError."""
    try:
        os.close(os.open(os.path.join(folder, BEGUN), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def bar(folder: str) -> bool:
    """Have nobody start the command from now on; False where a shim has got that far already. Raises OSError."""
    path = os.path.join(folder, BEGUN)
    try:
        os.symlink(_NOBODY, path)  # as a file is, it is made once and exclusively
    except FileExistsError:
        return os.path.islink(path)
    except (FileNotFoundError, NotADirectoryError):
        return True  # it has no folder, so no shim was asked for
    return True


def make(folder: str, open_to_all: bool) -> bool:
    """Make an attempt's folder, and its job's; whether the attempt's is new. With `open_to_all`, people may pass
    through to what is theirs. Raises OSError.
    """
    mode = 0o711 if open_to_all else 0o750
    new = False
    for path in (os.path.dirname(folder), folder):
        try:
            os.mkdir(path, 0o700)
            new = True
        except FileExistsError:
            new = False
        if stat.S_IMODE(os.stat(path).st_mode) == 0o700:  # new, or left so by a daemon that died here
            os.chmod(path, mode)
    return new


def clear(folder: str) -> str | None:
    """Make way for a new attempt where another one has been in its folder, as after a queue was replaced by hand.

    Returns where that is now; None where there was none, or its shim lives.
    """
    left = (os.path.join(folder, name) for name in (BEGUN, STARTED, EXIT))
    if not any(map(os.path.lexists, left)) or holder(folder):
        return None
    number = 1
    while os.path.lexists(other := f"{folder}.before-{number}"):
        number += 1
    os.rename(folder, other)
    return other


def give(folder_fd: int, uid: int, gid: int) -> None:
    """Make the folder, in that of an attempt, which is the submitter's own."""
    with contextlib.suppress(FileExistsError):  # of a shim that did not get further
        os.mkdir(OWN, 0o700, dir_fd=folder_fd)
    fd = os.open(OWN, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_RDONLY, dir_fd=folder_fd)
    try:
        os.fchown(fd, uid, gid)
    finally:
        os.close(fd)


def open_log(folder: str) -> BinaryIO:
    """The log, to be read; raises FileNotFoundError where there is none yet, and other OSErrors.

    Its owner may have taken a lease on it (fcntl): to wait for that would hold up whoever reads.
    """
    return open(os.open(os.path.join(folder, LOG), _CAREFUL), "rb")


def progress_path(folder: str, own: bool) -> str:
    """Where a command tells how far it is: what LABSCHED_PROGRESS names."""
    return os.path.join(folder, OWN, PROGRESS) if own else os.path.join(folder, PROGRESS)


def progress(folder: str) -> tuple[float | None, str | None]:
    """What the command last said of itself: a fraction from 0 to 1, and a message; None for what it did not say.

    The fraction may be written ``0.4`` or ``40%``.
    """
    owner: int | None = None
    try:
        try:
            owner = os.lstat(os.path.join(folder, OWN)).st_uid
        except FileNotFoundError:
            fd = os.open(progress_path(folder, False), _CAREFUL)
        else:
            fd = os.open(progress_path(folder, True), _CAREFUL)
    except OSError:
        return None, None
    try:
        found = os.fstat(fd)
        # The command may have put anything there: a fifo, or a link to what is closed to its owner.
        if not stat.S_ISREG(found.st_mode) or owner not in (None, found.st_uid):
            return None, None
        word, _, message = os.read(fd, 1_000).decode(errors="replace").partition("\n")[0].partition(" ")
    except OSError:
        return None, None
    finally:
        os.close(fd)
    try:
        fraction = float(word[:-1]) / 100 if word.endswith("%") else float(word)
    except ValueError:
        return None, f"{word} {message}".strip() or None
    return (min(max(fraction, 0.0), 1.0) if fraction == fraction else None), message.strip() or None


def last_line(folder: str) -> str | None:
    """The last line of the log that says something, for people; None where there is none."""
    try:
        with open_log(folder) as file:
            file.seek(max(file.seek(0, os.SEEK_END) - TAIL, 0))
            tail = file.read()
    except OSError:
        return None
    for line in reversed(re.split(rb"[\r\n]+", _ESCAPE.sub(b"", tail))):
        text = line.decode(errors="replace").strip()
        if text:
            return text if len(text) <= 300 else text[:299] + "…"
    return None
