"""Every verb against a real daemon, as people use them."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.cli.conftest import Labsched, environment, eventually
from tests.worlds import new_state

CONFIG = """\
[pools]
RAM = 1
CPU = 2
GPU = 1

[daemon]
stop_grace = 1.0
"""


@contextmanager
def daemon(scratch: Path) -> Iterator["subprocess.Popen[bytes]"]:
    new_state(scratch / "state")
    words = ["daemon", "--state", "state", "--socket", "socket", "--config", "lab.toml"]
    with (scratch / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "labsched", *words],
            cwd=scratch,
            env=environment(scratch, PYTHONWARNINGS="default"),
            stdout=log,
            stderr=log,
        )
    try:
        eventually(lambda: process.poll() is not None or _answers(scratch))
        assert process.poll() is None, (scratch / "daemon.log").read_text()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _answers(scratch: Path) -> bool:
    words = [sys.executable, "-m", "labsched", "status", "-q"]
    return subprocess.run(words, env=environment(scratch), capture_output=True).returncode == 0


@pytest.fixture
def queue(scratch: Path, labsched: Labsched) -> Iterator[Labsched]:
    """The command line, with a daemon behind it; what still runs at the end is ended."""
    (scratch / "lab.toml").write_text(CONFIG)
    with daemon(scratch):
        yield labsched
        live = [job["id"] for job in json.loads(labsched("status", "--json").out)["jobs"] if job["state"] != "ended"]
        if live:
            assert labsched("cancel", *map(str, live)).code == 0


def number(queue: Labsched, *words: str, **more: object) -> str:
    ran = queue("add", "-q", *words, **more)
    assert ran.code == 0, ran
    assert ran.out.strip().isdecimal()
    return ran.out.strip()


def test_a_command_is_queued_runs_and_is_shown(queue: Labsched, scratch: Path) -> None:
    (scratch / "here").mkdir()
    ran = queue(
        "add", "--name", "hello", "--", "sh", "-c", "pwd; echo $MINE; exit 3", cwd=scratch / "here", env={"MINE": "1"}
    )
    job, name, *_ = ran.out.split("  ")
    assert (ran.code, name) == (0, "hello")
    waited = queue("wait", job)
    assert (waited.code, waited.out.split("  ")[:3]) == (1, [job, "hello", "failed"])
    assert queue("logs", "last").out == f"{(scratch / 'here').resolve()}\n1\n"
    shown = json.loads(queue("show", "hello", "--json").out)
    (stage,) = shown["stages"]
    (attempt,) = stage["attempts"]
    assert (stage["state"], stage["outcome"], stage["needs"]) == ("ended", "failed", {"CPU": 1})
    assert (attempt["number"], attempt["exit_code"], attempt["signal"]) == (1, 3, None)
    assert Path(attempt["log"]).read_text().endswith("1\n")
    assert "MINE" in stage["env"] and "env_values" not in stage
    assert json.loads(queue("show", job, "--json", "--env").out)["stages"][0]["env_values"]["MINE"] == "1"
    assert "exit code 3" in queue("show", job).out
    table = queue("status").out
    assert f"{job} failed: labsched logs {job} · labsched retry {job}" in table
    assert queue("history", "--failed", "-q").out == f"{job}\n"
    assert queue("history", "--name", "nothing-like-it", "-q").out == ""


def test_wait_says_by_its_exit_code_how_it_ended(queue: Labsched) -> None:
    good, bad, slow = number(queue, "--", "true"), number(queue, "--", "false"), number(queue, "--", "sleep", "60")
    assert queue("wait", good).code == 0
    assert queue("wait", good, bad).code == 1
    late = queue("wait", good, slow, "--timeout", "0.2s")
    assert (late.code, late.out.startswith(good)) == (75, True)
    assert queue("wait", "999").code == 4
    assert queue("cancel", slow, "--reason", "enough").code == 0
    ended = queue("wait", slow)
    assert (ended.code, "cancelled" in ended.out, "enough" in ended.out) == (1, True, True)


def test_what_is_held_does_not_start_until_it_is_released(queue: Labsched) -> None:
    job = number(queue, "--hold", "--", "true")
    assert "held" in queue("status").out
    assert queue("wait", job, "--timeout", "0.1").code == 75
    assert queue("release", job).code == 0
    assert queue("wait", job).code == 0
    assert queue("release", job).code == 5
    assert queue("hold", job).code == 5
    assert queue("cancel", job).code == 5


def test_all_of_ones_own_are_cancelled_without_their_numbers(queue: Labsched) -> None:
    runs = queue("add", "-q", "--", "sleep", "60").out.strip()
    waits = [queue("add", "-q", "--hold", "--", "true").out.strip() for _ in range(3)]
    eventually(lambda: "running" in queue("show", runs).out)
    ran = queue("cancel", "--waiting")
    assert (ran.code, [line.split()[0] for line in ran.out.splitlines()]) == (0, waits[::-1])
    ran = queue("cancel", "--mine", "--json")
    assert [row["id"] for row in json.loads(ran.out)["jobs"]] == [int(runs)]
    assert (queue("cancel", "--mine").code, queue("cancel", "--mine").out) == (0, "")
    for words in ((), ("1", "--mine")):
        assert queue("cancel", *words).code == 2


def test_retry_runs_again_and_keeps_what_was_tried(queue: Labsched, scratch: Path) -> None:
    job = number(queue, "--", "test", "-e", str(scratch / "there"))
    assert queue("wait", job).code == 1
    (scratch / "there").touch()
    assert queue("retry", job).code == 0
    assert queue("wait", job).code == 0
    attempts = json.loads(queue("show", job, "--json").out)["stages"][0]["attempts"]
    assert [attempt["exit_code"] for attempt in attempts] == [1, 0]
    assert queue("retry", job).code == 5
    assert queue("retry", job, "--from", "nowhere").code == 4
    assert queue("logs", job, "--attempt", "9").code == 4
    assert queue("logs", job, "--stage", "nowhere").code == 4


def test_what_fails_is_tried_again_as_it_was_told(queue: Labsched, scratch: Path) -> None:
    script = f"echo x >> {scratch}/tried; exit $(wc -l < {scratch}/tried)"
    job = number(queue, "--retry", "5", "--retry-wait", "0.01", "--retry-on", "1,2", "--", "sh", "-c", script)
    assert queue("wait", job).code == 1
    attempts = json.loads(queue("show", job, "--json").out)["stages"][0]["attempts"]
    assert [attempt["exit_code"] for attempt in attempts] == [1, 2, 3]
    assert "up to 5 times after exit code 1, 2, first after" in queue("show", job).out
    for bad in (["--retry-wait", "1m"], ["--retry", "-1"], ["--retry", "1", "--retry-on", "x"]):
        assert queue("add", *bad, "--", "true").code == 2


def test_not_now_is_tried_later_and_a_person_may_say_at_once(queue: Labsched, scratch: Path) -> None:
    job = number(queue, "--", "sh", "-c", f"test -e {scratch}/disk || {{ echo 'error: no disk' >&2; exit 75; }}")
    eventually(lambda: "again in" in queue("status").out)
    assert "no disk; again in 5" in queue("show", job).out
    (scratch / "disk").touch()
    assert queue("retry", job).code == 0
    assert queue("wait", job).code == 0
    late = number(queue, "--", "sh", "-c", "exit 75")
    eventually(lambda: "again in" in queue("status").out)
    assert queue("cancel", late).code == 0
    assert queue("wait", late).code == 1


def test_a_pool_is_changed_while_all_goes_on(queue: Labsched) -> None:
    assert queue("pool", "pause", "GPU").code == 0
    job = number(queue, "--need", "GPU=1", "--", "true")
    assert "pool GPU is paused" in queue("status").out
    assert "paused by" in queue("pools").out
    assert queue("pool", "resume", "GPU").code == 0
    assert queue("wait", job).code == 0
    assert json.loads(queue("pool", "set", "RAM", "3", "--json").out)["pools"][0]["slots"] == 3
    assert queue("pool", "set", "NOPE", "3").code == 4


def test_a_job_that_is_not_to_start_yet_says_so_and_starts_when_it_is_released(queue: Labsched) -> None:
    job = number(queue, "--not-before", "2h", "--", "true")
    why = queue("show", job).out
    assert "its time has not come, 1h59 are left" in why or "its time has not come, 2h00 are left" in why
    assert f"labsched release {job}" in why
    assert queue("release", job).code == 0
    assert queue("wait", job).code == 0
    assert queue("release", job).code == 5
    soon = number(queue, "--not-before", "1s", "--", "true")
    assert queue("wait", soon).code == 0
    assert "is not a moment" in queue("add", "--not-before", "soon", "--", "true").sentence


def test_a_job_that_waits_is_changed(queue: Labsched) -> None:
    queue("pool", "pause", "CPU")
    job = number(queue, "--need", "CPU=2", "--", "true")
    changed = queue(
        "edit", job, "--need", "CPU=1..2", "--time", "1h", "--memory", "1G", "--priority", "-3", "--name", "it"
    )
    assert (changed.code, f"{job}  it" in changed.out) == (0, True)
    shown = queue("show", "it").out
    assert "needs        CPU=1..2" in shown
    assert "time limit   1h00" in shown
    assert queue("edit", job, "--time", "none", "--memory", "none", "-q").out == f"{job}\n"
    assert "limit" not in queue("show", job).out
    assert json.loads(queue("edit", job, "--not-before", "2h", "--json").out)["jobs"][0]["id"] == int(job)
    assert queue("edit", job, "--not-before", "now").code == 0
    assert queue("edit", job).code == 2
    assert "it needs 99 slots" in queue("edit", job, "--need", "CPU=99").sentence
    queue("pool", "resume", "CPU")
    assert queue("wait", job).code == 0
    assert queue("edit", job, "--priority", "-1").code == 5
    assert queue("edit", "999", "--priority", "1").code == 4


def test_a_folder_and_variables_can_be_given(queue: Labsched, scratch: Path) -> None:
    (scratch / "sub").mkdir()
    there = ("--cwd", "sub", "--env", "A=b=c", "--env", "EMPTY=")
    job = number(queue, *there, "--", "sh", "-c", 'echo "$A|${EMPTY-unset}|$(pwd)"')
    assert queue("wait", job).code == 0
    assert queue("logs", job).out == f"b=c||{scratch / 'sub'}\n"
    assert "there is no folder" in queue("add", "--cwd", "nowhere", "--", "true").sentence
    assert queue("add", "--env", "A", "--", "true").sentence == "--env 'A' sets nothing: it is NAME=VALUE"


def test_what_could_never_run_is_refused(queue: Labsched) -> None:
    for needs in ("CPU=3", "NOPE=1"):
        ran = queue("add", "--need", needs, "--", "true")
        assert ran.code in (2, 5)
        assert ran.sentence


def test_many_jobs_come_from_one_file_in_their_order_or_not_at_all(queue: Labsched, scratch: Path) -> None:
    lines = [
        {"argv": ["sh", "-c", "echo b >> order"], "name": "b", "after": "a"},
        {"argv": ["sh", "-c", "echo a >> order"], "name": "a", "env": {"X": "1"}},
        {"argv": ["sh", "-c", "echo c >> order"], "after": ["a", "b"], "needs": {"CPU": 2}},
    ]
    text = "\n".join(map(json.dumps, lines))
    ran = queue("add", "--from", "-", "-q", stdin=text.encode())
    b, a, c = ran.out.split()
    assert queue("wait", a, b, c).code == 0
    assert (scratch / "order").read_text() == "a\nb\nc\n"
    before = queue("status", "-a", "-q").out
    bad = queue("add", "--from", "-", stdin=(text + '\n{"argv": ["true"], "needs": {"NOPE": 1}}').encode())
    assert bad.code in (2, 5) and bad.sentence
    assert queue("status", "-a", "-q").out == before


def test_a_log_is_followed_to_its_end_byte_for_byte(queue: Labsched, scratch: Path) -> None:
    job = number(
        queue, "--", "sh", "-c", r"for i in 1 2 3; do printf 'line %s\r\n' $i; sleep 0.1; done; printf '\377end'"
    )
    words = [sys.executable, "-m", "labsched", "logs", job, "-f"]
    done = subprocess.run(words, env=environment(scratch), capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, b"line 1\r\nline 2\r\nline 3\r\n\xffend")
    words = [sys.executable, "-m", "labsched", "logs", job, "-n", "2", "--stage", "run"]
    assert subprocess.run(words, env=environment(scratch), capture_output=True).stdout == b"line 3\r\n\xffend"


def test_progress_that_a_stage_tells_is_shown(queue: Labsched) -> None:
    job = number(queue, "--", "sh", "-c", f"{sys.executable} -m labsched progress 0.4 shank 2 of 4; sleep 60")
    eventually(lambda: "40 %" in queue("status").out)
    assert "shank 2 of 4" in queue("show", job).out


def test_wait_goes_on_through_a_restart_of_the_daemon(scratch: Path, labsched: Labsched) -> None:
    (scratch / "lab.toml").write_text(CONFIG)
    with daemon(scratch) as process:
        job = number(labsched, "--", "sh", "-c", "until [ -e go ]; do sleep 0.05; done")
        words = [sys.executable, "-m", "labsched", "wait", job]
        waiting = subprocess.Popen(words, env=environment(scratch), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        eventually(lambda: "running" in labsched("status").out)
        eventually(lambda: _asks_for_long(waiting.pid))
        process.kill()
        process.wait()
    assert waiting.poll() is None
    with daemon(scratch):
        (scratch / "go").touch()
        out, err = waiting.communicate(timeout=30)
    assert (waiting.returncode, out.decode().split("  ")[0], err) == (0, job, b"")


def _asks_for_long(pid: int) -> bool:
    """Whether it has a question open that is not answered soon, as its first one, for the job's number, is."""
    since = time.monotonic()
    while time.monotonic() < since + 0.3:
        with suppress(FileNotFoundError):
            if not any("socket:" in str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()):
                return False
        time.sleep(0.01)
    return True


