"""A peer on a unix socket that gives answers made beforehand, for what a real daemon cannot be made to say at will."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

LONG_POLL = 0.05  # seconds that a request for what has changed takes


@contextmanager
def answering(path: Path, answers: dict[str, msgspec.Struct | bytes]) -> Iterator[list[str]]:
    """Answer a request for /v1/WHAT with `answers[WHAT]`, any other with 404; yields the requests as they come."""
    asked: list[str] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, answers, asked))
        thread.start()
        try:
            yield asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            path.unlink()


def _serve(listener: socket.socket, answers: dict[str, msgspec.Struct | bytes], asked: list[str]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, suppress(OSError):  # whoever asked may have been killed
            received = b""
            while b"\r\n\r\n" not in received and (piece := connection.recv(65_536)):
                received += piece
            if not received:
                continue
            target = received.split()[1].decode()
            asked.append(target)
            if "revision=" in target or "within=" in target:
                time.sleep(LONG_POLL)
            answer = answers.get(target.removeprefix("/v1/").partition("?")[0])
            if answer is None:
                status, body = "404 Not Found", b'{"error": "there is no such thing here"}'
            else:
                status, body = "200 OK", answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
            connection.sendall(f"HTTP/1.0 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
