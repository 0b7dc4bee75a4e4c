"""A log that may not grow beyond a size: it keeps its beginning and its end, and says what is missing in between.

Only where such a size is set does a command write into a pipe, which its shim empties: else it writes to its log
itself. Standard library only: the shim imports this.
"""

import errno
import os
import select
from collections import deque

BLOCK = 65_536
KEPT = 65_536  # bytes of the end, at most
AGAIN_S = 1.0  # until the next try on a full disk
PATIENCE_S = 2.0  # for one who holds the pipe though the command and all its processes have ended


class Copier:
    """Copies from `input`, the end of a pipe that the command gets, to the descriptor `log`, `limit` bytes at most.

    The notes that say so come on top.
    """

    def __init__(self, log: int, limit: int) -> None:
        self._log = log
        self._limit = limit
        self._kept = min(KEPT, limit // 2)
        self._left = limit - self._kept
        self._tail: deque[bytes] = deque()
        self._held = 0
        self._dropped = 0
        self._noted = False
        self._reader, self.input = os.pipe()
        self._ending, self._end = os.pipe()

    def start(self) -> None:
        """Copy from now on, beside whatever else there is to do. The caller has closed `input`."""
        from threading import Thread  # not in every shim

        self._thread = Thread(target=self._copy, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Once the command has ended: copy what is still in the pipe, and the end.

        Where somebody else holds the pipe, and writes on, the thread may go on with it.
        """
        os.write(self._end, b"x")
        self._thread.join(PATIENCE_S)
        if not self._thread.is_alive():
            self.close()

    def close(self) -> None:
        """Close the pipes. `log` is the caller's."""
        for fd in (self._reader, self._ending, self._end):
            os.close(fd)

    def _copy(self) -> None:
        while True:
            ready, _, _ = select.select([self._reader, self._ending], [], [])
            if self._reader not in ready:
                break
            block = os.read(self._reader, BLOCK)
            if not block:
                break
            self._take(block)
        if self._dropped:
            self._write(f"[labsched: {self._dropped} bytes are left out here]\n".encode())
        self._write(b"".join(self._tail))

    def _take(self, block: bytes) -> None:
        head, rest = block[: self._left], block[self._left :]
        self._left -= len(head)
        self._write(head)
        if not rest:
            return
        self._tail.append(rest)
        self._held += len(rest)
        while self._held > self._kept:
            over = self._held - self._kept
            first = self._tail.popleft()
            if len(first) > over:
                self._tail.appendleft(first[over:])
            gone = min(len(first), over)
            self._held -= gone
            self._dropped += gone
        if self._dropped and not self._noted:
            self._noted = True
            self._write(
                f"\n[labsched: the log is cut here, for it may have {self._limit} bytes; "
                "its end follows when the command has ended]\n".encode()
            )

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._log, view) :]
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    return
                if select.select([self._ending], [], [], AGAIN_S)[0]:
                    return  # it has ended meanwhile: the disk is no fault of the command's
