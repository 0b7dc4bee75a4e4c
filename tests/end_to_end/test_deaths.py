"""Whoever dies, the truth is kept: what ran goes on, what waited waits, and nothing runs twice."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from labsched.core.model import Retry
from labsched.engines import rundir
from labsched.engines.processes import children, descendants
from tests.worlds import QUICK, alive, chain, command, eventually, world


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_a_killed_daemon_finds_again_what_ran_and_what_ended_meanwhile() -> None:
    with world(QUICK + "[pools]\nCPU = 2\n") as it:
        journal = it.folder / "journal"
        say = f"echo begin $LABSCHED_JOB >> {journal}; while [ ! -e {it.folder}/go ]; do sleep 0.02; done; "
        bad, good, *waiting = it.submit(
            command("sh", "-c", say + "echo one; exit 3", name="bad"),
            command("sh", "-c", say + f"echo two; while [ ! -e {it.folder}/end ]; do sleep 0.02; done", name="good"),
            *[command("sh", "-c", f"echo begin $LABSCHED_JOB >> {journal}", name=f"w{i}") for i in range(10)],
        )
        eventually(lambda: len(lines(journal)) == 2)
        it.kill()
        (it.folder / "go").touch()
        attempts = it.folder / "state" / "attempts"
        eventually(lambda: rundir.record(str(attempts / str(bad) / "run.1")).ended is not None)
        it.start()
        ended = it.wait(bad)[0].stages[0].attempts[0]
        assert (ended.exit_code, ended.outcome, ended.reason) == (3, "failed", "exit 3: one")
        assert it.job(good).state == "running"
        (it.folder / "end").touch()
        assert [job.outcome for job in it.wait(good, *waiting)] == ["succeeded"] * 11
        assert it.read_log(good) == "two\n"
        assert sorted(lines(journal)) == sorted(f"begin {n}" for n in (bad, good, *waiting))


@pytest.mark.parametrize("stage", [0, 1])
def test_a_daemon_killed_in_either_stage_changes_nothing(stage: int) -> None:
    with world() as it:
        gates = [it.folder / "gate0", it.folder / "gate1"]
        scripts = [f"echo stage{i} $$ >> {it.folder}/j; until [ -e {gates[i]} ]; do sleep 0.02; done" for i in (0, 1)]
        [number] = it.submit(chain(*[["sh", "-c", script] for script in scripts]))
        for gate in gates[:stage]:
            gate.touch()
        eventually(lambda: len(lines(it.folder / "j")) == stage + 1)
        it.kill()
        it.start()
        for gate in gates:
            gate.touch()
        [job] = it.wait(number)
        assert [s.outcome for s in job.stages] == ["succeeded"] * 2
        assert [len(s.attempts) for s in job.stages] == [1, 1]
        assert len(lines(it.folder / "j")) == 2


def test_term_leaves_the_stages_running() -> None:
    with world() as it:
        [number] = it.submit(command("sh", "-c", f"until [ -e {it.folder}/go ]; do sleep 0.02; done; echo whole"))
        eventually(lambda: it.job(number).state == "running")
        pid = it.job(number).stages[0].attempts[0].pid
        assert it.stop() == 0
        assert pid is not None
        assert alive(pid)
        (it.folder / "go").touch()
        eventually(lambda: not alive(pid))
        it.start()
        assert it.wait(number)[0].outcome == "succeeded"
        assert it.read_log(number) == "whole\n"


def test_a_second_daemon_on_one_folder_is_refused() -> None:
    with world() as it:
        words = [sys.executable, "-m", "labsched", "daemon", "--state", "state", "--socket", "other"]
        done = subprocess.run(words, cwd=it.folder, capture_output=True, text=True, timeout=30)
        assert done.returncode == 5
        assert f"another daemon (process {it.process and it.process.pid}) has the state folder" in done.stderr
        words[-1], words[-3] = "s", "elsewhere"
        done = subprocess.run(words, cwd=it.folder, capture_output=True, text=True, timeout=30)
        assert done.returncode == 5
        assert "another daemon answers on" in done.stderr


def test_a_killed_shim_is_noticed_and_its_attempt_is_lost() -> None:
    with world() as it:
        [number] = it.submit(command("sleep", "60"))
        eventually(lambda: it.job(number).state == "running")
        pid = it.job(number).stages[0].attempts[0].pid
        assert pid is not None
        shim = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(shim, signal.SIGKILL)
        [job] = it.wait(number)
        assert (job.outcome, job.stages[0].reason) == ("lost", "its shim was killed, so nobody knows how it ended")
        assert not alive(pid)


def test_the_parent_of_the_shims_is_replaced_when_it_dies() -> None:
    with world() as it:
        assert it.process is not None
        [parent] = children(it.process.pid)
        [running] = it.submit(command("sh", "-c", f"until [ -e {it.folder}/go ]; do sleep 0.02; done"))
        eventually(lambda: it.job(running).state == "running")
        os.kill(parent, signal.SIGKILL)
        [later] = it.submit(command("true"))
        assert it.wait(later)[0].outcome == "succeeded"
        (it.folder / "go").touch()
        assert it.wait(running)[0].outcome == "succeeded"


def test_a_cancel_ends_the_whole_tree_also_what_left_the_session() -> None:
    with world() as it:
        script = (
            f"setsid sh -c 'echo $$ >> {it.folder}/p; trap \"\" TERM; sleep 60' & echo $$ >> {it.folder}/p; sleep 60"
        )
        [number, behind] = it.submit(command("sh", "-c", script), command("true", after=(1,)))
        eventually(lambda: len(lines(it.folder / "p")) == 2)
        [row] = it.verb("cancel", number, reason="wrong channels").jobs
        assert (row.state, row.outcome) == ("ended", "cancelled")
        assert "wrong channels" in row.why
        assert not any(alive(int(pid)) for pid in lines(it.folder / "p"))
        [job] = it.wait(behind)
        assert (job.outcome, job.stages[0].reason) == ("skipped", f"job {number} did not succeed")


def test_what_takes_too_long_is_ended() -> None:
    with world() as it:
        [number] = it.submit(command("sleep", "60", time_limit=0.3))
        [job] = it.wait(number)
        assert (job.outcome, job.stages[0].attempts[0].signal) == ("timed_out", "SIGTERM")


def test_what_a_command_leaves_behind_is_ended_with_it() -> None:
    with world() as it:
        [number] = it.submit(command("sh", "-c", f"sleep 60 & echo $! > {it.folder}/p"))
        assert it.wait(number)[0].outcome == "succeeded"
        assert not alive(int((it.folder / "p").read_text()))


def test_an_output_that_is_missing_after_exit_0_is_a_failure() -> None:
    with world() as it:
        [number] = it.submit(command("true", outputs=(f"{it.folder}/result",)))
        [job] = it.wait(number)
        assert job.outcome == "failed"
        assert job.stages[0].reason == f"it exited with 0, but did not make {it.folder}/result"


@pytest.mark.parametrize(
    ("argv", "cwd", "words"),
    [
        (["/nowhere/to/be/found"], "/", "there is no command /nowhere/to/be/found"),
        (["true"], "/nowhere", "its working folder /nowhere does not exist"),
        (["/etc/passwd"], "/", "the command /etc/passwd may not be run"),
    ],
)
def test_what_cannot_be_started_says_so(argv: list[str], cwd: str, words: str) -> None:
    with world() as it:
        [job] = it.wait(*it.submit(command(*argv, cwd=cwd)))
        assert job.outcome == "failed"
        assert words in (job.stages[0].reason or "")


@pytest.mark.parametrize(("retry", "outcomes"), [(None, ["lost"]), (Retry(1, 0.05), ["lost", "succeeded"])])
def test_the_policy_decides_what_follows_a_killed_shim(retry: Retry | None, outcomes: list[str]) -> None:
    with world() as it:
        script = f'echo $$ >> {it.folder}/j; [ "$LABSCHED_ATTEMPT" = 2 ] || {{ setsid sh -c "sleep 60" & sleep 60; }}'
        spec = command("sh", "-c", script)
        [number] = it.submit(replace(spec, stages=(replace(spec.stages[0], retry=retry),)))
        eventually(lambda: len(lines(it.folder / "j")) == 1)
        family = descendants(shim := rundir.holder(f"{it.folder}/state/attempts/{number}/run.1"))
        os.kill(shim, signal.SIGKILL)
        [job] = it.wait(number)
        assert [attempt.outcome for attempt in job.stages[0].attempts] == outcomes
        assert job.outcome == outcomes[-1]
        assert not any(map(alive, family))
        assert len(lines(it.folder / "j")) == len(outcomes)
