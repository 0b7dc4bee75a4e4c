"""Logs as they are sent: their last lines, their growth, and every byte from wherever one was."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labsched import errors
from labsched.daemon import logs
from labsched.engines.processes import descendants
from labsched.wire.messages import LogStart
from tests.worlds import QUICK, World, chain, command, eventually, world

# Lines as they come: short ones, empty ones, with \r\n, longer than the block that is read at a time.
LINES = st.lists(
    st.one_of(
        st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n"]),
        st.binary(max_size=8),
        st.integers(logs.BLOCK - 2, logs.BLOCK + 2).map(lambda n: b"x" * n),
    ),
    max_size=12,
).map(b"".join)


@given(content=LINES, count=st.integers(0, 8))
@example(content=b"a\nb\n" + b"c" * logs.BLOCK + b"\n", count=1)
@example(content=b"\n" * (logs.BLOCK + 1), count=logs.BLOCK)
def test_the_last_lines_are_those_that_tail_would_print(
    content: bytes, count: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "log"
    path.write_bytes(content)
    # A newline ends a line; what comes after the last one is a line too.
    lines = [line + b"\n" for line in content.split(b"\n")]
    lines[-1:] = [lines[-1][:-1]] if lines[-1] != b"\n" else []
    wanted = b"".join(lines[-count:]) if count else b""
    with path.open("rb") as file:
        start = logs.tail_start(file, count)
    assert content[start:] == wanted


@pytest.fixture(scope="module")
def it() -> Iterator[World]:
    with world(QUICK + "[pools]\nCPU = 8\n") as made:
        yield made


class Follower:
    """Reads a log in a thread; `got` is what has come so far."""

    def __init__(self, it: World, ref: int, **query: object) -> None:
        self.got = b""
        self.error: Exception | None = None
        self.log = it.client.log(str(ref), follow=True, **query)
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        try:
            for piece in self.log:
                self.got += piece
        except Exception as error:
            self.error = error

    def end(self) -> bytes:
        self.thread.join(30)
        assert not self.thread.is_alive()
        assert self.error is None, self.error
        return self.got


def gate(it: World, name: str) -> str:
    return f"until [ -e {it.folder}/{name} ]; do sleep 0.01; done"


def test_followers_see_each_byte_as_it_is_written_whenever_they_came(it: World) -> None:
    # The first half of a character, and the other a moment later.
    script = f"printf 'a\\n\\303'; {gate(it, 'f1')}; printf '\\251\\nc'; {gate(it, 'f2')}; head -c 3000000 /dev/zero"
    [before] = it.submit(command("sh", "-c", script, hold=True))
    followers = [Follower(it, before), Follower(it, before, lines=1), Follower(it, before, stage="run", attempt=1)]
    it.verb("release", before)
    eventually(lambda: all(follower.got == b"a\n\xc3" for follower in followers))
    followers += [Follower(it, before, lines=1), Follower(it, before, offset=1)]
    eventually(lambda: followers[-2].got == b"\xc3" and followers[-1].got == b"\n\xc3")
    (it.folder / "f1").touch()
    eventually(lambda: followers[0].got == "a\né\nc".encode())
    (it.folder / "f2").touch()
    whole = "a\né\nc".encode() + bytes(3_000_000)
    assert [follower.end() for follower in followers] == [whole, whole, whole, whole[2:], whole[1:]]
    assert [b"".join(it.client.log(str(before), offset=n)) for n in (0, 4, 3_000_006, 10**9)] == [
        whole,
        whole[4:],
        b"",
        b"",
    ]
    assert b"".join(it.client.log(str(before), lines=1)) == whole[5:]


def test_a_follower_from_the_very_beginning_misses_nothing_of_any_stage(it: World) -> None:
    numbers = it.submit(*[chain(["echo", "one"], ["echo", "two"], name=f"f{n}", hold=True) for n in range(20)])
    followers = [Follower(it, number) for number in numbers]
    it.verb("release", *numbers)
    late = [Follower(it, number) for number in numbers]  # most of these come while it is starting
    assert {follower.end() for follower in followers} == {b"one\ntwo\n"}
    assert {follower.end() for follower in late} <= {b"one\ntwo\n", b"two\n"}


def test_an_offset_counts_on_through_the_logs_of_later_stages(it: World) -> None:
    [number] = it.submit(chain(["printf", "first"], ["printf", "second"], ["true"], ["printf", "last"]))
    it.wait(number)
    whole = b"firstsecondlast"
    for n in range(len(whole) + 2):
        assert Follower(it, number, stage="one", attempt=1, offset=n).end() == whole[n:]
    assert Follower(it, number).end() == b"last"
    assert Follower(it, number, stage="two").end() == b"secondlast"


def test_a_stage_that_is_still_to_come_is_waited_for(it: World) -> None:
    [number] = it.submit(chain(["sh", "-c", f"echo first; {gate(it, 'f3')}"], ["echo", "second"]))
    eventually(lambda: it.job(number).state == "running")
    follower = Follower(it, number, stage="two")
    with pytest.raises(errors.Refused, match="has not started"):
        list(it.client.log(str(number), stage="two"))
    with pytest.raises(errors.NotFound, match="has no stage 'three'; it has one, two"):
        list(it.client.log(str(number), stage="three"))
    with pytest.raises(errors.NotFound, match="no attempt 2"):
        list(it.client.log(str(number), attempt=2, follow=True))
    (it.folder / "f3").touch()
    assert follower.end() == b"second\n"


def test_a_retry_has_a_log_of_its_own_and_the_last_one_is_meant(it: World) -> None:
    [number] = it.submit(command("sh", "-c", f"echo try $LABSCHED_ATTEMPT; [ -e {it.folder}/good ]"))
    it.wait(number)
    assert it.read_log(number) == "try 1\n"
    (it.folder / "good").touch()
    it.verb("retry", number)
    it.wait(number)
    assert it.read_log(number) == "try 2\n"
    assert b"".join(it.client.log(str(number), attempt=1)) == b"try 1\n"
    assert Follower(it, number, attempt=1).end() == b"try 1\ntry 2\n"
    heard: dict[str, str] = {}
    list(it.client.stream("log", hear=heard.update, ref=number, lines=0))
    about = LogStart(number, "run", 2, 6)
    assert heard[LogStart.HEADER.lower()].encode() == msgspec.json.encode(about)


def test_whoever_goes_away_while_following_leaves_nothing_behind(it: World) -> None:
    [number] = it.submit(command("sleep", "60"))
    eventually(lambda: it.job(number).state == "running")
    assert it.process is not None
    fds = Path(f"/proc/{it.process.pid}/fd")

    def watches() -> int:
        links = []
        for entry in fds.iterdir():
            try:
                links.append(str(entry.readlink()))
            except FileNotFoundError:
                continue
        return sum(link.endswith("/log") or "inotify" in link for link in links)

    before = watches()
    words = [sys.executable, "-m", "labsched", "logs", str(number), "-f", "--socket", str(it.folder / "s")]
    with subprocess.Popen(words) as follower:
        eventually(lambda: watches() > before)
        follower.kill()
    eventually(lambda: watches() == before)
    it.verb("cancel", number)


def test_more_may_follow_than_the_kernel_has_watches_for_one_user(it: World) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    if limit > 200:
        pytest.skip("this kernel has too many to use them up")
    [number] = it.submit(command("sh", "-c", f"echo first; {gate(it, 'f4')}; echo last"))
    followers = [Follower(it, number) for _ in range(limit + 5)]
    eventually(lambda: all(follower.got == b"first\n" for follower in followers))
    (it.folder / "f4").touch()
    assert {follower.end() for follower in followers} == {b"first\nlast\n"}


def test_a_stage_that_is_just_being_started_is_followed_from_its_first_byte(it: World) -> None:
    assert it.process is not None
    shims = descendants(it.process.pid)
    for pid in shims:  # so that it takes its time
        os.kill(pid, signal.SIGSTOP)
    try:
        [number] = it.submit(chain(["echo", "one"], ["echo", "two"]))
        eventually(lambda: it.job(number).state == "starting")
        follower = Follower(it, number)
        eventually(lambda: follower.log.answers == 1)
        assert it.job(number).state == "starting"
    finally:
        for pid in shims:
            os.kill(pid, signal.SIGCONT)
    assert follower.end() == b"one\ntwo\n"
