"""The client against daemons that are not there, go away, or are none: an error of the right kind and a sentence."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched import errors
from labsched.wire.client import Client
from labsched.wire.messages import LogStart, Pools
from labsched.wire.requests import Verb
from tests.wire.server import saying

OK = b"HTTP/1.1 200 OK\r\n"
BIG = Verb(jobs=("x" * 5_000_000,))
GOOD = OK + b"Content-Length: 12\r\n\r\n" + b'{"pools":[]}'
BEGIN = OK + b"Labsched-Log: " + msgspec.json.encode(LogStart(7, "run", 2, 100)) + b"\r\n"


def ask(answer: bytes, **more: bool) -> Pools:
    with saying(answer, **more) as (path, _):
        return Client(path, timeout=0.3).get("pools", Pools)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"", errors.NoDaemon, "went away before it answered"),
        (b"HTTP/1.1 200", errors.NoDaemon, "went away before it answered"),
        (OK + b"Content-Length: 99\r\n\r\n", errors.NoDaemon, "went away in the middle"),
        (GOOD[:-1], errors.NoDaemon, "went away in the middle"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nc\r\n{", errors.NoDaemon, "went away in the middle"),
        (OK + b'Transfer-Encoding: chunked\r\n\r\nc\r\n{"pools":[]}\r\n', errors.NoDaemon, "went away in the middle"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", errors.NoDaemon, "is no labsched daemon"),
        (b"HTTP/1.1 yes\r\n\r\n", errors.NoDaemon, "is no labsched daemon"),
        (OK + b"Content-Length: many\r\n\r\n", errors.NoDaemon, "is no labsched daemon"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", errors.NoDaemon, "is no labsched daemon"),
        (OK + b"X: y\r\n" * 20_000, errors.NoDaemon, "is no labsched daemon"),
        (OK + b"\r\n<html>", errors.LabschedError, "restart the daemon after an upgrade"),
        (OK + b'\r\n{"pools": 3}', errors.LabschedError, "restart the daemon after an upgrade"),
        (OK + b"\r\n\xff\xfe", errors.LabschedError, "restart the daemon after an upgrade"),
        (b'HTTP/1.1 404 Not Found\r\n\r\n{"error": "no job 9"}', errors.NotFound, "no job 9"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\nline too long\n", errors.BadRequest, "line too long"),
        (b"HTTP/1.1 500 Oops\r\n\r\n", errors.LabschedError, "the daemon answered 500"),
    ],
)
def test_an_answer_that_is_none_is_an_error_of_its_kind(answer: bytes, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        ask(answer)
    assert type(caught.value) is kind


def test_a_daemon_that_never_answers_is_tried_later() -> None:
    for answer in (b"", OK, OK + b"Content-Length: 12\r\n\r\n{"):
        with pytest.raises(errors.TryLater, match="does not answer"):
            ask(answer, stay=True)


def test_a_daemon_that_reads_nothing_is_tried_later_too() -> None:
    with saying(b"", stay=True, read=False) as (path, _), pytest.raises(errors.TryLater, match="does not answer"):
        Client(path, timeout=0.3).post("jobs", BIG, Pools)


def test_a_refusal_before_all_was_sent_says_why() -> None:
    refusal = b'HTTP/1.1 413 Too Large\r\n\r\n{"error": "send fewer jobs"}'
    with saying(refusal, read=False) as (path, _), pytest.raises(errors.BadRequest, match="send fewer jobs"):
        Client(path, timeout=5).post("jobs", BIG, Pools)


@pytest.mark.parametrize("size", [1, 3, 5, 100])
def test_an_answer_may_come_in_pieces_of_any_size(size: int) -> None:
    body = b'{"pools":[]}'
    chunks = b"".join(b"%X\r\n%s\r\n" % (len(body[i : i + size]), body[i : i + size]) for i in range(0, 12, size))
    assert ask(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n").pools == ()


@given(answer=st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda b: OK + b)))
def test_no_answer_whatsoever_is_anything_but_an_answer_or_an_error_of_ours(answer: bytes) -> None:
    try:
        ask(answer)
    except errors.LabschedError as error:
        assert str(error)


def test_nobody_there_is_said_so_with_what_to_do(tmp_path: Path) -> None:
    with TemporaryDirectory(prefix="ls-") as folder:
        path = Path(folder) / "s"
        with pytest.raises(errors.NoDaemon, match="start one with: labsched daemon"):
            Client(path).get("pools", Pools)
        with saying() as (gone, _):
            os.link(gone, path)
        with pytest.raises(errors.NoDaemon, match="no daemon answers on"):
            Client(path).get("pools", Pools)
    for wrong in (tmp_path, tmp_path / ("x" * 200), Path("/with\0nul")):
        with pytest.raises(errors.NoDaemon, match="daemon"):
            Client(wrong).get("pools", Pools)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_socket_that_is_not_for_us_is_forbidden() -> None:
    script = (
        "import os, sys; from pathlib import Path; from labsched.wire.client import Client;"
        "from labsched.wire.messages import Pools; os.setuid(65534); Client(Path(sys.argv[1])).get('pools', Pools)"
    )
    with saying(GOOD) as (path, _):
        path.parent.chmod(0o755)
        path.chmod(0o600)
        done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=30)
    assert "labsched.errors.Forbidden: you may not use the socket" in done.stderr


def test_a_log_goes_on_with_the_byte_after_the_last_one() -> None:
    cut = BEGIN + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n, w"
    rest = BEGIN.replace(b"100", b"108") + b"Transfer-Encoding: chunked\r\n\r\n4\r\norld\r\n0\r\n\r\n"
    with saying(cut, b"", rest) as (path, asked):
        log = Client(path, timeout=5).log("last", follow=True, lines=3)
        got = b""
        for _ in range(2):
            with pytest.raises(errors.NoDaemon):
                for piece in log:
                    got += piece
        for piece in log:
            got += piece
    assert got == b"hello, world"
    assert log.answers == 2
    first, second, third = (request.split()[1].decode() for request in asked)
    assert first == "/v1/log?lines=3&ref=last&follow=1"
    assert second == third == "/v1/log?ref=7&follow=1&stage=run&attempt=2&offset=108"


def test_a_daemon_that_does_not_say_where_a_log_begins_is_of_another_version() -> None:
    with saying(GOOD) as (path, _), pytest.raises(errors.LabschedError, match="restart the daemon"):
        list(Client(path).log("1"))


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (errors.LabschedError, 500, 1),
        (errors.BadRequest, 400, 2),
        (errors.NoDaemon, 502, 3),
        (errors.NotFound, 404, 4),
        (errors.Refused, 409, 5),
        (errors.Forbidden, 403, 5),
        (errors.TryLater, 503, 75),
    ],
)
def test_an_error_crosses_the_socket_as_what_it_is(kind: type[errors.LabschedError], status: int, code: int) -> None:
    assert (kind.status, kind.exit_code) == (status, code)
    with pytest.raises(errors.LabschedError, match="why: é") as caught:
        ask(f'HTTP/1.1 {status} X\r\n\r\n{{"error": "why: é"}}'.encode())
    assert type(caught.value) is kind
    assert type(errors.for_status(418, "x")) is errors.BadRequest
    assert type(errors.for_status(599, "x")) is errors.LabschedError
