"""What one person may take: the daemon stays up, answers the others, and its memory stays bounded."""

import gzip
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labsched.core.model import JobSpec, StageSpec
from labsched.errors import BadRequest, Refused, TryLater
from tests.people.conftest import OpenWorld, config
from tests.people.test_as_submitter import sh
from tests.people.users import User
from tests.worlds import World, eventually, world

MIB = 1024**2
LIMITS = """[limits]
queued_jobs_per_user = 5
connections_per_user = 100
streams_per_user = 3
log_size = 200000
request_size = 4194304
patience = 2.0
slots_per_user = { CPU = 3 }
"""


@pytest.fixture(scope="module")
def it(boss: User) -> Iterator[World]:
    with world(config(boss, LIMITS), kind=OpenWorld) as made:
        yield made


def peak(it: World) -> int:
    """The most memory that the daemon has had so far, in bytes."""
    assert it.process is not None
    status = Path(f"/proc/{it.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def descriptors(it: World) -> int:
    assert it.process is not None
    return len(os.listdir(f"/proc/{it.process.pid}/fd"))  # noqa: PTH208


@contextmanager
def meanwhile(who: User, it: World, what: Callable[[], object]) -> Iterator[None]:
    """While somebody is at it: `what` is done in a process of theirs, which then holds on to what it has."""
    ready_reader, ready = os.pipe()
    over, over_writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(over_writer)
            os.initgroups(who.name, who.gid)
            os.setgid(who.gid)
            os.setuid(who.uid)
            what()
            os.write(ready, b"x")
            os.read(over, 1)
        finally:
            os._exit(0)
    os.close(ready)
    os.close(over)
    try:
        assert os.read(ready_reader, 1) == b"x"
        yield
    finally:
        os.close(over_writer)
        os.waitpid(pid, 0)
        os.close(ready_reader)


kept: list[socket.socket] = []


def connect(it: World, say: bytes = b"") -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    try:
        connection.connect(str(it.folder / "s"))
        connection.sendall(say)
    except OSError:  # turned away
        connection.close()
        return None
    kept.append(connection)
    return connection


def test_a_thousand_connections_of_one_leave_room_for_the_others(it: World, one: User, two: User) -> None:
    two.asks(it).status()
    before = peak(it)
    with meanwhile(one, it, lambda: [connect(it) for _ in range(1000)]):
        started = time.monotonic()
        two.asks(it).status()
        assert time.monotonic() - started < 2
        with pytest.raises(TryLater, match="you have 100 connections to the daemon already"):
            one.asks(it).status()
        eventually(lambda: descriptors(it) < 100 + 40)
        [number] = two.asks(it).submit(sh("true"))
        assert two.asks(it).wait(number)[0].outcome == "succeeded"
        assert peak(it) - before < 50 * MIB
    eventually(lambda: _answers(it, one))
    assert descriptors(it) < 64


def _answers(it: World, who: User) -> bool:
    try:
        who.asks(it).status()
    except TryLater:
        return False
    return True


@pytest.mark.parametrize(
    "say",
    [
        b"",
        b"GET /v1/sta",
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{",
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
    ids=["nothing", "half a line", "half a body", "half a chunk"],
)
def test_slow_requests_hold_up_nobody_else(say: bytes, it: World, one: User, two: User) -> None:
    with meanwhile(one, it, lambda: [connect(it, say) for _ in range(90)]):
        started = time.monotonic()
        [number] = two.asks(it).submit(sh("true"))
        two.asks(it).wait(number)
        assert time.monotonic() - started < 5
    eventually(lambda: _answers(it, one))


def test_gigantic_requests_take_no_more_memory_than_one(it: World, one: User, two: User) -> None:
    two.asks(it).status()
    before = peak(it)
    block = b" " * MIB

    def flood() -> None:
        size = 4 * MIB - 10
        head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
        for _ in range(60):  # each but its last bytes
            connection = connect(it, head)
            assert connection is not None
            connection.setblocking(False)
            left = size - 1
            try:
                while left:
                    left -= connection.send(block[:left])
            except BlockingIOError:
                pass  # the daemon does not read it now

    with meanwhile(one, it, flood):
        started = time.monotonic()
        two.asks(it).status()
        assert time.monotonic() - started < 2
        assert peak(it) - before < 60 * MIB

    def endless() -> str:
        connection = connect(it, b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert connection is not None
        try:
            for _ in range(200):
                connection.sendall(block)
        except OSError:
            pass
        return connection.recv(65_536).decode()

    assert "413" in one.does(endless)
    assert peak(it) - before < 60 * MIB


def test_a_queue_has_an_end_for_each(it: World, one: User, two: User, boss: User) -> None:
    numbers = one.asks(it).submit(*[sh("true", name=f"{n}", hold=True) for n in range(4)])
    with pytest.raises(Refused, match=r"you have 4 of the 5 jobs that one person may have queued .*so 2 more are too"):
        one.asks(it).submit(sh("true"), sh("true"))
    numbers += one.asks(it).submit(sh("true", hold=True))
    theirs = two.asks(it).submit(sh("true"))
    assert two.asks(it).wait(*theirs)[0].outcome == "succeeded"
    one.asks(it).verb("cancel", *numbers)
    again = one.asks(it).submit(*[sh("true", name=f"{n}", hold=True) for n in range(5)])
    for who in (one, boss):
        with pytest.raises(Refused, match=f"{'you have' if who is one else one.name + ' has'} 5 of the 5 jobs"):
            who.asks(it).verb("retry", numbers[0])
    one.asks(it).verb("cancel", *again)


def test_so_many_streams_and_no_more(it: World, one: User, two: User) -> None:
    mine, theirs = *one.asks(it).submit(sh("sleep 60")), *two.asks(it).submit(sh("echo x"))
    eventually(lambda: it.job(mine).state == "running")
    follow = f"GET /v1/log?ref={mine}&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    def three() -> None:
        for _ in range(3):
            connection = connect(it, follow)
            assert connection is not None
            assert b"200" in connection.recv(100)

    with meanwhile(one, it, three):
        with pytest.raises(TryLater, match="you follow 3 logs or streams already"):
            one.asks(it).log(mine)
        two.asks(it).wait(theirs)
        assert two.asks(it).log(theirs) == "x\n"
    eventually(lambda: _reads(it, one, mine))
    one.asks(it).verb("cancel", mine)


def _reads(it: World, who: User, number: int) -> bool:
    try:
        return who.asks(it).log(number) == ""
    except TryLater:
        return False


def test_a_log_is_cut_and_the_command_goes_on(it: World, one: User) -> None:
    script = "echo first; head -c 5000000 /dev/zero | tr '\\0' 'x'; echo; echo the last words >&2; exit 3"
    [number] = one.asks(it).submit(sh(script))
    [job] = one.asks(it).wait(number)
    log = one.asks(it).log(number)
    assert job.stages[0].reason == "exit 3: the last words"
    assert log.startswith("first\nxxx")
    assert log.endswith("xxx\nthe last words\n")
    assert "[labsched: the log is cut here, for it may have 200000 bytes" in log
    notes = sum(len(line) + 1 for line in log.split("\n") if line.startswith("[labsched"))
    assert 199_000 < len(log) - notes < 201_000
    left_out = int(log.partition(" bytes are left out here")[0].rpartition(" ")[2])
    assert left_out + len(log) - notes - 1 == 5_000_000 + len("first\n\nthe last words\n")


def test_a_log_of_just_the_size_is_whole(it: World, one: User) -> None:
    [number] = one.asks(it).submit(sh("head -c 200000 /dev/zero | tr '\\0' 'x'"))
    one.asks(it).wait(number)
    assert one.asks(it).log(number) == "x" * 200_000


def test_a_log_that_may_be_cut_can_be_followed_and_its_stage_cancelled(it: World, one: User) -> None:
    [number] = one.asks(it).submit(sh("echo up; trap '' TERM; while :; do sleep 0.05; done"))
    eventually(lambda: it.job(number).state == "running" and one.asks(it).log(number) == "up\n")
    assert one.asks(it).verb("cancel", number).jobs[0].outcome == "cancelled"


def test_a_request_of_too_many_bytes_says_so(it: World, one: User) -> None:
    with pytest.raises(BadRequest, match="the request is larger than 4194304 bytes: send fewer jobs at a time"):
        one.asks(it).submit(sh("true" + " " * 4 * MIB))


def test_a_compressed_request_is_refused_before_it_takes_room(it: World, one: User, two: User) -> None:
    bomb = gzip.compress(bytes(2**28))
    before = peak(it)
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"

    def send() -> bytes:
        connection = connect(it, head.encode() + bomb)
        assert connection is not None
        return connection.recv(65_536)

    assert b"a compressed request is not understood: send it as it is" in one.does(send)
    two.asks(it).status()
    assert peak(it) - before < 20 * MIB


@pytest.mark.parametrize("say", [b"", b"GET /v1/status HTTP/1.1\r\nHost: x\r\nA"], ids=["nothing", "half a head"])
def test_who_asks_nothing_is_not_waited_for(say: bytes, it: World, one: User) -> None:
    def rest() -> bytes:
        connection = connect(it, say)
        assert connection is not None
        try:
            return connection.recv(100)
        except ConnectionResetError:
            return b""

    started = time.monotonic()
    assert one.does(rest) == b""
    assert 1 < time.monotonic() - started < 8


def test_a_body_that_does_not_come_is_not_waited_for(it: World, one: User) -> None:
    def rest() -> bytes:
        connection = connect(it, b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert connection is not None
        return connection.recv(1000)

    assert b"the request did not come to its end within 2 s" in one.does(rest)


def test_answers_that_nobody_takes_fill_no_memory(it: World, one: User, two: User) -> None:
    [number] = one.asks(it).submit(JobSpec("x", (StageSpec("run", ("true", "x" * 1_900_000), {}, "/"),), hold=True))
    two.asks(it).status()
    before = peak(it)
    ask = f"GET /v1/job?ref={number} HTTP/1.0\r\nHost: x\r\n\r\n".encode()
    with meanwhile(one, it, lambda: [connect(it, ask) for _ in range(90)]):
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            started = time.monotonic()
            two.asks(it).status()
            assert time.monotonic() - started < 5
        assert peak(it) - before < 50 * MIB  # all of them: 170
    eventually(lambda: _answers(it, one))
    one.asks(it).verb("cancel", number)


def test_so_many_kinds_of_jobs_and_no_more(it: World, one: User) -> None:
    kinds = [JobSpec("x", tuple(_stages(30)), priority=-n, hold=True) for n in range(4)]
    with pytest.raises(Refused, match="may have 100 different priorities and needs: give more of them the same"):
        one.asks(it).submit(*kinds)
    one.asks(it).verb("cancel", *one.asks(it).submit(*kinds[:3]))


def _stages(count: int) -> Iterator[StageSpec]:
    """Stages of which no two need the same."""
    for n in range(count):
        needs = {"CPU": n % 4} | ({"RAM": n // 4 % 4 - 1} if n // 4 % 4 else {}) | ({"GPU": 0} if n // 16 else {})
        yield StageSpec(f"s{n}", ("true",), needs, "/")


def test_one_person_holds_so_many_slots_and_leaves_the_rest(it: World, one: User, two: User) -> None:
    mine = one.asks(it).submit(*[sh("sleep 60", name=f"{n}") for n in range(4)])
    eventually(lambda: [it.job(number).state for number in mine] == ["running"] * 3 + ["waiting"])
    assert it.job(mine[3]).stages[0].why == f"{one.name} holds as much of CPU as one person may"
    theirs = two.asks(it).submit(sh("true"))
    assert two.asks(it).wait(*theirs)[0].outcome == "succeeded"
    one.asks(it).verb("cancel", *mine)
    wide = JobSpec("x", (StageSpec("run", ("true",), {"CPU": 4}, "/"),))
    with pytest.raises(BadRequest, match=r"it needs 4 slots of CPU, and one person may hold 3 \(\[limits\] slots_per"):
        one.asks(it).submit(wide)
