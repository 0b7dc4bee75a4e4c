"""The engine with real processes: what a stage is given, what is known of its end, and that none of it gets away."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from labsched.core.model import Began, Ended
from labsched.core.states import Outcome
from labsched.engines import rundir
from labsched.engines.processes import descendants
from tests.engines.place import NICE, Place, place, until
from tests.worlds import alive

MIB = 1024**2
# Leaves its session and its parent, as daemons do, and does not obey TERM.
DAEMONIZED = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(os.getpid(), flush=True)
        time.sleep(60)
    os._exit(0)
os.wait()
"""


def log(folder: str) -> bytes:
    return (Path(folder) / rundir.LOG).read_bytes()


def test_a_command_gets_its_words_folder_and_environment_and_nothing_else(tmp_path: Path) -> None:
    script = "import json, os, sys; print(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ), sys.stdin.read()]))"

    async def go() -> None:
        async with place(tmp_path / "µ a") as it:
            (cwd := tmp_path / "wörk dir").mkdir()
            order = it.python(script, cwd=str(cwd), A="1\n2", Ä="ü")
            words = ["", "a b", "µ\n\t'\"$HOME*", "-x", "x" * 100_000]
            object.__setattr__(order, "argv", (*order.argv, *words))
            ended = await it.run(order)
            assert (ended.outcome, ended.exit_code, ended.signal) == (Outcome.SUCCEEDED, 0, None)
            got = __import__("json").loads(log(order.folder))
            progress = f"{order.folder}/progress"
            env = {"PATH": os.environ["PATH"], "A": "1\n2", "Ä": "ü", "LABSCHED_PROGRESS": progress}
            got[2].pop("LC_CTYPE", None)  # Python's own doing, where there is no locale
            assert got == [words, str(cwd), env, ""]
            fds = it.order("ls", "-l", "/proc/self/fd")
            await it.run(fds)
            assert b"socket:" not in log(fds.folder)
            assert b"record" not in log(fds.folder)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("script", "code", "name", "words"),
    [
        ("exit 3", 3, None, "exit 3"),
        ("echo 'what went wrong'; exit 255", 255, None, "exit 255: what went wrong"),
        ("echo 'error: no such channel' >&2; exit 1", 1, None, "no such channel"),
        (r"printf 'last \033[31mred\033[0m words\r\n\n  \n'; exit 1", 1, None, "exit 1: last red words"),
        ("kill -KILL $$", None, "SIGKILL", "killed by SIGKILL"),
        ("kill -SEGV $$", None, "SIGSEGV", "killed by SIGSEGV"),
        ("kill -40 $$", None, "signal 40", "killed by signal 40"),
        (r"printf 'not \377 text, no newline'; exit 1", 1, None, "exit 1: not � text, no newline"),
    ],
)
def test_how_a_command_ended_is_known_in_numbers_and_words(
    script: str, code: int | None, name: str | None, words: str, tmp_path: Path
) -> None:
    async def go() -> Ended:
        async with place(tmp_path) as it:
            return await it.run(it.order("sh", "-c", script))

    ended = asyncio.run(go())
    assert (ended.outcome, ended.exit_code, ended.signal, ended.reason) == (Outcome.FAILED, code, name, words)
    assert ended.began is not None
    assert ended.began <= ended.at


def test_a_command_yields_the_processor_from_its_first_moment_on(tmp_path: Path) -> None:
    script = (
        "import os; print(os.nice(0));"
        "print(*open('/proc/self/autogroup') if os.path.exists('/proc/self/autogroup') else ['nice 3'])"
    )

    async def go() -> None:
        async with place(tmp_path) as it:
            order = it.python(script)
            await it.run(order)
            level, group = (Path(order.folder) / "log").read_text().splitlines()[:2]
            assert int(level) == os.getpriority(os.PRIO_PROCESS, 0) + NICE
            if os.getuid() == 0:  # others may change one group in 100 ms, all of them together
                assert group.endswith(f"nice {NICE}")

    asyncio.run(go())


