"""The configuration is read again while everything goes on."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labsched.engines import rundir
from labsched.errors import BadRequest
from labsched.wire.messages import Daemon, Doctor, Pools, Reloaded
from labsched.wire.requests import PoolSet, Reload
from tests.install.services import ear, service
from tests.worlds import World, command, eventually, world

FIRST = "[daemon]\nstop_grace = 1.0\nnice = 3\n[pools]\nCPU = 1\nDISK = 2\n"


@pytest.fixture
def it() -> Iterator[World]:
    with world(FIRST) as it:
        yield it


def write(it: World, text: str) -> None:
    """Change the configuration's file; also what a restart of the world writes."""
    it.config = text
    (it.folder / "config.toml").write_text(text)


def reload(it: World) -> Reloaded:
    return it.client.post("config/reload", Reload(), Reloaded)


def hangup(it: World) -> None:
    assert it.process is not None
    it.process.send_signal(signal.SIGHUP)


def slots(it: World) -> dict[str, int]:
    return {pool.name: pool.slots for pool in it.client.get("pools", Pools).pools}


def findings(it: World) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in it.client.get("doctor", Doctor).findings:
        found.setdefault(one.level, []).append(f"{one.what} → {one.mend}")
    return found


def nice(it: World, job: int) -> int:
    """The niceness that a job said it has, above ours."""
    said = (it.folder / f"state/attempts/{job}/run.1" / rundir.LOG).read_text()
    return int(said) - os.getpriority(os.PRIO_PROCESS, 0)


@pytest.mark.parametrize("how", ["a signal", "a request"])
def test_pools_and_settings_change_and_what_runs_goes_on(it: World, how: str) -> None:
    running, waiting = it.submit(command("sh", "-c", "nice; sleep 60"), command("nice"))
    eventually(lambda: it.job(running).state == "running")
    pid = it.job(running).stages[0].attempts[0].pid
    write(it, FIRST.replace("CPU = 1", "CPU = 2").replace("nice = 3", "nice = 4") + "NEW = 5\n")
    if how == "a signal":
        hangup(it)
    else:
        assert reload(it).changed == (
            "daemon.nice = 4 (was 3)",
            "pools.CPU = 2 (was 1)",
            "pools.NEW = 5 (was none)",
        )
    it.wait(waiting)  # there is room for it now
    assert slots(it) | {"GPU": 0} == {"CPU": 2, "DISK": 2, "GPU": 0, "NEW": 5, "RAM": 2}
    assert (nice(it, running), nice(it, waiting)) == (3, 4)
    assert it.job(running).stages[0].attempts[0].pid == pid
    assert len(it.job(running).stages[0].attempts) == 1


def test_settings_of_the_main_job_are_the_new_ones(it: World) -> None:
    write(it, FIRST + "[sort]\nseed = 7\n")
    assert reload(it).changed == ("sort.seed = 7 (was 1)",)
    sort = it.client.get("daemon", Daemon).settings["sort"]
    assert isinstance(sort, dict) and sort["seed"] == 7


def test_a_file_with_a_mistake_changes_nothing_and_is_told_everywhere(it: World) -> None:
    write(it, FIRST.replace("CPU = 1", "CPU = 9").replace("nice", "nicce") + "X = 'y'\n")
    hangup(it)
    eventually(lambda: bool(it.status().troubles))
    wrong = "line 3, [daemon]: there is no key nicce; did you mean nice?"
    assert wrong in it.status().troubles[0]
    assert f"ERROR the configuration stays as it was: the configuration {it.folder / 'config.toml'}, {wrong}" in it.log
    assert any(wrong in problem for problem in findings(it)["problem"])
    words = [sys.executable, "-m", "labsched", "status", "--socket", "s"]
    shown = subprocess.run(words, cwd=it.folder, capture_output=True, text=True).stdout
    assert wrong in " ".join(shown.split())
    with pytest.raises(BadRequest, match=r"did you mean nice\? \(and 1 more: labsched config check"):
        reload(it)
    assert slots(it)["CPU"] == 1
    write(it, FIRST)
    assert reload(it).changed == ()
    assert it.status().troubles == ()
    assert not any("read again" in problem for problem in findings(it).get("problem", []))


def test_a_file_that_is_gone_changes_nothing(it: World) -> None:
    (it.folder / "config.toml").unlink()
    with pytest.raises(BadRequest, match="cannot read the configuration"):
        reload(it)
    assert slots(it)["DISK"] == 2


def test_what_only_a_restart_changes_is_named_and_stays(it: World) -> None:
    write(it, FIRST.replace("nice = 3", 'nice = 4\nsocket_mode = "0600"\nadmin_group = "root"'))
    answer = reload(it)
    assert answer.restart == ("daemon.socket_mode", "daemon.admin_group")
    assert answer.changed == ("daemon.nice = 4 (was 3)",)
    assert (it.folder / "s").stat().st_mode & 0o777 == 0o660
    assert any("daemon.socket_mode, daemon.admin_group" in note for note in findings(it)["note"])
    it.stop()
    it.start()
    assert (it.folder / "s").stat().st_mode & 0o777 == 0o600
    assert not any("socket_mode" in note for note in findings(it).get("note", []))


