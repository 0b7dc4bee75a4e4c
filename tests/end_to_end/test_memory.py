"""A stage's memory, from the command line to the reason that people read."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from labsched.core.model import JobSpec, Retry
from labsched.engines import rundir
from labsched.engines.rundir import holder
from labsched.wire.messages import Doctor
from tests.install.services import service
from tests.worlds import QUICK, World, alive, command, eventually, world

MB = 1_000_000
TAKE = "x = bytearray({}); x[::4096] = b'x' * len(x[::4096])"
HIDE = ("unshare", "--mount", "sh", "-c", 'umount --all --types cgroup,cgroup2 2> /dev/null; exec "$@"', "sh")


def limited(script: str, memory: int, **more: object) -> JobSpec:
    retry = more.pop("retry", None)
    job = command(sys.executable, "-I", "-c", script, **more)
    return replace(job, stages=tuple(replace(stage, memory=memory, retry=retry) for stage in job.stages))  # type: ignore[arg-type]


def labsched(it: World, *words: str) -> str:
    env = os.environ | {"LABSCHED_SOCKET": str(it.folder / "s"), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "labsched", *words], env=env, capture_output=True, text=True, timeout=60
    ).stdout


def fenced(it: World) -> None:
    """Skip where the kernel does not keep a stage within its memory."""
    notes = [one.what for one in it.client.get("doctor", Doctor).findings if "within its --memory" in one.what]
    assert len(notes) == 1
    if "keeps each stage" not in notes[0]:
        pytest.skip(notes[0])


def test_a_stage_over_its_limit_is_told_so_with_the_number_to_ask_for() -> None:
    with world() as it:
        fenced(it)
        number = labsched(it, "add", "-q", "--memory", "40M", "--", sys.executable, "-c", TAKE.format(160 * MB)).strip()
        [job] = it.wait(int(number))
        said = (
            "killed by the kernel: it used more than its 40 MB of memory (--memory), peak 40 MB; "
            "ask for more, such as 60M"
        )
        assert (job.outcome, job.stages[0].reason, job.stages[0].attempts[0].oom) == ("failed", said, True)
        shown = labsched(it, "show", number)
        assert said in shown
        assert "memory limit 40 MB\n" in shown
        assert "peak memory 40 MB" in shown and "read " in shown and ", wrote " in shown
        assert job.stages[0].memory_limit == 40 * MB


def test_a_stage_that_was_killed_for_its_memory_is_tried_again_alone() -> None:
    with world(QUICK + "[pools]\nCPU = 3\n") as it:
        fenced(it)
        go = it.folder / "go"
        [other] = it.submit(command("sh", "-c", f"until [ -e {go} ]; do sleep 0.02; done", name="other"))
        greedy = limited(TAKE.format(160 * MB), 40 * MB, retry=Retry(1, wait=0.0), name="greedy")  # type: ignore[arg-type]
        [number] = it.submit(greedy)
        eventually(lambda: it.job(number).stages[0].state == "waiting" and len(it.job(number).stages[0].attempts) == 1)
        assert it.job(other).state != "ended"
        go.touch()
        [job, first] = it.wait(number, other)
        attempts = job.stages[0].attempts
        assert [one.oom for one in attempts] == [True, True]
        assert first.ended is not None and attempts[1].started is not None and attempts[1].started >= first.ended


def test_a_limit_holds_while_the_daemon_is_dead_and_after() -> None:
    with world() as it:
        fenced(it)
        go = f"{it.folder}/"
        wait = f"import os, time\nwhile not os.path.exists('{go}' + os.environ['LABSCHED_JOB']): time.sleep(0.01)\n"
        while_dead, after = it.submit(*[limited(wait + TAKE.format(160 * MB), 40 * MB, needs=({},))] * 2)
        eventually(lambda: all(it.job(n).state == "running" for n in (while_dead, after)))
        it.kill()
        (it.folder / str(while_dead)).touch()
        folder = it.folder / "state" / "attempts" / str(while_dead) / "run.1"
        eventually(lambda: rundir.record(str(folder)).ended is not None)
        it.start()
        assert it.job(after).state == "running"
        (it.folder / str(after)).touch()
        for job in it.wait(while_dead, after):
            reason = job.stages[0].reason
            assert reason is not None and reason.startswith("killed by the kernel: it used more than its 40 MB")


def test_where_cgroups_are_not_to_be_had_everybody_is_told_and_the_limit_is_watched() -> None:
    if os.getuid() != 0:
        pytest.skip("only root can hide the cgroups")
    with service(*HIDE, env={"LABSCHED_SOCKET": "s"}) as it:
        doctor = it.client.get("doctor", Doctor).findings
        [note] = [one for one in doctor if "within its --memory" in one.what]
        why = "this machine has no cgroup for memory"
        assert (note.level, why in note.what) == ("note", True)
        pid = it.folder / "pid"
        script = (
            f"import os, time\nopen('{pid}', 'w').write(str(os.getpid()))\n"
            f"while not os.path.exists('{it.folder}/go'): time.sleep(0.01)\n{TAKE.format(160 * MB)}\ntime.sleep(600)"
        )
        [number] = it.submit(limited(script, 40 * MB))
        eventually(lambda: it.job(number).state == "running" and pid.exists() and pid.read_text() != "")
        assert f"not enforced by the kernel here, labsched watches it: {why}" in labsched(it, "show", str(number))
        it.kill()
        (it.folder / "go").touch()
        eventually(lambda: not alive(int(pid.read_text())))
        it.start()
        [job] = it.wait(number)
        reason = job.stages[0].reason
        assert reason is not None and reason.startswith("killed by labsched: it used more than its 40 MB of memory")
        assert job.stages[0].attempts[0].oom


def test_nothing_is_left_of_a_stage_whose_daemon_and_shim_were_both_killed() -> None:
    with world() as it:
        fenced(it)
        pid = it.folder / "pid"
        script = f"env -i setsid sh -c 'echo $$ > {pid}; exec sleep 600' & exec sleep 600"
        job = command("sh", "-c", script)
        [number] = it.submit(replace(job, stages=(replace(job.stages[0], memory=100 * MB),)))
        eventually(lambda: pid.exists() and pid.read_text() != "" and it.job(number).state == "running")
        folder = it.folder / "state" / "attempts" / str(number) / "run.1"
        group = Path((rundir.record(str(folder)).started or {})["group"][0])
        assert group.is_dir()
        it.kill()
        os.kill(holder(str(folder)), signal.SIGKILL)
        it.start()
        [ended] = it.wait(number)
        assert ended.outcome == "lost"
        assert not alive(int(pid.read_text()))
        assert not group.exists()
