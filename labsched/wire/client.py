"""Client(socket): asks the daemon, over HTTP on a unix socket.

The standard library's http.client would do, but importing it takes as long as the whole rest of `labsched status`
(docs/decisions/0002-own-http-client.md). One request a connection leaves little to parse.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any, TypeVar

import msgspec

from labsched import errors
from labsched.wire.messages import API, Error, LogStart

T = TypeVar("T")
Headers = Mapping[str, str]
MAX_HEADER = 65_536
MAX_LINE = 20
OTHER_VERSION = (
    "the daemon's answer makes no sense to this version of labsched ({}): restart the daemon after an upgrade"
)


class Client:
    """One daemon. Each call is a connection of its own, so a Client may be shared and kept.

    Every method raises NoDaemon where nobody answers, and the error that the daemon's answer stands for.
    """

    def __init__(self, path: "str | os.PathLike[str]", timeout: float = 60.0) -> None:
        self.path = os.fspath(path)
        self.timeout = timeout

    def get(self, what: str, kind: type[T], timeout: float | None = None, **query: object) -> T:
        """GET /v1/WHAT, decoded as `kind`. A `query` value of None or False is left out."""
        return self._decode(b"".join(self._exchange("GET", what, query, None, timeout)), kind)

    def post(self, what: str, body: msgspec.Struct, kind: type[T], timeout: float | None = None) -> T:
        """POST `body` to /v1/WHAT; the answer is decoded as `kind`."""
        return self._decode(b"".join(self._exchange("POST", what, {}, msgspec.json.encode(body), timeout)), kind)

    def log(self, ref: str, follow: bool = False, **query: object) -> "Log":
        """GET /v1/log: see `messages.LogStart` for the rest of the query."""
        return Log(self, ref, follow, query)

    def stream(
        self, what: str, timeout: float | None = None, hear: Callable[[Headers], None] | None = None, **query: object
    ) -> Iterator[bytes]:
        """GET /v1/WHAT piece by piece, as it comes; without `timeout` it waits for ever between pieces.

        `hear` is told the headers, by their names in lower case. It ends where the answer is complete, and raises
        NoDaemon where it was cut off: hence HTTP/1.1, whose chunks have an end.
        """
        return self._exchange("GET", what, query, None, timeout or 0.0, "1.1", hear)

    def post_lines(self, what: str, body: msgspec.Struct, kind: type[T], timeout: float | None = None) -> Iterator[T]:
        """POST `body` to /v1/WHAT; the answer's lines as they come, each decoded as `kind`. See `stream`."""
        rest = b""
        for piece in self._exchange("POST", what, {}, msgspec.json.encode(body), timeout or 0.0, "1.1"):
            *whole, rest = (rest + piece).split(b"\n")
            yield from (self._decode(line, kind) for line in whole)

    def _exchange(
        self,
        method: str,
        what: str,
        query: Mapping[str, object],
        body: bytes | None,
        timeout: float | None,
        version: str = "1.0",
        hear: Callable[[Headers], None] | None = None,
    ) -> Iterator[bytes]:
        # 0 is a value like any other, though it equals False
        known = {key: value for key, value in query.items() if value is not None and value is not False}
        given = {key: 1 if value is True else value for key, value in known.items()}
        asked = "&".join(f"{key}={_quoted(str(value))}" for key, value in given.items())
        target = f"{API}/{_quoted(what)}" + (f"?{asked}" if asked else "")
        head = f"{method} {target} HTTP/{version}\r\nHost: labsched\r\nConnection: close\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        with self._connect() as connection:
            connection.settimeout(self.timeout if timeout is None else timeout or None)
            try:
                # It may answer before it has read everything (413): then the answer says why.
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(head.encode("ascii") + b"\r\n" + (body or b""))
                status, headers, pieces = self._head(connection)
                if status >= 400:
                    raise errors.for_status(status, _sentence(b"".join(pieces), status))
                if hear is not None:
                    hear(headers)
                yield from pieces
            except TimeoutError:
                raise errors.TryLater("the daemon does not answer: see its log, or try again later") from None

    def _head(self, connection: socket.socket) -> tuple[int, Headers, Iterator[bytes]]:
        """An answer's status, its headers, and its body, piece by piece."""
        received, more = b"", _pieces(connection)
        while b"\r\n\r\n" not in received:
            piece = next(more, b"")
            if not piece:
                raise errors.NoDaemon("the daemon went away before it answered: is it being restarted?")
            received += piece
            if received[:7] != b"HTTP/1."[: len(received)] or len(received) > MAX_HEADER:
                raise self._stranger()
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        pieces: Iterator[bytes] = chain([rest] if rest else [], more)
        word, length = lines[0][9:12], headers.get("content-length")
        if not word.isdecimal() or not (length is None or length.isdecimal()):
            raise self._stranger()
        if headers.get("transfer-encoding") == "chunked":
            pieces = self._chunks(pieces)
        elif length is not None:
            pieces = _whole(pieces, int(length))
        return int(word), headers, pieces

    def _chunks(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """What a chunked body holds, as it comes."""
        buffer = b""
        while True:
            while b"\r\n" not in buffer and len(buffer) < MAX_LINE:
                buffer += _next(pieces)
            line, _, buffer = buffer.partition(b"\r\n")
            try:
                left = int(line, 16)
            except ValueError:
                raise self._stranger() from None
            if left <= 0:
                return
            while left > 0:
                buffer = buffer or _next(pieces)
                piece, buffer = buffer[:left], buffer[left:]
                left -= len(piece)
                yield piece
            while len(buffer) < 2:
                buffer += _next(pieces)
            buffer = buffer[2:]

    def _stranger(self) -> errors.NoDaemon:
        return errors.NoDaemon(f"what answers on {self.path} is no labsched daemon: name its socket with --socket")

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(self.path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            connection.close()
            raise _unreachable(self.path, error) from None
        return connection

    @staticmethod
    def _decode(answer: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.DecodeError as error:
            raise errors.LabschedError(OTHER_VERSION.format(error)) from None


class Log:
    """A job's log, as it comes. Iterating again, after an error, goes on with the byte after the last one."""

    def __init__(self, client: Client, ref: str, follow: bool, query: Mapping[str, object]) -> None:
        self.answers = 0  # how often the daemon has begun to send it
        self.begins: LogStart | None = None  # where its last answer began
        self._offset = 0
        self._client = client
        self._query = {**query, "ref": ref, "follow": follow}

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._client.stream("log", hear=self._hear, **self._query):  # type: ignore[arg-type]
            self._query["offset"] = self._offset = self._offset + len(piece)
            yield piece

    def _hear(self, headers: Headers) -> None:
        try:
            start = msgspec.json.decode(headers.get(LogStart.HEADER.lower(), ""), type=LogStart)
        except msgspec.DecodeError:
            raise errors.LabschedError(OTHER_VERSION.format("it does not say where the log begins")) from None
        self.begins = start
        self._query |= {"ref": start.job, "stage": start.stage, "attempt": start.attempt, "offset": start.offset}
        self._query.pop("lines", None)
        self._offset = start.offset
        self.answers += 1


def _quoted(text: str) -> str:
    """As it stands in a URL: mostly as it is. What knows the rest, urllib, is a twentieth of `labsched status`."""
    if text.isascii() and all(character.isalnum() or character in "_.-/," for character in text):
        return text
    from urllib.parse import quote

    return quote(text)


def _pieces(connection: socket.socket) -> Iterator[bytes]:
    with suppress(ConnectionResetError):  # it closed before it had read all that we sent
        while piece := connection.recv(65_536):
            yield piece


def _next(pieces: Iterator[bytes]) -> bytes:
    """Another piece; raises NoDaemon where there is none."""
    piece = next(pieces, b"")
    if not piece:
        raise errors.NoDaemon("the daemon went away in the middle of its answer: is it being restarted?")
    return piece


def _whole(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    """As many bytes as were announced, as they come."""
    while length > 0:
        piece = _next(pieces)[:length]
        length -= len(piece)
        yield piece


def _sentence(body: bytes, status: int) -> str:
    try:
        return msgspec.json.decode(body, type=Error).error
    except msgspec.DecodeError:
        return body.decode(errors="replace").strip() or f"the daemon answered {status}"


def _unreachable(path: str, error: OSError | ValueError) -> errors.LabschedError:
    if isinstance(error, PermissionError):
        return errors.Forbidden(f"you may not use the socket {path}: ask to be added to the group that owns it")
    if isinstance(error, FileNotFoundError):
        return errors.NoDaemon(f"no daemon: there is no socket {path}; start one with: labsched daemon")
    if isinstance(error, ConnectionRefusedError):
        return errors.NoDaemon(f"no daemon answers on {path}; start one with: labsched daemon")
    reason: Any = getattr(error, "strerror", None) or error
    return errors.NoDaemon(f"cannot reach the daemon on {path}: {reason}")