def test_what_cannot_be_started_is_a_failure_that_says_why(tmp_path: Path) -> None:
    (script := tmp_path / "script").write_text("#!/nowhere/python\n")
    (text := tmp_path / "text").write_text("echo hello\n")
    (closed := tmp_path / "closed").write_text("#!/bin/sh\n")
    script.chmod(0o755)
    text.chmod(0o755)

    async def go() -> None:
        async with place(tmp_path / "attempts") as it:
            for order, words in [
                (it.order("no-such-thing"), f"there is no command no-such-thing (looked in {os.environ['PATH']})"),
                (it.order("./no", cwd=str(tmp_path)), "there is no command ./no"),
                (
                    it.order("true", cwd=str(tmp_path / "gone")),
                    f"its working folder {tmp_path / 'gone'} does not exist",
                ),
                (it.order("./script", cwd=str(tmp_path)), "script is there, but not the program that runs it"),
                (it.order("script", PATH=str(tmp_path)), f"{script} is there, but not the program that runs it"),
                (it.order(str(text)), f"{text} is not a program: a script needs a first line such as #!/bin/sh"),
                (it.order(str(closed)), f"the command {closed} may not be run from /: Permission denied"),
                (it.order("true", "x" * 200_000), "its arguments and environment are too long for the kernel"),
            ]:
                ended = await it.run(order)
                assert (ended.outcome, ended.exit_code) == (Outcome.FAILED, None)
                assert words in (ended.reason or "")
            assert not any(isinstance(fact, Began) for fact in it.facts)

    asyncio.run(go())


def test_a_log_is_whole_after_kill_9_and_however_it_looks(tmp_path: Path) -> None:
    size = 20 * MIB + 7
    script = f"""
import os, signal
block = bytes(range(256)) * 4096
os.write(2, b"first")
left = {size}
while left:
    left -= os.write(1, block[:left])
os.kill(os.getpid(), signal.SIGKILL)
"""

    async def go() -> None:
        async with place(tmp_path) as it:
            order = it.python(script)
            ended = await it.run(order)
            assert ended.signal == "SIGKILL"
            written = log(order.folder)
            assert len(written) == size + 5
            assert written[:8] == b"first\x00\x01\x02"
            zeros = it.order("sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; exit 1")  # one line without an end
            reason = (await it.run(zeros)).reason
            assert reason is not None
            assert len(reason) < 400
            assert reason.endswith("x…")

    asyncio.run(go())


def test_a_stop_is_polite_at_first_and_nobody_gets_away(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path, grace=0.3) as it:
            obeys = it.order("sh", "-c", "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.02; done")
            wild = it.python(DAEMONIZED + "\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)")
            frozen = it.order("sh", "-c", "trap 'echo thawed; exit' TERM; echo up; kill -STOP $$")
            for order in (obeys, wild, frozen):
                it.engine.launch(order)
                await it.began(order)
            await until(lambda: log(obeys.folder) == b"up\n" and log(frozen.folder) == b"up\n")
            await until(lambda: log(wild.folder).endswith(b"\n"))
            stray = int(log(wild.folder))
            parent = it.engine.look(wild.folder).pid
            assert parent is not None
            assert stray not in descendants(parent)
            for order in (obeys, wild, frozen):
                it.engine.stop(order.attempt)
                assert (await it.end(order)).outcome == Outcome.CANCELLED
            assert log(obeys.folder).endswith(b"asked\n")
            assert log(frozen.folder) == b"up\nthawed\n"
            assert not alive(stray)
            assert not alive(parent)

    asyncio.run(go())


@pytest.mark.parametrize("away", [False, True], ids=["with its engine there", "while there is no engine"])
def test_a_killed_shim_takes_the_whole_tree_with_it(tmp_path: Path, away: bool) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            order = it.python(DAEMONIZED + "\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)")
            it.engine.launch(order)
            await it.began(order)
            await until(lambda: log(order.folder).endswith(b"\n"))
            stray, command = int(log(order.folder)), it.engine.look(order.folder).pid
            assert command is not None
            if away:
                await it.engine.close()
            os.kill(rundir.holder(order.folder), signal.SIGKILL)
            if away:
                await it.restart()
                it.engine.adopt(order)
            assert (await it.end(order)).outcome == Outcome.LOST
            assert not alive(stray)
            assert not alive(command)

    asyncio.run(go())


def test_what_a_command_leaves_behind_is_ended_before_its_end_is_told(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path, grace=0.3) as it:
            order = it.python(DAEMONIZED)
            ended = await it.run(order)
            assert (ended.outcome, ended.exit_code) == (Outcome.SUCCEEDED, 0)
            assert not alive(int(log(order.folder)))

    asyncio.run(go())


