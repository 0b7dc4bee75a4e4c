"""A daemon of root's runs each stage as whoever submitted it, and as nobody else."""

import ctypes
import fcntl
import grp
import os
import resource
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from labsched.core.model import JobSpec, StageSpec
from labsched.engines import rundir
from labsched.engines.processes import descendants
from labsched.errors import Forbidden, TryLater
from labsched.wire.client import Client
from labsched.wire.messages import Submitted
from labsched.wire.requests import Submit
from tests.people.users import User, group, user
from tests.worlds import World, alive, eventually

PATH = "/usr/local/bin:/usr/bin:/bin"
WHO = 'id -u; id -g; id -G; id -Gn; echo "$HOME $USER $LOGNAME $SHELL"; umask; ulimit -n; grep ^Cap /proc/self/status'


def sh(
    script: str,
    name: str = "job",
    cwd: str = "/",
    hold: bool = False,
    umask: str = "",
    priority: int = 0,
    **more: object,
) -> JobSpec:
    env = {"PATH": PATH, "HOME": "/nowhere", "USER": "root"} | ({"LABSCHED_UMASK": umask} if umask else {})
    stage = StageSpec("run", ("/bin/sh", "-c", script), {"CPU": 1}, cwd, **more)  # type: ignore[arg-type]
    return JobSpec(name, (stage,), env=env, hold=hold, priority=priority)


def folder(it: World, number: int, attempt: int = 1) -> Path:
    return it.folder / "state/attempts" / str(number) / f"run.{attempt}"


def test_a_stage_is_its_submitter_with_groups_home_umask_and_limits(it: World, one: User, boss: User) -> None:
    [number] = one.asks(it).submit(sh(WHO, umask="027"))
    [job] = one.asks(it).wait(number)
    assert job.outcome == "succeeded", job
    said = one.asks(it).log(number).splitlines()
    assert said[:4] == [str(one.uid), str(one.gid), str(one.gid), one.name]
    assert said[4:6] == [f"{one.home} {one.name} {one.name} /bin/sh", "0027"]
    soft = subprocess.run(["sh", "-c", "ulimit -n"], capture_output=True, text=True).stdout.strip()
    assert said[6] == soft  # as the daemon was started, not as it has made it for itself
    assert {line.split()[1] for line in said[7:] if not line.startswith("CapBnd")} == {"0" * 16}
    [number] = boss.asks(it).submit(sh("id -G"))
    boss.asks(it).wait(number)
    groups = subprocess.run(["id", "-G", boss.name], capture_output=True, text=True).stdout.split()
    assert len(groups) == 2
    assert boss.asks(it).log(number).split() == groups


def test_a_stage_has_the_resource_limits_that_its_submitter_had(it: World, one: User, two: User, boss: User) -> None:
    def submit() -> list[int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (123, 456))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        return [ref.id for ref in Client(it.folder / "s").post("jobs", Submit((spec,)), Submitted).jobs]

    spec = sh("ulimit -Sn; ulimit -Hn; ulimit -c; ulimit -l", hold=True)
    usual, more = resource.getrlimit(resource.RLIMIT_MEMLOCK), True
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (2**40, 2**40))  # more than the daemon has
    except ValueError:  # root of a container may not
        more = False
    try:
        [number] = one.does(submit)
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, usual)
    boss.asks(it).verb("release", number)
    one.asks(it).wait(number)
    said = one.asks(it).log(number).split()
    assert said[:3] == ["123", "456", "0"]
    assert not more or said[3] == str(2**30)  # KiB


def test_a_submitter_without_an_account_is_refused(it: World) -> None:
    def submit() -> list[int]:
        return [ref.id for ref in Client(it.folder / "s").post("jobs", Submit((sh("true"),)), Submitted).jobs]

    with pytest.raises(Forbidden, match="uid 54321 has no account on this machine, so nothing can run as it"):
        User("", 54_321, 54_321, Path("/")).does(submit)


