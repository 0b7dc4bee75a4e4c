"""An attempt's folder: the files in which shim and daemon meet, whoever of them dies in between.

====================  ===============================================================================================
``record``            locked (fcntl) by the shim until the end is known. A line of JSON for each thing that is known:
                      ``begun``, before the command is started, with what its processes can be found by; ``started``,
                      unless it is over at once; ``ended``. Or ``barred``, by the daemon: it is never to start
``log``               what the command writes, from both its streams, as it writes it
``progress``          ``FRACTION MESSAGE``, written by the command where it cares to
``own/``              only where stages run as their submitters: a folder of theirs, with ``progress`` in it
====================  ===============================================================================================

Whoever writes to the record holds its lock, and a line is there once it has its end; so no attempt starts twice.

All but ``log`` and what is in ``own`` is the daemon's and closed to others. A submitter may do anything to what is
theirs: it is opened without following links, and without waiting for whatever was put there.

Standard library only, and little of it: the shim imports this.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import stat
import struct
from typing import Any, BinaryIO, NamedTuple

RECORD, LOG, PROGRESS, OWN = "record", "log", "progress", "own"
_CAREFUL = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FLOCK = struct.Struct("hhqqi4x")  # struct flock on 64-bit Linux: type, whence, start, len, pid
_ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")
TAIL = 8_192


class Record(NamedTuple):
    """What a record says; None for what it does not."""

    begun: dict[str, Any] | None = None
    started: dict[str, Any] | None = None
    ended: dict[str, Any] | None = None
    barred: dict[str, Any] | None = None


def record(folder: str) -> Record:
    """What is known of an attempt. Raises OSError, unless there is nothing."""
    try:
        with open(os.path.join(folder, RECORD), "rb") as file:
            return _said(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return Record()


def _said(data: bytes) -> Record:
    found: dict[str, Any] = {}
    for line in data.split(b"\n")[:-1]:  # what has no end was cut short by a power cut
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict):
                found.update((name, more) for name, more in value.items() if isinstance(more, dict))
    return Record(*(found.get(name) for name in Record._fields))


def lock(folder: str) -> int | None:
    """Be the one who has this attempt until the descriptor is closed; None where somebody has it. Raises OSError."""
    fd = os.open(os.path.join(folder, RECORD), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        os.close(fd)
        return None
    except OSError:
        os.close(fd)
        raise
    return fd


def begin(fd: int, known: dict[str, Any]) -> bool:
    """Write down, in the record that we hold, that the command is started; False where somebody has begun before, or
    nobody may. Raises OSError."""
    data = os.pread(fd, os.fstat(fd).st_size, 0)
    said = _said(data)
    if said.begun is not None or said.barred is not None:
        return False
    os.ftruncate(fd, data.rfind(b"\n") + 1)
    note(fd, "begun", known)
    return True


def note(fd: int, what: str, known: dict[str, Any]) -> None:
    """Add to the record that we hold, a whole line or nothing. Raises OSError."""
    line = json.dumps({what: known}).encode() + b"\n"
    end = os.fstat(fd).st_size
    if os.pwrite(fd, line, end) < len(line):
        os.ftruncate(fd, end)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def holder(folder: str) -> int:
    """The pid of the shim that holds the record's lock; 0 where none does."""
    try:
        fd = os.open(os.path.join(folder, RECORD), os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    try:
        question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, question))
    finally:
        os.close(fd)
    return 0 if kind == fcntl.F_UNLCK else int(pid)


def bar(folder: str, open_to_all: bool, opened: float) -> bool:
    """Have nobody start the attempt of this time; False where a shim has got that far, or may. Raises OSError.

    There may be no folder yet: a shim that is late would make it, where it can be made.
    """
    try:
        make(folder, open_to_all)
    except (FileNotFoundError, NotADirectoryError):
        return True
    fd = lock(folder)
    if fd is None:
        return False
    try:
        said = _said(os.pread(fd, os.fstat(fd).st_size, 0))
        if said.begun is None and said.barred is None:
            note(fd, "barred", {"opened": opened})
        return said.begun is None
    finally:
        os.close(fd)


def make(folder: str, open_to_all: bool) -> bool:
    """Make an attempt's folder, and its job's; whether the attempt's is new. With `open_to_all`, people may pass
    through to what is theirs. Raises OSError.
    """
    mode = 0o711 if open_to_all else 0o750
    new = False
    for path in (os.path.dirname(folder), folder):
        try:
            os.mkdir(path, mode)
            new = True
        except FileExistsError:
            new = False
        if stat.S_IMODE(os.stat(path).st_mode) & mode != mode:  # by our umask, or that of one who died here
            os.chmod(path, mode)
    return new


def clear(folder: str, opened: float) -> str | None:
    """Make way for an attempt where another one has been in its folder, as after a queue was replaced by hand.

    Returns where that is now; None where there was none, or its shim lives. An attempt's own record, of another shim
    that was asked for the same when this one was late, stays.
    """
    said = record(folder)
    first = said.begun or said.barred
    if first is None or first.get("opened") == opened or holder(folder):
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
