"""Starting the shims' parent (`serve`): in a scope of systemd's of its own, where there is one to be had."""

import asyncio
import errno
import json
import logging
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import NamedTuple

from labsched.engines import fences
from labsched.engines.fences import Fences

log = logging.getLogger(__name__)
# Neither site nor the user's environment: the parent of all shims starts fast and stays small.
_SERVE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from labsched.engines.serve import serve; "
    "serve(int(sys.argv[2]), sys.argv[3])"
)
_ROOT = str(Path(__file__).parent.parent.parent)
MAX_MESSAGE = 8_192
READY_S = 20.0  # for it to start, and to find out where it is


class Parent(NamedTuple):
    """The process, with its pidfd, the socket to it, and where the attempts can have groups of their own.

    It is not asyncio's, which kills its processes when its loop ends: this one may outlive us.
    """

    pid: int
    pidfd: int
    link: socket.socket
    fences: Fences


async def start(name: str) -> Parent:
    """Start one; the names of the attempts' groups begin with `name`. Raises OSError."""
    words = fences.scope(await _systemd_version(), f"{name}-{os.urandom(4).hex()}")
    found = (await _start(words, name) if words else None) or await _start([], name)
    if found is None:
        raise OSError(errno.EAGAIN, "it ended at once")
    if (why := found.fences.why) is not None:
        log.warning("the kernel does not keep stages within their memory: %s", why)
    return found


async def _start(words: list[str], name: str) -> Parent | None:
    """Start it behind these words; None where it does not come up."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with theirs:
        theirs.set_inheritable(True)
        argv = [*words, sys.executable, "-I", "-S", "-X", "utf8", "-c", _SERVE, _ROOT, str(theirs.fileno()), name]
        try:
            pid = os.posix_spawnp(
                *(argv[0], argv, os.environ),
                file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
                setsid=True,  # an interrupt at the daemon's terminal is the daemon's alone
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
            )
            pidfd = os.pidfd_open(pid)
        except OSError:
            ours.close()
            raise
    place = None
    try:
        place = await _first_words(ours)
    finally:
        if place is None:
            ours.close()
            os.kill(pid, signal.SIGKILL)
            os.close(pidfd)
            os.waitpid(pid, 0)
    return place and Parent(pid, pidfd, ours, place)


async def _first_words(link: socket.socket) -> Fences | None:
    """What the shims' parent says when it has started; None where it has not."""
    try:
        async with asyncio.timeout(READY_S):
            data = await asyncio.get_running_loop().sock_recv(link, MAX_MESSAGE)
    except (TimeoutError, OSError):
        return None
    word, _, rest = data.decode().partition(" ")
    return fences.said(json.loads(rest)) if word == "ready" else None


async def _systemd_version() -> int:
    """Of the systemd that runs this machine; 0 where none does."""
    if not Path(fences.SYSTEMD).is_dir():
        return 0
    try:
        asking = await asyncio.create_subprocess_exec(
            "systemd-run", "--version", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asking.communicate()
    except OSError:
        return 0
    found = re.match(rb"systemd (\d+)", said)
    return int(found[1]) if found else 0