def test_groups_are_those_of_the_start_not_of_the_submit(it: World, one: User) -> None:
    [number] = one.asks(it).submit(sh("id -G", hold=True))
    with group() as name:
        gid = grp.getgrnam(name).gr_gid
        subprocess.run(["usermod", "-a", "-G", name, one.name], check=True)
        one.asks(it).verb("release", number)
        one.asks(it).wait(number)
        assert str(gid) in one.asks(it).log(number).split()
        subprocess.run(["gpasswd", "-d", one.name, name], check=True, capture_output=True)
        [number] = one.asks(it).submit(sh("id -G"))
        one.asks(it).wait(number)
        assert str(gid) not in one.asks(it).log(number).split()


def test_a_script_that_the_submitter_may_not_read_fails_with_a_sentence(it: World, one: User, two: User) -> None:
    script = it.folder / "script"
    script.write_text("#!/bin/sh\necho ran\n")
    os.chown(script, one.uid, one.gid)
    script.chmod(0o700)
    theirs = JobSpec("x", (StageSpec("run", (str(script),), {}, "/"),))
    [number] = two.asks(it).submit(theirs)
    [job] = two.asks(it).wait(number)
    assert job.stages[0].reason == f"the command {script} may not be run from /: Permission denied"
    script.chmod(0o711)  # it may be run, but not read: so its interpreter cannot
    [number] = two.asks(it).submit(theirs)
    [job] = two.asks(it).wait(number)
    assert (job.outcome, "Permission denied" in str(job.stages[0].reason)) == ("failed", True)


def test_nothing_of_a_job_shows_in_the_arguments_of_the_daemons_processes(it: World, one: User) -> None:
    secret = "s3cret-argument"
    env = {"PATH": PATH, secret: secret}
    stage = StageSpec("run", ("/bin/sh", "-c", "sleep 60", secret), {}, "/")
    [number] = one.asks(it).submit(JobSpec("x", (stage,), env=env))
    eventually(lambda: it.job(number).state == "running")
    assert it.process is not None
    ours = [it.process.pid, *descendants(it.process.pid)]
    shim = rundir.holder(str(folder(it, number)))
    assert shim in ours
    for pid in ours:
        if Path(f"/proc/{pid}").stat().st_uid == 0:
            assert secret not in Path(f"/proc/{pid}/cmdline").read_text()
            assert secret not in Path(f"/proc/{pid}/environ").read_text()
    one.asks(it).verb("cancel", number)


def test_what_a_stage_makes_is_its_submitters(it: World, one: User) -> None:
    [number] = one.asks(it).submit(sh(f"echo x > {one.home}/made"))
    one.asks(it).wait(number)
    made = (one.home / "made").stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (one.uid, one.gid, 0o644)


def test_the_log_is_the_submitters_and_closed_to_others(it: World, one: User, two: User) -> None:
    [number] = one.asks(it).submit(sh("echo private"))
    one.asks(it).wait(number)
    log = folder(it, number) / rundir.LOG
    assert (log.stat().st_uid, stat.S_IMODE(log.stat().st_mode)) == (one.uid, 0o600)
    assert one.does(log.read_text) == "private\n"
    with pytest.raises(PermissionError):
        two.does(log.read_text)


def test_a_variable_that_was_asked_for_by_name_is_kept(it: World, one: User) -> None:
    [number] = one.asks(it).submit(sh('echo "$HOME $USER"', env={"HOME": "/elsewhere"}))
    one.asks(it).wait(number)
    assert one.asks(it).log(number) == f"/elsewhere {one.name}\n"


def test_progress_is_told_as_programs_do_it(it: World, one: User, two: User) -> None:
    script = (
        'echo "0.25 secret words" > $LABSCHED_PROGRESS.new && mv $LABSCHED_PROGRESS.new $LABSCHED_PROGRESS; '
        f"until [ -e {one.home}/go ]; do sleep 0.02; done"
    )
    [number] = one.asks(it).submit(sh(script))
    eventually(lambda: one.asks(it).job(number).stages[0].progress == 0.25)
    assert one.asks(it).job(number).stages[0].note == "secret words"
    seen = two.asks(it).job(number).stages[0]
    assert (seen.progress, seen.note) == (0.25, None)
    assert "secret" not in repr(two.asks(it).status())
    (one.home / "go").touch()
    one.asks(it).wait(number)
    assert one.asks(it).job(number).stages[0].note == "secret words"
    assert "secret" not in repr(two.asks(it).job(number))