def test_a_time_limit_holds_also_for_what_ignores_TERM(tmp_path: Path) -> None:  # noqa: N802  the signal's name
    async def go() -> None:
        async with place(tmp_path, grace=0.2) as it:
            deaf = it.order("sh", "-c", "trap '' TERM; while :; do sleep 0.02; done", time_limit=0.3)
            ended = await it.run(deaf)
            assert (ended.outcome, ended.signal) == (Outcome.TIMED_OUT, "SIGKILL")
            assert ended.reason == "it took longer than its limit of 0s"
            assert ended.began is not None
            assert 0.5 <= ended.at - ended.began < 5
            quick = await it.run(it.order("true", time_limit=60.0))
            assert quick.outcome == Outcome.SUCCEEDED

    asyncio.run(go())


def test_memory_and_processor_time_are_those_of_the_command(tmp_path: Path) -> None:
    script = f"""
import time
held = b"x" * {128 * MIB}
while time.process_time() < 0.3:
    pass
"""

    async def go() -> None:
        async with place(tmp_path) as it:
            ended = await it.run(it.python(script))
            assert ended.peak_memory is not None
            assert 128 * MIB < ended.peak_memory < 192 * MIB
            assert ended.cpu_time is not None
            assert 0.3 <= ended.cpu_time < 3
            small = await it.run(it.order("true"))
            assert small.peak_memory is not None
            assert small.peak_memory < 32 * MIB

    asyncio.run(go())


