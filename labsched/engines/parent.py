"""Starting the shims' parent, which forks them: in a scope of systemd's of its own, where there is one to be had."""

import asyncio
import contextlib
import errno
import json
import logging
import os
import re
import socket
import sys
from pathlib import Path

from labsched.engines import fences
from labsched.engines.fences import Fences

log = logging.getLogger(__name__)
# Neither site nor the user's environment: the parent of all shims starts fast and stays small.
_SERVE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from labsched.engines.shim import serve; "
    "serve(int(sys.argv[2]), sys.argv[3])"
)
_ROOT = str(Path(__file__).parent.parent.parent)
MAX_MESSAGE = 8_192
READY_S = 20.0  # for it to start, and to find out where it is

Process = asyncio.subprocess.Process


async def start(name: str) -> tuple[Process, socket.socket, Fences]:
    """Its process, the socket to it, and where the attempts can have groups of their own, which begin with `name`.

    Raises OSError.
    """
    words = fences.scope(await _systemd_version(), f"{name}-{os.urandom(4).hex()}")
    found = (await _start(words, name) if words else None) or await _start([], name)
    if found is None:
        raise OSError(errno.EAGAIN, "it ended at once")
    if (why := found[2].why) is not None:
        log.warning("the kernel does not keep stages within their memory: %s", why)
    return found


async def _start(words: list[str], name: str) -> tuple[Process, socket.socket, Fences] | None:
    """Start it behind these words; None where it does not come up."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with theirs:
        try:
            process = await asyncio.create_subprocess_exec(
                *(*words, sys.executable, "-I", "-S", "-X", "utf8", "-c", _SERVE, _ROOT, str(theirs.fileno()), name),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # an interrupt at the daemon's terminal is the daemon's alone
            )
        except OSError:
            ours.close()
            raise
    place = await _first_words(ours)
    if place is not None:
        return process, ours, place
    ours.close()
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
    return None


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
