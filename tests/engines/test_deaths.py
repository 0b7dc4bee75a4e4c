"""A shim that dies is noticed at once, with all that it stood by; zombies and reused numbers fool nobody."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labsched import faults
from labsched.core.model import Ended
from labsched.core.states import Outcome
from labsched.engines import processes, rundir
from labsched.engines.shims import Shim
from tests.engines.place import Place, place, until
from tests.worlds import alive, eventually

NOTICED_S = 0.1
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
# In the session; out of it; out of it, its parent gone, deaf to TERM; as that, and another program.
FAMILY = """
import os, signal, sys, time
def child(what):
    if os.fork() == 0:
        what()
        os.write(1, b"%d\\n" % os.getpid())
        time.sleep(60)
        os._exit(0)
def daemon():
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
def program():
    daemon()
    os.write(1, b"%d\\n" % os.getpid())
    os.execv("/bin/sleep", ["sleep", "60"])
for what in (lambda: None, os.setsid, daemon, program):
    child(what)
time.sleep(60)
"""

EXECUTES = "import os, sys; os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])"  # again and again


async def running(it: Place, script: str = "import time; time.sleep(60)") -> tuple[object, int, int]:
    """An attempt that runs: its order, its shim's pid, its command's."""
    order = it.python(script)
    it.engine.launch(order)
    await it.began(order)
    command = it.engine.look(order.folder).pid
    assert command is not None
    return order, rundir.holder(order.folder), command


def test_a_dead_shim_is_noticed_within_100_ms_and_its_whole_tree_is_gone_by_then(tmp_path: Path) -> None:
    async def go(folder: Path) -> float:
        async with place(folder) as it:
            order, shim, command = await running(it, FAMILY)
            log = Path(order.folder) / rundir.LOG  # type: ignore[attr-defined]
            await until(lambda: len(log.read_bytes().split()) == 4)
            family = [*map(int, log.read_bytes().split()), command]
            assert all(map(alive, family))
            began = time.monotonic()
            os.kill(shim, signal.SIGKILL)
            while not any(isinstance(fact, Ended) for fact in it.facts):
                await asyncio.sleep(0)
                assert time.monotonic() < began + 20
            seconds = time.monotonic() - began
            assert not any(map(alive, family))
            assert (await it.end(order)).outcome == Outcome.LOST  # type: ignore[arg-type]
            return seconds

    # A machine that is busy otherwise may be late, but not each time.
    assert min(asyncio.run(go(tmp_path / str(n))) for n in range(3)) < NOTICED_S


def test_what_a_dead_shim_left_is_looked_for_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = processes.kill_marked

    def slow(mark: bytes, uid: int | None = None) -> bool:
        time.sleep(0.5)  # as on a machine with many thousand processes
        return real(mark, uid)

    async def go() -> None:
        async with place(tmp_path) as it:
            order, shim, command = await running(it)
            monkeypatch.setattr(processes, "kill_marked", slow)
            os.kill(shim, signal.SIGKILL)
            longest, last = 0.0, time.monotonic()
            while not any(isinstance(fact, Ended) for fact in it.facts):
                await asyncio.sleep(0.001)
                last, before = time.monotonic(), last
                longest = max(longest, last - before)
            assert (await it.end(order)).outcome == Outcome.LOST  # type: ignore[arg-type]
            assert not alive(command)
            assert longest < 0.4

    asyncio.run(go())


def test_an_engine_that_closes_while_it_ends_what_a_dead_shim_left_leaves_that_to_the_next(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            order, shim, command = await running(it)
            os.kill(shim, signal.SIGKILL)
            await until(lambda: bool(it.engine._sweeps) or bool(it.facts[1:]))
            await it.restart()
            it.engine.adopt(order)  # type: ignore[arg-type]
            it.engine.adopt(order)  # type: ignore[arg-type]
            assert (await it.end(order)).outcome == Outcome.LOST  # type: ignore[arg-type]
            assert not alive(command)

    asyncio.run(go())


def test_nobody_looks_again_and_again_whether_a_shim_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            _, shim, _ = await running(it)
            looked: list[str] = []
            holder = rundir.holder
            monkeypatch.setattr(rundir, "holder", lambda folder: looked.append(folder) or holder(folder))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await asyncio.Event().wait()
            assert not looked
            os.kill(shim, signal.SIGKILL)
            await until(lambda: any(isinstance(fact, Ended) for fact in it.facts))
            assert looked

    asyncio.run(go())


@pytest.mark.parametrize("away", [False, True], ids=["with its engine there", "while there is no engine"])
def test_a_shim_that_is_a_zombie_is_dead(tmp_path: Path, away: bool) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            order, shim, command = await running(it)
            assert it.engine._shims.parent is not None
            parent = it.engine._shims.parent.pid
            os.kill(parent, signal.SIGSTOP)  # it reaps nobody
            try:
                os.kill(shim, signal.SIGKILL)
                await until(lambda: not alive(shim))
                assert Path(f"/proc/{shim}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
                if away:
                    other = Place(tmp_path)
                    other.engine = other._new()
                    other.engine.adopt(order)  # type: ignore[arg-type]
                    ended = await other.end(order)  # type: ignore[arg-type]
                else:
                    ended = await it.end(order)  # type: ignore[arg-type]
                assert ended.outcome == Outcome.LOST
                assert Path(f"/proc/{shim}").exists()  # still nobody has reaped it
                assert not alive(command)
            finally:
                os.kill(parent, signal.SIGCONT)

    asyncio.run(go())


def with_pid(pid: int) -> "subprocess.Popen[bytes]":
    """A stranger's process that has this number, which nobody has any more; skips where that cannot be had."""
    for _ in range(200):
        try:
            LAST_PID.write_text(str(pid - 1))
        except OSError:
            pytest.skip("the kernel lets nobody choose the next process number here")
        stranger = subprocess.Popen(["sleep", "60"])
        if stranger.pid == pid:
            return stranger
        stranger.kill()
        stranger.wait()
    pytest.skip("others were faster, each time, to get the number")


