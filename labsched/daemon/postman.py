"""Having letters sent: by a process of its own, that goes on where the daemon ends, and whose receipts are found then.

The letters are on its stdin, in memory; its stdout is a file in the state folder, locked for as long as it lives.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from labsched.notify.message import Letter, Receipt

FOLDER = "notify"
PATIENCE_S = 330.0  # a little more than it gives itself
MOST = 1_000_000  # bytes of receipts: the person may write there what they like
NOT_SENT = "the process that sends was ended before it could"
_CODE = "import sys; sys.path.insert(0, sys.argv[1]); from labsched.daemon.hand import main; main()"
_ROOT = str(Path(__file__).parent.parent.parent)


class Postman:
    """Sends letters; receipts are kept in the folder `state`/notify until somebody throws them away."""

    def __init__(self, state: Path) -> None:
        self.folder = state / FOLDER

    async def send(self, name: str, letters: Sequence[Letter], person: tuple[int, str] | None) -> dict[int, str | None]:
        """Send these, as this person (uid, name) or as ourselves; returns by target why it was not sent, or None.

        The receipts stay as file `name`, also where we are cancelled. Raises OSError.
        """
        pidfd = await asyncio.to_thread(self._start, name, letters, person)
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(pidfd, ended.set)
        try:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await ended.wait()
            except TimeoutError:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                await ended.wait()
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
        said = self._receipts(name)
        return {letter.target: said.get(letter.target, NOT_SENT) for letter in letters}

    async def found(self, name: str, targets: Sequence[int]) -> dict[int, str | None]:
        """What became of the letters to these targets that an earlier daemon had sent; waits while it goes on."""
        with contextlib.suppress(TimeoutError, FileNotFoundError):
            async with asyncio.timeout(PATIENCE_S):
                while await asyncio.to_thread(self._goes_on, name):
                    await asyncio.sleep(0.2)
        said = await asyncio.to_thread(self._receipts, name)
        return {target: said.get(target, NOT_SENT) for target in targets}

    def throw_away(self, name: str) -> None:
        """Once it is known elsewhere what they say."""
        with contextlib.suppress(OSError):
            (self.folder / name).unlink()

    def _start(self, name: str, letters: Sequence[Letter], person: tuple[int, str] | None) -> int:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with contextlib.ExitStack() as stack:
            words = stack.enter_context(os.fdopen(os.memfd_create("letters"), "w+b"))
            words.write(msgspec.json.encode(letters))
            words.flush()
            words.seek(0)
            receipts = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, receipts)
            fcntl.flock(receipts, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of the open file: the process has it with its stdout
            who = ("", "") if person is None else (str(person[0]), person[1])
            pid = os.posix_spawn(
                *(sys.executable, [sys.executable, "-I", "-X", "utf8", "-c", _CODE, _ROOT, *who], os.environ),
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, words.fileno(), 0),
                    (os.POSIX_SPAWN_DUP2, receipts, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),  # what apprise says may have passwords in it
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
            )
            return os.pidfd_open(pid)

    def _goes_on(self, name: str) -> bool:
        with (self.folder / name).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def _receipts(self, name: str) -> dict[int, str | None]:
        try:
            with (self.folder / name).open("rb") as file:
                lines = file.read(MOST).split(b"\n")[:-1]
        except OSError:
            return {}
        said: dict[int, str | None] = {}
        for line in lines:
            with contextlib.suppress(msgspec.MsgspecError):
                receipt = msgspec.json.decode(line, type=Receipt)
                said[receipt.target] = receipt.why
        return said
