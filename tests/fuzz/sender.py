"""Sends requests from one process of one user, and looks at every answer."""

import json
import socket
from collections import Counter
from pathlib import Path

STATUSES = {200, 201, 400, 403, 404, 405, 409, 413, 417, 503}  # 405 and 417 are HTTP's own
MAX_ANSWER = 8_000_000
PATIENCE_S = 0.3  # for an answer: a stream has none, nor has half a request


class Wrong(AssertionError):
    """An answer that must not be."""


class Sender:
    """A connection that is kept for as long as the daemon keeps it."""

    def __init__(self, path: Path, foreign: list[bytes]) -> None:
        self.path = str(path)
        self.foreign = foreign  # what no answer may have in it
        self.seen: Counter[str] = Counter()
        self.numbers: list[int] = []  # of jobs that were queued
        self._connection: socket.socket | None = None
        self._rest = b""

    def whole(self, data: bytes) -> None:
        """A request that has an answer."""
        if not self._whole(data):  # the connection was closed before: asked anew it is answered
            self.seen["no answer"] += not self._whole(data)

    def _whole(self, data: bytes) -> bool:
        try:
            self._send(data)
            answer = self._answer()
        except TimeoutError:
            self.seen["goes on"] += 1
            self.close()
            return True
        except OSError:
            answer = None
        if answer is None:
            self.close()
            return False
        self._look(*answer)
        return True

    def several(self, requests: list[bytes]) -> None:
        """All of them at once, without waiting for an answer."""
        self.close()
        self.broken(b"".join(requests), read=True)

    def broken(self, data: bytes, read: bool) -> None:
        """Whatever it is, on a connection of its own, which is closed at once or when nothing more comes."""
        self.seen["raw"] += 1
        with self._connect() as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                answers = b""
                while read and len(answers) < MAX_ANSWER and (piece := connection.recv(65_536)):
                    answers += piece
            except OSError:
                return
        self._nothing_foreign(answers)
        if answers.startswith(b"HTTP/1."):
            self._status(int(answers[9:12]), answers)

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._rest = b""

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_S)
        connection.connect(self.path)
        return connection

    def _send(self, data: bytes) -> None:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.sendall(data)

    def _answer(self) -> tuple[int, bytes] | None:
        received = self._rest
        while b"\r\n\r\n" not in received:
            if not (piece := self._receive()):
                return None
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        lower = head.lower()
        if b"content-length: " not in lower:
            self.close()  # a stream: its beginning will do
            return int(head[9:12]), head + body
        length = int(lower.partition(b"content-length: ")[2].split(b"\r\n")[0])
        if length > MAX_ANSWER:
            self.close()
            return int(head[9:12]), head + body
        while len(body) < length:
            if not (piece := self._receive()):
                return None
            body += piece
        self._rest = body[length:]
        if b"connection: close" in lower:
            self.close()
        self._nothing_foreign(head)
        return int(head[9:12]), body[:length]

    def _receive(self) -> bytes:
        assert self._connection is not None
        return self._connection.recv(65_536)

    def _look(self, status: int, body: bytes) -> None:
        self._status(status, body)
        self._nothing_foreign(body)
        if status >= 400:
            try:
                sentence = json.loads(body)["error"]
            except (ValueError, KeyError, TypeError):
                raise Wrong(f"{status}, not as JSON: {body[:300]!r}") from None
            if len(sentence.split()) < 3 or "Traceback" in sentence:
                raise Wrong(f"{status} without a sentence: {body[:300]!r}")
        elif status == 201:
            self.numbers = [*self.numbers, *(job["id"] for job in json.loads(body).get("jobs", ()))][-200:]

    def _status(self, status: int, body: bytes) -> None:
        self.seen[str(status)] += 1
        if status not in STATUSES:
            raise Wrong(f"{status}: {body[:1000]!r}")

    def _nothing_foreign(self, data: bytes) -> None:
        for word in self.foreign:
            if word in data:
                raise Wrong(f"somebody else's secret: {data[max(data.find(word) - 300, 0) :][:600]!r}")