@pytest.mark.parametrize("whose", ["the shim's", "the command's"])
def test_a_strangers_process_that_got_the_same_number_is_left_alone(tmp_path: Path, whose: str) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            order, shim, command = await running(it)
            await it.engine.close()
            os.kill(shim, signal.SIGKILL)
            await until(lambda: not Path(f"/proc/{shim}").exists() and not Path(f"/proc/{command}").exists())
            stranger = with_pid(shim if whose == "the shim's" else command)
            try:
                await it.restart()
                it.engine.stop(order.attempt)  # type: ignore[attr-defined]
                it.engine.adopt(order)  # type: ignore[arg-type]
                assert (await it.end(order)).outcome == Outcome.LOST  # type: ignore[arg-type]
                assert it.engine.look(order.folder).memory is None  # type: ignore[attr-defined]
                assert stranger.poll() is None
                assert alive(stranger.pid)
            finally:
                stranger.kill()
                stranger.wait()

    asyncio.run(go())


@pytest.fixture
def armed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to arm points in, for the shims of this test."""
    folder = tmp_path / "faults"
    for name in ("armed", "hit"):
        (folder / name).mkdir(parents=True)
    monkeypatch.setenv(faults.ENVIRONMENT, str(folder))
    return folder


@pytest.mark.parametrize("wanted", [True, False], ids=["it is to run", "it was cancelled meanwhile"])
def test_a_shim_that_is_late_to_its_lock_runs_what_nobody_else_has_run_or_nothing(
    tmp_path: Path, armed: Path, wanted: bool
) -> None:
    async def go() -> None:
        async with place(tmp_path / "attempts") as it:
            (armed / "armed" / "shim.made").write_text("sleep 0.5")
            order = it.order("sh", "-c", f"echo x >> {tmp_path}/journal")
            it.engine.launch(order)
            await until(lambda: bool(list((armed / "hit").glob("shim.made.*"))))
            [late] = [int(path.suffix[1:]) for path in (armed / "hit").glob("shim.made.*")]
            await it.restart()  # nobody knows of the late one
            if not wanted:
                it.engine.stop(order.attempt)
            it.engine.adopt(order)
            ended = await it.end(order)
            assert ended.outcome == (Outcome.SUCCEEDED if wanted else Outcome.CANCELLED)
            await until(lambda: not alive(late))
            assert (tmp_path / "journal").exists() == wanted
            if wanted:
                assert (tmp_path / "journal").read_text() == "x\n"

    asyncio.run(go())


@pytest.mark.parametrize("at", ["shim.asked", "shim.locked"])
def test_an_attempt_whose_shims_are_all_killed_before_it_begins_says_so(
    tmp_path: Path, armed: Path, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Shim.send

    def send(shim: Shim, spec: bytes) -> None:
        (armed / "armed" / at).write_text("kill 0")  # anew before each launch
        real(shim, spec)

    async def go() -> None:
        async with place(tmp_path / "attempts") as it:
            monkeypatch.setattr(Shim, "send", send)
            order = it.order("touch", f"{tmp_path}/journal")
            said = await it.run(order)
            assert said.outcome == Outcome.FAILED
            assert said.reason is not None
            assert said.reason.startswith("its shim was killed by SIGKILL 3 times before the stage began: ")
            assert "journalctl -k" in said.reason
            assert len(list((armed / "hit").glob(f"{at}.*"))) == 3
            assert not (tmp_path / "journal").exists()

    asyncio.run(go())


def test_what_is_just_executing_a_program_is_not_overlooked() -> None:
    # `environ` is empty from the exec's beginning to its end; a kernel thread's and a zombie's always are.
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", EXECUTES], stdout=subprocess.PIPE) as many:
        try:
            eventually(lambda: processes._environment(many.pid) is processes._NOT_YET)
        finally:
            many.kill()
            os.waitid(os.P_PID, many.pid, os.WEXITED | os.WNOWAIT)
        assert not processes._environment(many.pid)  # to others than root, that of a zombie is a stranger's
    assert processes._environment(os.getpid()) == Path("/proc/self/environ").read_bytes()


FLEES = """
import os, time
os.write(1, b"x")
for _ in range(4):
    if os.fork():
        os._exit(0)
