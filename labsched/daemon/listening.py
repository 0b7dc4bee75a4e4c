"""The socket: made at its place, or taken from whoever started us (systemd's socket activation)."""

import logging
import os
import socket
import stat
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from labsched.config import Config
from labsched.daemon.peers import group_id
from labsched.errors import BadRequest, Refused
from labsched.sockets import MAX_BYTES

log = logging.getLogger("labsched")
FIRST = 3  # the first descriptor that is passed: sd_listen_fds(3)
BACKLOG = 1024
WANTED = "labsched listens on one unix stream socket: see ListenStream= in labsched.socket"


def passed(environ: MutableMapping[str, str] = os.environ) -> socket.socket | None:
    """The socket that we were started with, None where there is none. Takes what is said of it out of `environ`.

    Raises BadRequest where it is none that we can listen on.
    """
    said = {name: environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")}
    if said["LISTEN_PID"] != str(os.getpid()) or said["LISTEN_FDS"] in ("", "0"):
        return None  # for another process, or for nobody
    if said["LISTEN_FDS"] != "1":
        raise BadRequest(f"{said['LISTEN_FDS']} sockets were passed: {WANTED}")
    try:
        os.set_inheritable(FIRST, False)
        listener = socket.socket(fileno=FIRST)
    except OSError as error:
        raise BadRequest(f"descriptor {FIRST}, which was passed, is no socket ({error.strerror}): {WANTED}") from None
    if (listener.family, listener.type) != (socket.AF_UNIX, socket.SOCK_STREAM):
        kind = f"{_word(listener.family)}, {_word(listener.type)}"
        raise BadRequest(f"the socket that was passed is of another kind ({kind}): {WANTED}")
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise BadRequest(f"the socket that was passed does not listen: set Accept=no in labsched.socket; {WANTED}")
    return listener


@contextmanager
def listening(path: Path, config: Config, given: socket.socket | None) -> Iterator[socket.socket]:
    """The socket that was passed, or one at `path`; with the group and the mode of the configuration.

    One that we made is gone when we are; one that was passed stays, for whoever starts next.
    Raises Refused where it cannot be made, BadRequest where the path or the configuration make no sense.
    """
    if given is not None:
        with given:
            name = given.getsockname()
            if isinstance(name, str) and name:  # neither abstract nor without a name
                _adapt(Path(name), config)
            if os.fsdecode(name) != str(path):
                log.info("the socket that was passed is used, %s, not %s", _shown(name), path)
            yield given
        return
    if len(os.fsencode(path)) > MAX_BYTES:
        raise BadRequest(f"the socket's path {path} is longer than {MAX_BYTES} bytes: name another with --socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            _clear(path)
            mask = os.umask(0o177)
            try:
                listener.bind(str(path))
            finally:
                os.umask(mask)
            if config.daemon.socket_group is not None:
                os.chown(path, -1, _group(config.daemon.socket_group))
            path.chmod(_mode(config))
        except OSError as error:
            raise Refused(f"cannot listen on {path}: {error.strerror}; name another socket with --socket") from None
        ours = path.stat().st_ino
        listener.listen(BACKLOG)
        try:
            yield listener
        finally:
            if path.exists() and path.stat().st_ino == ours:
                path.unlink(missing_ok=True)


def _adapt(path: Path, config: Config) -> None:
    """Give a socket that was passed the group and the mode of the configuration, where we may."""
    mode = _mode(config)
    group = None if config.daemon.socket_group is None else _group(config.daemon.socket_group)
    try:
        now = path.stat()
        if group is not None and now.st_gid != group:
            os.chown(path, -1, group)
        if stat.S_IMODE(now.st_mode) != mode:
            path.chmod(mode)
    except OSError as error:
        log.warning(
            "%s keeps its group and mode (%s): set SocketGroup= and SocketMode= in labsched.socket as the "
            "configuration says",
            path,
            error.strerror,
        )


def _group(name: str) -> int:
    try:
        return group_id(name)
    except KeyError:
        raise BadRequest(f"[daemon] socket_group: there is no group {name}") from None


def _mode(config: Config) -> int:
    try:
        return int(config.daemon.socket_mode, 8)
    except ValueError:
        raise BadRequest(f"[daemon] socket_mode: {config.daemon.socket_mode!r} is not a mode such as 0660") from None


def _clear(path: Path) -> None:
    """Remove the socket of a daemon that is gone; raises Refused where one answers, or it is no socket."""
    if not path.exists():
        return
    if not path.is_socket():
        raise Refused(f"{path} is there and is no socket: name another with --socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise Refused(f"another daemon answers on {path}: stop it first, or name another socket with --socket")


def _shown(name: str | bytes) -> str:
    return "@" + os.fsdecode(name[1:]) if isinstance(name, bytes) else name or "one without a name"


def _word(kind: int) -> str:
    return str(getattr(kind, "name", kind))
