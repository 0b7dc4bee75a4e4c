"""labsched logs -f, whatever becomes of the daemon: each byte once."""

import subprocess
import sys
from pathlib import Path

import msgspec

from labsched.engines import rundir
from labsched.wire.messages import LogStart
from tests.cli.conftest import Labsched, environment
from tests.cli.samples import JOB
from tests.wire.server import saying
from tests.worlds import chain, eventually, world

BEGIN = b"HTTP/1.1 200 OK\r\nLabsched-Log: " + msgspec.json.encode(LogStart(428, "run", 1, 0)) + b"\r\n"


def test_a_log_is_followed_through_deaths_of_the_daemon_with_nothing_lost_and_nothing_twice() -> None:
    with world() as it:
        script = f"i=0; until [ -e {it.folder}/stop ]; do i=$((i+1)); echo line $i µ; sleep 0.01; done"
        [number] = it.submit(chain(["sh", "-c", script], ["sh", "-c", "echo second; printf 'no newline'"]))
        attempts = it.folder / "state" / "attempts" / str(number)
        first, out = attempts / "one.1" / "log", it.folder / "out"
        words = [sys.executable, "-m", "labsched", "logs", "last", "-f"]
        env = environment(it.folder, LABSCHED_SOCKET=str(it.folder / "s"))
        with out.open("wb") as file:
            following = subprocess.Popen(words, env=env, stdout=file, stderr=subprocess.PIPE)
        for again in (True, False):
            eventually(lambda: b"line" in out.read_bytes())
            it.kill()
            got = out.stat().st_size
            eventually(lambda got=got: first.stat().st_size > got + 100)  # type: ignore[misc]
            if not again:
                (it.folder / "stop").touch()
                eventually(lambda: rundir.record(str(attempts / "one.1")).ended is not None)
            it.start()
            it.submit(chain(["true"]))  # `last` is another job now
            eventually(lambda got=got: out.stat().st_size > got + 100)  # type: ignore[misc]
        _, said = following.communicate(timeout=30)
        assert following.returncode == 0, said
        assert out.read_bytes() == first.read_bytes() + b"second\nno newline"
        assert said.decode().count("waiting up to 30 s for it") == 2


def test_lines_can_be_had_as_objects() -> None:
    with world() as it:
        [number] = it.submit(chain(["printf", r"one\n"], ["printf", r"two \"\377\nthree"]))
        it.wait(number)
        env = environment(it.folder, LABSCHED_SOCKET=str(it.folder / "s"))
        words = [sys.executable, "-m", "labsched", "logs", str(number), "--json"]
        whose = {"job": number, "stage": "two", "attempt": 1}
        done = subprocess.run(words, env=env, capture_output=True, check=True)
        objects = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
        assert objects == [{**whose, "line": 'two "\ufffd'}, {**whose, "line": "three"}]
        done = subprocess.run([*words, "-f", "--stage", "one"], env=env, capture_output=True, check=True)
        first, *others = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
        assert first == {"job": number, "line": "one", "stage": None, "attempt": None}
        assert [line["line"] for line in others] == ['two "\ufffd', "three"]


def test_a_daemon_that_stops_politely_is_waited_for_too() -> None:
    with world() as it:
        script = f"echo first; until [ -e {it.folder}/stop ]; do sleep 0.01; done; echo last"
        [number] = it.submit(chain(["sh", "-c", script]))
        eventually(lambda: it.job(number).state == "running")
        words = [sys.executable, "-m", "labsched", "logs", str(number), "-f"]
        env = environment(it.folder, LABSCHED_SOCKET=str(it.folder / "s"))
        following = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert following.stdout is not None
        assert following.stdout.readline() == b"first\n"
        assert it.stop() == 0
        it.start()
        (it.folder / "stop").touch()
        out, _ = following.communicate(timeout=30)
        assert (following.returncode, out) == (0, b"last\n")


def test_an_answer_that_was_cut_off_is_no_whole_log(scratch: Path, labsched: Labsched) -> None:
    with saying(BEGIN + b"Content-Length: 20\r\n\r\nhalf of it\n") as (path, _):
        ran = labsched("logs", "428", env={"LABSCHED_SOCKET": str(path)})
    assert (ran.code, ran.out) == (3, "half of it\n")
    assert "went away in the middle" in ran.sentence


def test_a_follower_of_a_daemon_that_was_never_there_does_not_wait(labsched: Labsched) -> None:
    ran = labsched("logs", str(JOB.id), "-f")
    assert (ran.code, "no daemon" in ran.sentence) == (3, True)
