"""labsched backup: a copy of the queue, while it is in use."""

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import click

from labsched.cli.context import client, socket_option
from labsched.core.units import size
from labsched.errors import BadRequest, NoDaemon, Refused

PATIENCE = 3600.0  # seconds: the copy of a large queue takes its time, and one asks at a time
BLOCK = 1024**2


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--force", is_flag=True, help="Write over FILE if it is there.")
@click.option("--state", metavar="DIR", help="Copy the queue in this state folder, and ask no daemon.")
@socket_option
def backup(file: str, force: bool, state: str | None) -> None:
    """Copy the whole queue, as it is at this moment, into FILE (mode 0600); - is the standard output.

    The daemon hands it out, to admins only, since it holds everybody's environments. Where no daemon answers, it is
    read from the state folder. Nobody waits for it, and nothing but whole copies is ever called FILE.

    \b
    Example:
      labsched backup /backup/labsched-$(date +%F).db
      labsched backup - | ssh backup.example.org 'cat > labsched.db'
    """
    if file == "-":
        if sys.stdout.isatty():
            raise BadRequest("a backup is no text for a terminal: give a FILE, or redirect it")
        for piece in _queue(state):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    target = Path(os.path.realpath(file))
    _check(target, force)
    with _written(target, force) as out:
        for piece in _queue(state):
            out.write(piece)
    click.echo(f"{file}: the queue, {size(target.stat().st_size)}; to go back to it: labsched restore {file}")


def _queue(state: str | None) -> Iterator[bytes]:
    """The queue's file, piece by piece."""
    if state is None:
        pieces = client().stream("backup", timeout=PATIENCE)
        try:
            first = next(pieces, b"")
        except NoDaemon as error:
            from labsched.paths import state_folder

            if (folder := state_folder(None) / "queue.db").exists():
                yield from _from_folder(folder)
                return
            raise NoDaemon(f"{error}; or name the queue's folder with --state") from None
        yield first
        yield from pieces
        return
    yield from _from_folder(Path(state) / "queue.db")


def _from_folder(queue: Path) -> Iterator[bytes]:
    from tempfile import TemporaryDirectory

    from labsched.store.backup import copy

    with TemporaryDirectory(prefix="labsched-") as folder:
        copy(queue, Path(folder) / "queue.db")
        with (Path(folder) / "queue.db").open("rb") as file:
            while piece := file.read(BLOCK):
                yield piece


def _check(target: Path, force: bool) -> None:
    """Raise where this cannot be the name of a backup."""
    try:
        found = target.lstat()
    except FileNotFoundError:
        if not target.parent.is_dir():
            raise BadRequest(f"there is no folder {target.parent}: make it first") from None
        return
    except NotADirectoryError:
        raise BadRequest(f"{target.parent} is no folder") from None
    if stat.S_ISDIR(found.st_mode):
        raise BadRequest(f"{target} is a folder: name a file in it")
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{target} is no ordinary file: name another")
    if not force:
        raise Refused(f"{target} is there already: name another, or give --force to write over it")
    if target.name == "queue.db" and (target.parent / "daemon.lock").exists():
        raise Refused(f"{target} is a queue itself: name another file")


@contextmanager
def _written(target: Path, force: bool) -> Iterator[BinaryIO]:
    """A file that gets its name once it is whole and on the disk."""
    part = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if force:
            part.replace(target)
        else:
            _name(part, target)
    finally:
        with suppress(OSError):
            part.unlink()


def _name(part: Path, target: Path) -> None:
    """Give a file its name, unless that has been taken meanwhile."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise Refused(f"{target} is there already: name another, or give --force to write over it") from None
    except OSError:  # a disk without hard links
        part.rename(target)
