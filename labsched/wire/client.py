"""Client(socket): asks the daemon, over HTTP/1.0 on a unix socket.

The standard library's http.client would do, but importing it takes as long as the whole rest of `labsched status`
(docs/decisions/0002-own-http-client.md). HTTP/1.0 answers end where the connection does, which leaves little to parse.
"""

import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from labsched import errors
from labsched.wire.messages import API, Error

T = TypeVar("T")
MAX_HEADER = 65_536


class Client:
    """One daemon. Each call is a connection of its own, so a Client may be shared and kept.

    Every method raises NoDaemon where nobody answers, and the error that the daemon's answer stands for.
    """

    def __init__(self, path: Path, timeout: float = 60.0) -> None:
        self.path = path
        self.timeout = timeout

    def get(self, what: str, kind: type[T], timeout: float | None = None, **query: object) -> T:
        """GET /v1/WHAT, decoded as `kind`. A `query` value of None or False is left out."""
        return self._decode(b"".join(self._exchange("GET", what, query, None, timeout)), kind)

    def post(self, what: str, body: msgspec.Struct, kind: type[T], timeout: float | None = None) -> T:
        """POST `body` to /v1/WHAT; the answer is decoded as `kind`."""
        return self._decode(b"".join(self._exchange("POST", what, {}, msgspec.json.encode(body), timeout)), kind)

    def stream(self, what: str, timeout: float | None = None, **query: object) -> Iterator[bytes]:
        """GET /v1/WHAT piece by piece, as it comes; without `timeout` it waits for ever between pieces."""
        return self._exchange("GET", what, query, None, timeout or 0.0)

    def _exchange(
        self, method: str, what: str, query: Mapping[str, object], body: bytes | None, timeout: float | None
    ) -> Iterator[bytes]:
        # 0 is a value like any other, though it equals False
        known = {key: value for key, value in query.items() if value is not None and value is not False}
        given = {key: 1 if value is True else value for key, value in known.items()}
        target = f"{API}/{quote(what)}" + (f"?{urlencode(given)}" if given else "")
        head = f"{method} {target} HTTP/1.0\r\nHost: labsched\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        with self._connect() as connection:
            connection.settimeout(self.timeout if timeout is None else timeout or None)
            # It may answer before it has read everything (413): then the answer says why.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(head.encode("ascii") + b"\r\n" + (body or b""))
            try:
                yield from self._answer(connection)
            except TimeoutError:
                raise errors.TryLater("the daemon does not answer: see its log, or try again later") from None
            except ConnectionResetError:
                raise errors.NoDaemon("the daemon went away before it answered: is it being restarted?") from None

    def _answer(self, connection: socket.socket) -> Iterator[bytes]:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65_536)
            if not piece or len(received) > MAX_HEADER:
                raise errors.NoDaemon("the daemon went away before it answered: is it being restarted?")
            received += piece
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        length = next(
            (int(v) for k, _, v in (x.partition(":") for x in lines[1:]) if k.lower() == "content-length"), None
        )
        if status >= 400:
            raise errors.for_status(status, _sentence(rest + b"".join(_pieces(connection)), status))
        got = len(rest)
        yield rest
        for piece in _pieces(connection):
            got += len(piece)
            yield piece
        if length is not None and got < length:
            raise errors.NoDaemon("the daemon went away in the middle of its answer: is it being restarted?")

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(self.path))
        except OSError as error:
            connection.close()
            raise _unreachable(self.path, error) from None
        return connection

    @staticmethod
    def _decode(answer: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.DecodeError as error:
            raise errors.LabschedError(
                f"the daemon's answer makes no sense to this version of labsched ({error}): "
                "restart the daemon after an upgrade"
            ) from None


def _pieces(connection: socket.socket) -> Iterator[bytes]:
    while piece := connection.recv(65_536):
        yield piece


def _sentence(body: bytes, status: int) -> str:
    try:
        return msgspec.json.decode(body, type=Error).error
    except msgspec.DecodeError:
        return body.decode(errors="replace").strip() or f"the daemon answered {status}"


def _unreachable(path: Path, error: OSError) -> errors.LabschedError:
    if isinstance(error, PermissionError):
        return errors.Forbidden(f"you may not use the socket {path}: ask to be added to the group that owns it")
    if isinstance(error, FileNotFoundError):
        return errors.NoDaemon(f"no daemon: there is no socket {path}; start one with: labsched daemon")
    if isinstance(error, ConnectionRefusedError):
        return errors.NoDaemon(f"no daemon answers on {path}; start one with: labsched daemon")
    reason: Any = error.strerror or error
    return errors.NoDaemon(f"cannot reach the daemon on {path}: {reason}")