time.sleep(60)
"""


@pytest.mark.parametrize("uid", [None, os.getuid()])
def test_what_forks_and_ends_while_somebody_looks_is_not_overlooked(tmp_path: Path, uid: int | None) -> None:
    words = [sys.executable, "-I", "-S", "-c", FLEES]
    for number in range(15):
        said = {"MARK": f"{tmp_path}/{number}"}
        mark = f"MARK={tmp_path}/{number}".encode()
        with subprocess.Popen(words, env=said, start_new_session=True, stdout=subprocess.PIPE) as first:
            assert first.stdout is not None
            first.stdout.read(1)
            try:
                assert not processes.kill_marked(mark, os.getuid() + 1)
                eventually(lambda mark=mark: not processes.kill_marked(mark, uid))
                eventually(lambda first=first: not in_session(first.pid), 1.0)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(first.pid, signal.SIGKILL)


def in_session(leader: int) -> list[int]:
    """The processes of a session that are no zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, rest = path.parent.name, path.read_text().rpartition(")")[2].split()
            found += [int(pid)] if rest[3] == str(leader) and rest[0] != "Z" else []
    return found


def test_a_barred_attempt_never_begins_and_one_that_has_begun_cannot_be_barred(tmp_path: Path) -> None:
    barred, begun = str(tmp_path / "1/barred.1"), str(tmp_path / "1/begun.1")
    for _ in range(2):
        assert rundir.bar(barred, False, 1.0)
        assert not begins(barred)
    assert rundir.record(barred).begun is None
    rundir.make(begun, False)
    assert begins(begun)
    assert not begins(begun)
    assert not rundir.bar(begun, False, 1.0)
    assert rundir.record(begun).begun == {"mark": "x"}


def begins(folder: str) -> bool:
    fd = rundir.lock(folder)
    assert fd is not None
    try:
        return rundir.begin(fd, {"mark": "x"})
    finally:
        os.close(fd)