def test_doctor_sees_a_file_that_was_not_read_again_and_one_that_no_daemon_would_start_with(it: World) -> None:
    write(it, FIRST.replace("nice = 3", "nice = 5").replace("DISK = 2", "DISK = 3"))
    (warning,) = [said for said in findings(it)["warning"] if "labsched config reload" in said]
    assert "has changed since it was read: daemon.nice, pools.DISK" in warning
    write(it, "[daemon")
    assert any("would not start again" in problem for problem in findings(it)["problem"])
    write(it, FIRST)


def test_what_people_set_stays_until_the_file_has_another_number(it: World) -> None:
    it.client.post("pools/DISK", PoolSet(slots=7), Pools)
    assert reload(it).changed == ()
    it.stop()
    it.start()
    assert slots(it)["DISK"] == 7
    write(it, FIRST.replace("DISK = 2", "DISK = 3"))
    it.stop()
    it.start()  # a restart takes it as a reload does
    assert slots(it)["DISK"] == 3
    write(it, FIRST.replace("DISK = 2", ""))
    reload(it)
    assert slots(it)["DISK"] == 3
    it.client.post("pools/DISK", PoolSet(slots=8), Pools)
    write(it, FIRST.replace("DISK = 2", "DISK = 3"))  # said again: that is new
    assert reload(it).changed == ("pools.DISK = 3 (was 8)",)


def test_events_say_who_had_it_read_and_what_changed(it: World) -> None:
    write(it, FIRST.replace("DISK = 2", "DISK = 1"))
    reload(it)
    words = ["events", "--json", "-n", "10"]
    said = subprocess.run(
        [sys.executable, "-m", "labsched", "--socket", "s", *words], cwd=it.folder, capture_output=True, text=True
    )
    events = [json.loads(line) for line in said.stdout.splitlines()]
    (told,) = [event for event in events if event["kind"] == "config.reloaded"]
    assert told["data"] == {"changed": ["pools.DISK = 1 (was 2)"], "restart": []}
    assert told["user"] == it.client.get("daemon", Daemon).user
    assert any(event["kind"] == "pool.changed" and event["data"]["slots"] == 1 for event in events)


def test_the_verb_answers_when_it_is_true_and_its_exit_code_tells_a_mistake(it: World) -> None:
    def run() -> "subprocess.CompletedProcess[str]":
        words = [sys.executable, "-m", "labsched", "config", "reload", "--socket", "s"]
        return subprocess.run(words, cwd=it.folder, capture_output=True, text=True, timeout=30)

    write(it, FIRST.replace("DISK = 2", "DISK = 4").replace("nice = 3", 'nice = 3\nsocket_mode = "0666"'))
    done = run()
    assert done.returncode == 0
    assert "pools.DISK = 4 (was 2)" in done.stdout and "only a restart of the daemon changes" in done.stdout
    assert slots(it)["DISK"] == 4
    write(it, "[pools]\nDISK = -1\n")
    done = run()
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "line 2, [pools]: DISK = -1 must be 0 to" in done.stderr
    write(it, FIRST)


def test_many_hangups_in_a_row_harm_nothing(it: World) -> None:
    (job,) = it.submit(command("sleep", "0.3"))
    for n in range(50):
        write(it, FIRST.replace("DISK = 2", f"DISK = {n}"))
        hangup(it)
    eventually(lambda: slots(it)["DISK"] == 49)
    assert it.wait(job)[0].outcome == "succeeded"


def test_a_hangup_at_the_start_is_not_the_end(it: World) -> None:
    it.stop()
    (it.folder / "config.toml").write_text(it.config)
    words = [sys.executable, "-m", "labsched", "daemon", "--state", "state", "--socket", "s", "--config", "config.toml"]
    with (it.folder / "daemon.log").open("ab") as log:
        it.process = subprocess.Popen(words, cwd=it.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    pid = it.process.pid
    catches = 1 << signal.SIGHUP - 1
    eventually(lambda: int(_status(pid, "SigCgt"), 16) & catches != 0)
    it.process.send_signal(signal.SIGHUP)
    eventually(lambda: "was read again" in it.log)
    assert it.process.poll() is None


def test_no_stage_inherits_a_deaf_ear(it: World) -> None:
    (job,) = it.submit(command("grep", "SigIgn", "/proc/self/status"))
    it.wait(job)
    assert int(it.read_log(job).split()[1], 16) & 1 << signal.SIGHUP - 1 == 0


def test_a_terminal_that_is_closed_ends_the_daemon_in_it(it: World) -> None:
    it.stop()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(it.folder)
        words = [sys.executable, "-m", "labsched", "daemon", "--state", "state", "--socket", "s", "--config"]
        os.execv(sys.executable, [*words, "config.toml"])
    said = b""
    while b"state in" not in said:
        said += os.read(terminal, 1000)
    os.kill(pid, signal.SIGHUP)  # as long as the terminal is there, this is a reload
    while b"was read again" not in said:
        said += os.read(terminal, 1000)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_systemd_is_told_of_the_reload_and_of_its_end(tmp_path: Path) -> None:
    name = f"@labsched-reload-{os.getpid()}"
    with ear(name) as said, service(env={"NOTIFY_SOCKET": name}, config=FIRST) as it:
        said.until("READY=1")
        hangup(it)
        said.until("RELOADING=1")
        eventually(lambda: said.listen().count("READY=1") == 2)
        assert said.heard.index("RELOADING=1") < len(said.heard) - 1 - said.heard[::-1].index("READY=1")


def _status(pid: int, key: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return line.split()[1]
    raise KeyError(key)