def test_a_new_engine_finds_what_runs_and_what_ended_without_it(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            gate = tmp_path / "gate"
            runs = it.order("sh", "-c", "echo one; sleep 60")
            ends = it.order("sh", "-c", f"until [ -e {gate} ]; do sleep 0.01; done; exit 7")
            never = it.order("sh", "-c", "echo late")
            for order in (runs, ends):
                it.engine.launch(order)
                await it.began(order)
            await it.engine.close()
            gate.touch()
            await until(lambda: rundir.record(ends.folder).ended is not None)
            await it.restart()
            for order in (runs, ends, never):
                it.engine.adopt(order)
            found = await it.end(ends)
            assert (found.outcome, found.exit_code) == (Outcome.FAILED, 7)
            assert (await it.end(never)).outcome == Outcome.SUCCEEDED
            await it.began(runs)
            it.engine.stop(runs.attempt)
            assert (await it.end(runs)).outcome == Outcome.CANCELLED
            assert log(runs.folder) == b"one\n"

    asyncio.run(go())


def test_an_end_that_somebody_has_written_over_is_lost_and_harms_nobody(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            order = it.order("true")
            await it.run(order)
            with (Path(order.folder) / rundir.RECORD).open("a") as file:
                file.write('{"ended": {"ended": "yesterday", "exit_code": 0}}\n')
            await it.restart()
            it.engine.adopt(order)
            ended = await it.end(order)
            assert ended.outcome == Outcome.LOST
            assert ended.reason is not None
            assert "makes no sense" in ended.reason

    asyncio.run(go())


def test_another_boot_means_lost_unless_the_end_was_written(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            done, gone = it.order("true"), it.order("true")
            await it.run(done)
            await it.restart("another boot")
            it.engine.adopt(done)
            assert (await it.end(done)).outcome == Outcome.SUCCEEDED
            it.engine.adopt(gone)
            ended = await it.end(gone)
            assert (ended.outcome, ended.reason) == (Outcome.LOST, "the machine was rebooted while it ran")

    asyncio.run(go())


def test_a_strangers_process_with_the_shims_pid_is_neither_watched_nor_stopped(tmp_path: Path) -> None:
    async def go() -> None:
        stranger = await asyncio.create_subprocess_exec("sleep", "60")
        try:
            async with place(tmp_path) as it:
                order = it.order("true")
                Path(order.folder).mkdir()
                record = rundir.lock(order.folder)
                assert record is not None
                assert rundir.begin(record, {"mark": "MARK=none", "uid": None, "group": None})
                rundir.note(record, "started", {"pid": stranger.pid, "started": 1.0})
                os.close(record)
                assert it.engine.look(order.folder).memory is None
                it.engine.stop(order.attempt)
                it.engine.adopt(order)
                ended = await it.end(order)
                assert (ended.outcome, ended.began) == (Outcome.LOST, 1.0)
                assert alive(stranger.pid)
        finally:
            stranger.kill()
            await stranger.wait()

    asyncio.run(go())


def test_an_attempt_never_runs_twice(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            order = it.order("sh", "-c", f"echo x >> {tmp_path}/journal; sleep 0.2")
            for _ in range(3):
                it.engine.launch(order)
            ended = await it.end(order)
            assert ended.outcome == Outcome.SUCCEEDED
            it.engine.launch(order)  # a daemon that was put back to an older state of its queue
            await until(lambda: len([fact for fact in it.facts if isinstance(fact, Ended)]) == 2)
            assert (tmp_path / "journal").read_text() == "x\n"

    asyncio.run(go())


def test_an_attempt_whose_shim_was_killed_does_not_run_again_for_a_shim_that_comes_late(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            order = it.order("sh", "-c", f"echo x >> {tmp_path}/journal; exec sleep 60")
            it.engine.launch(order)
            await until(lambda: (tmp_path / "journal").exists())
            os.kill(rundir.holder(order.folder), signal.SIGKILL)
            assert (await it.end(order)).outcome == Outcome.LOST
            it.engine.launch(order)  # as one that an earlier daemon had asked for it does, once it comes to it
            await until(lambda: len([fact for fact in it.facts if isinstance(fact, Ended)]) == 2)
            assert (tmp_path / "journal").read_text() == "x\n"
            assert not Path(f"{order.folder}.before-1").exists()

    asyncio.run(go())


def test_many_at_once_all_run_once_through_deaths_of_the_shims_parent(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            killed: list[int] = []

            def parent() -> int:
                assert it.engine._shims.parent is not None
                return it.engine._shims.parent.pid

            orders = [it.order("sh", "-c", f"echo {n} >> {tmp_path}/journal") for n in range(60)]
            for n, order in enumerate(orders):
                it.engine.launch(order)
                if n % 20 == 10:
                    await until(lambda: it.engine._shims.parent is not None and parent() not in killed)
                    killed.append(parent())
                    os.kill(parent(), signal.SIGKILL)
                    if n != 30:  # the next launch comes before the next parent is there; else before anybody noticed
                        async with asyncio.timeout(20):
                            while it.engine._shims.parent is not None:
                                await asyncio.sleep(0)
            for order in orders:
                assert (await it.end(order)).outcome == Outcome.SUCCEEDED
            assert sorted(map(int, (tmp_path / "journal").read_text().split())) == list(range(60))

    asyncio.run(go())


def test_a_folder_that_cannot_be_written_fails_nothing_and_is_tried_again(tmp_path: Path) -> None:
    async def go() -> None:
        attempts = tmp_path / "attempts"
        attempts.write_text("in the way")
        async with place(attempts) as it:
            order, unwanted = it.order("true"), it.order("true")
            it.engine.launch(order)
            it.engine.launch(unwanted)
            await until(lambda: it.engine.trouble is not None)
            assert "Not a directory" in (it.engine.trouble or "")
            it.engine.stop(unwanted.attempt)
            assert (await it.end(unwanted)).outcome == Outcome.CANCELLED
            attempts.unlink()
            assert (await it.end(order)).outcome == Outcome.SUCCEEDED
            assert it.engine.trouble is None

    asyncio.run(go())


def test_a_look_shows_how_far_it_is_and_what_memory_its_tree_has(tmp_path: Path) -> None:
    script = f"""
import os, time
held = b"x" * {64 * MIB}
open(os.environ["LABSCHED_PROGRESS"], "w").write("25% shank 1")
time.sleep(60)
"""

    async def go(it: Place) -> None:
        order = it.order("sh", "-c", '"$@" & wait', "sh", *it.python(script).argv)
        it.engine.launch(order)
        await until(lambda: it.engine.look(order.folder).progress == 0.25)
        seen = it.engine.look(order.folder)
        assert seen.note == "shank 1"
        await until(lambda: (it.engine.look(order.folder).memory or 0) > 64 * MIB)  # it may be from a moment ago
        assert seen.pid is not None
        assert alive(seen.pid)

    async def all_of_it() -> None:
        async with place(tmp_path) as it:
            await go(it)

    asyncio.run(all_of_it())


def test_the_shims_parent_ends_in_silence_when_the_daemon_is_killed(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words = [
        sys.executable,
        "-c",
        f"from labsched.engines.serve import serve; serve({theirs.fileno()}, 'labsched-test')",
    ]
    with ours, theirs, subprocess.Popen(words, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE) as parent:
        theirs.close()
        ours.send(b"shim")
        assert select.select([ours], [], [], 20)[0]
        ours.close()  # what it said is unread: a reset for the other end
        assert parent.communicate(timeout=20) == (None, b"")
    assert parent.returncode == 0
