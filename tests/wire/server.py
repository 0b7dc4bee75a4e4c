"""The other end of a client's socket, made to misbehave: it says what it is told to, and goes away or stays."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def saying(*answers: bytes, stay: bool = False, read: bool = True) -> Iterator[tuple[Path, list[bytes]]]:
    """A socket that gives one answer a connection, and then closes it (or keeps it, with `stay`), and the requests."""
    asked: list[bytes] = []
    kept: list[socket.socket] = []

    def serve() -> None:
        for answer in answers:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            kept.append(connection)
            with suppress(OSError):
                if read:
                    asked.append(connection.recv(65_536))
                connection.sendall(answer)
            if not stay:
                connection.close()

    with TemporaryDirectory(prefix="ls-") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/s")
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Path(folder) / "s", asked
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in kept:
                connection.close()