def test_a_folder_that_the_submitter_may_not_enter_fails_the_attempt_with_a_sentence(
    it: World, one: User, two: User
) -> None:
    [number] = two.asks(it).submit(sh("true", cwd=str(one.home)))
    [job] = two.asks(it).wait(number)
    assert (job.outcome, job.stages[0].reason) == ("failed", f"{two.name} may not enter its working folder {one.home}")


def test_nobody_learns_what_lies_in_a_folder_that_is_closed_to_them(it: World, one: User, two: User) -> None:
    (one.home / "there").touch()
    for way in ("outputs", "cwd", "argv"):
        reasons = []
        for name in ("there", "not-there"):
            path = f"{one.home}/{name}"
            if way == "outputs":
                spec = sh("true", outputs=(path,))
            elif way == "cwd":
                spec = sh("true", cwd=path)
            else:
                spec = JobSpec("job", (StageSpec("run", (path,), {}, "/"),))
            [number] = two.asks(it).submit(spec)
            [job] = two.asks(it).wait(number)
            assert job.outcome == "failed"
            reasons.append(str(job.stages[0].reason).replace(path, "PATH"))
        assert reasons[0] == reasons[1]


def test_a_target_of_somebody_else_is_not_written_to(it: World, one: User, two: User) -> None:
    (one.home / "kept").write_text("mine")
    [number] = two.asks(it).submit(sh(f"echo theirs > {one.home}/kept; rm -rf {one.home}; ls {one.home}"))
    [job] = two.asks(it).wait(number)
    assert job.outcome == "failed"
    assert (one.home / "kept").read_text() == "mine"


def test_an_account_that_is_gone_or_another_runs_nothing(it: World, tmp_path: Path) -> None:
    homes = it.folder / "homes"
    homes.mkdir(mode=0o755)
    with user(homes) as gone:
        [number] = gone.asks(it).submit(sh(f"touch {homes}/ran", hold=True))
    it.verb("release", number)
    [job] = it.wait(number)
    assert (job.outcome, job.stages[0].reason) == (
        "failed",
        f"{gone.name}, who submitted it, has no account (uid {gone.uid}) on this machine any more",
    )
    subprocess.run(["useradd", "--system", "--no-create-home", "--uid", str(gone.uid), f"{gone.name}x"], check=True)
    try:
        it.verb("retry", number)
        [job] = it.wait(number)
        assert f"uid {gone.uid} was {gone.name}'s when it was submitted" in str(job.stages[0].reason)
    finally:
        subprocess.run(["userdel", f"{gone.name}x"], check=True)
    assert not (homes / "ran").exists()


def test_the_process_that_stands_by_a_stage_is_out_of_its_submitters_reach(it: World, one: User) -> None:
    [number] = one.asks(it).submit(sh("sleep 60"))
    eventually(lambda: one.asks(it).job(number).state == "running")
    shim = rundir.holder(str(folder(it, number)))

    def reach() -> list[str]:
        libc = ctypes.CDLL(None, use_errno=True)
        said = []
        for way in (
            lambda: os.kill(shim, signal.SIGKILL),
            lambda: Path(f"/proc/{shim}/mem").open("rb"),  # noqa: SIM115
            lambda: Path(f"/proc/{shim}/environ").read_bytes(),
            lambda: os.listdir(f"/proc/{shim}/fd"),  # noqa: PTH208
        ):
            try:
                way()
                said.append("done")
            except PermissionError:
                said.append("refused")
        said.append("done" if libc.ptrace(16, shim, 0, 0) == 0 else "refused")  # PTRACE_ATTACH
        return said

    assert set(one.does(reach)) == {"refused"}
    assert alive(shim)
    one.asks(it).verb("cancel", number)


