"""Removing attempts' folders, whatever their submitters have put there, and finding out how much room they take.

Nothing here follows a link, leaves the folder's disk, or needs more memory or descriptors the more there is.
"""

import errno
import itertools
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labsched.engines import rundir

SOME = 1000  # names that are held at a time
PATIENCE = 100  # times that something is put into a folder while it is emptied
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(attempts: Path, folder: str) -> int:
    """Remove an attempt's folder, ``JOB/STAGE.N`` in the folder `attempts`, and its job's if that was the last.

    Returns the bytes that are free now; 0 where there was none. Raises OSError, also where its shim lives.
    """
    job, name = _split(folder)
    if rundir.holder(str(attempts / folder)):
        raise OSError(errno.EBUSY, "it is in use", str(attempts / folder))
    try:
        with _opened(str(attempts / job)) as above, _opened(name, above) as inner:
            freed = _empty(inner)
            os.rmdir(name, dir_fd=above)
    except FileNotFoundError:
        freed = 0
    with suppress(OSError):  # there are others
        (attempts / job).rmdir()
    return freed


def size(attempts: Path, job: int) -> int:
    """The bytes that a job's folders take: of each attempt its files, and those that are the submitter's own."""
    return sum(_size(str(attempts / str(job)), depth=3))


def _size(folder: str, depth: int) -> Iterator[int]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                if not stat.S_ISDIR(found.st_mode):
                    yield _taken(found)
                elif depth > 1:
                    yield from _size(entry.path, depth - 1)
    except OSError:
        return  # it goes while we look


def _empty(folder: int) -> int:
    """Remove all that is in a folder; raises OSError where more and more is put there."""
    freed, failures, numbers = 0, 0, itertools.count()
    mark, disk = secrets.token_hex(4), os.fstat(folder).st_dev
    while names := _names(folder):
        for name in names:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                os.unlink(name, dir_fd=folder)
                freed += _taken(found)
                continue
            if found.st_dev != disk:
                raise OSError(errno.EXDEV, "another disk is mounted there", name)
            with _opened(name, folder) as inner:
                with suppress(PermissionError):  # from now on nobody else puts anything there
                    os.fchown(inner, os.geteuid(), -1)
                    os.fchmod(inner, 0o700)
                # However deep the folders are: what is in one comes up here, then it is empty.
                moved = _names(inner)
                for below in moved:
                    os.rename(below, f".{mark}.{next(numbers)}", src_dir_fd=inner, dst_dir_fd=folder)
            try:
                os.rmdir(name, dir_fd=folder)
            except OSError as error:
                failures += len(moved) < SOME  # else there is simply more of it
                if error.errno != errno.ENOTEMPTY or failures > PATIENCE:
                    raise
    return freed


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in itertools.islice(entries, SOME)]


def _taken(found: os.stat_result) -> int:
    """What a file takes of the disk; a submitter may make one that is said to be long, and is not."""
    return min(found.st_size, found.st_blocks * 512)


@contextmanager
def _opened(path: str, above: int | None = None) -> Iterator[int]:
    fd = os.open(path, _FOLDER, dir_fd=above)
    try:
        yield fd
    finally:
        os.close(fd)


def _split(folder: str) -> tuple[str, str]:
    job, _, name = folder.partition("/")
    if not job.isdecimal() or "/" in name or name in ("", ".", ".."):
        raise OSError(errno.EINVAL, "it is no attempt's folder", folder)
    return job, name