@pytest.fixture
def blocks(scratch: Path) -> Path:
    for name in ("rat1/b1", "rat1/b2"):
        block = scratch / "data/mat" / name
        block.mkdir(parents=True)
        with h5py.File(block / "one.mat", "w", userblock_size=512) as file:
            for port in range(1, 5):
                channel = file.create_group(f"Port_{port}")
                channel["values"] = np.random.default_rng(port).normal(0, 300, (1, 4_000)).astype(np.int16)
                channel["interval"] = np.array([[5e-5]])
    return scratch


def test_blocks_are_queued_all_or_none_and_none_twice(blocks: Path, queue: Labsched) -> None:
    assert queue("pool", "pause", "RAM").code == 0
    for words, code in (
        (("rat1/b1", "rat1/gone"), 4),
        (("rat1/b1", "--omit", "Port_9"), 2),
        (("rat1/b1", "rat1/b2", "--omit", "Port_1,Port_2,Port_3,Port_4"), 2),
        (("rat1/b1", "--probe", "no-such-probe"), 2),
        (("rat1/b1", "rat1/b2", "--target", str(blocks / "out")), 2),
    ):
        ran = queue("submit", *words)
        assert (ran.code, ran.out) == (code, ""), words
        assert ran.sentence
    assert queue("status", "-a", "-q").out == ""
    (blocks / "blocks.tsv").write_text("# ours\nrat1/b1\tPort_1,Port_3\n\nrat1/b2\t\n")
    ran = queue("submit", "--from", "blocks.tsv", "--priority", "2")
    first, second = (line.split("  ") for line in ran.out.splitlines())
    assert [first[1], second[1], first[2]] == ["rat1/b1", "rat1/b2", "waiting"]
    again = queue("submit", "rat1/b1")
    assert (again.code, first[0] in again.sentence) == (5, True)
    shown = json.loads(queue("show", "rat1/b1", "--json").out)
    assert [stage["name"] for stage in shown["stages"]] == ["denoise", "klusta"]
    argv = shown["stages"][0]["argv"]
    assert argv[argv.index("--omit") + 1] == "Port_1,Port_3"
    assert argv[argv.index("--source") + 1] == str(blocks / "data/mat/rat1/b1")
    assert "waiting" in queue("status").out


def test_doctor_finds_a_sound_daemon_and_the_missing_folder(blocks: Path, queue: Labsched) -> None:
    ran = queue("doctor")
    assert "a daemon answers" in ran.out
    (blocks / "data/mat").rename(blocks / "data/elsewhere")
    ran = queue("doctor")
    assert (ran.code, "where blocks should lie" in ran.out) == (1, True)