def test_a_cancel_reaches_processes_that_left_and_do_not_obey(it: World, one: User) -> None:
    script = "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 60' & wait"
    [number] = one.asks(it).submit(sh(script))
    eventually(lambda: one.asks(it).job(number).state == "running" and one.asks(it).log(number).strip() != "")
    stray = int(one.asks(it).log(number))
    assert one.asks(it).verb("cancel", number).jobs[0].outcome == "cancelled"
    assert not alive(stray)


def test_a_killed_shim_takes_its_submitters_processes_along_and_nobody_elses(it: World, one: User, two: User) -> None:
    [number] = one.asks(it).submit(sh("setsid sleep 60 & echo $!; wait"))
    eventually(lambda: one.asks(it).job(number).state == "running" and one.asks(it).log(number).strip() != "")
    stray = int(one.asks(it).log(number))
    mark = f"LABSCHED_PROGRESS={folder(it, number)}/own/progress"
    assert mark in Path(f"/proc/{stray}/environ").read_text()
    words = ["env", mark, "sleep", "60"]
    same = subprocess.Popen(words, user=two.uid, group=two.gid, extra_groups=[])
    try:
        eventually(lambda: mark in Path(f"/proc/{same.pid}/environ").read_text())
        os.kill(rundir.holder(str(folder(it, number))), signal.SIGKILL)
        [job] = one.asks(it).wait(number)
        assert job.outcome == "lost"
        assert not alive(stray)
        assert same.poll() is None
    finally:
        same.kill()
        same.wait()


def test_an_admin_who_retries_lends_nobody_their_account(it: World, one: User, boss: User) -> None:
    [number] = one.asks(it).submit(sh(f"id -u; [ -e {one.home}/again ]"))
    one.asks(it).wait(number)
    (one.home / "again").touch()
    boss.asks(it).verb("retry", number)
    one.asks(it).wait(number)
    assert boss.asks(it).log(number) == f"{one.uid}\n"


def test_who_submits_is_what_the_kernel_says(it: World, one: User, two: User) -> None:
    import msgspec

    body = {
        "jobs": [{**msgspec.to_builtins(sh("id -u", name="forged")), "uid": 0, "user": "root"}],
        "uid": two.uid,
        "user": two.name,
    }
    data = msgspec.json.encode(body)

    def send() -> None:
        import socket

        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(it.folder / "s"))
            head = f"POST /v1/jobs HTTP/1.0\r\nHost: x\r\nX-User: root\r\nContent-Length: {len(data)}\r\n\r\n"
            connection.sendall(head.encode() + data)
            assert b"201" in connection.recv(65_536)

    one.does(send)
    job = it.job("forged")
    one.asks(it).wait(job.id)
    assert (it.job("forged").user, it.read_log(job.id)) == (one.name, f"{one.uid}\n")


def test_a_lease_on_a_log_holds_up_nobody(it: World, one: User, two: User) -> None:
    [number] = one.asks(it).submit(sh("echo hello"))
    one.asks(it).wait(number)
    log = folder(it, number) / rundir.LOG
    ready, done = it.folder / "leased", it.folder / "lease-over"
    it.folder.chmod(0o777)
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(one.gid)
            os.setuid(one.uid)
            signal.signal(signal.SIGIO, signal.SIG_IGN)
            fd = os.open(log, os.O_RDWR)
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            ready.touch()
            deadline = time.monotonic() + 60
            while not done.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
        finally:
            os._exit(0)
    try:
        eventually(ready.exists)
        started = time.monotonic()
        with pytest.raises(TryLater, match="has a lease"):
            it.read_log(number)
        two.asks(it).status()
        assert time.monotonic() - started < 5
    finally:
        done.touch()
        os.waitpid(pid, 0)
        it.folder.chmod(0o755)
    assert it.read_log(number) == "hello\n"
