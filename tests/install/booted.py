"""A machine that is booted: systemd as process 1, in namespaces of its own, without network; see `machine`."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.install.machine import Machine, as_user
from tests.worlds import eventually

CGROUPS = Path("/sys/fs/cgroup")
APART = ["unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "--cgroup", "--kill-child"]
INTO = ["--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--root", "--wd"]
#: What the machine sees: its own /proc, /sys, /run, /dev and /tmp, and cgroups below those that we give it.
BOOT = """
set -e
cd {root}
mount --make-rprivate /
mount --bind . .
cd {root}
mount -t proc proc proc
mount -t sysfs sysfs sys
if [ -e /sys/fs/cgroup/cgroup.procs ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
    mkdir sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
fi
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do touch dev/$name; mount --bind /dev/$name dev/$name; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
mkdir -p .outside
pivot_root . .outside
umount -l /.outside
exec env -i container=labsched PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal
"""


@dataclass(frozen=True)
class Booted:
    """A machine whose process 1 is systemd; `pid` as the outside sees it."""

    root: Path
    pid: int

    def run(self, command: str, *, user: str = "root", code: int | None = 0, seconds: float = 120.0) -> str:
        """See `Machine.run`."""
        words = ["nsenter", f"--target={self.pid}", *INTO, *as_user(command, user)]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
        assert code is None or ran.returncode == code, f"{command}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran.stdout + ran.stderr

    def until(self, command: str, said: str, seconds: float = 60.0) -> None:
        """Wait until a command prints this."""
        last = ""
        deadline = time.monotonic() + seconds
        while (last := self.run(command, code=None).strip()) != said:
            assert time.monotonic() < deadline, f"{command}: {last}\n{self.run('journalctl --no-pager -n 50')}"
            time.sleep(0.1)


@contextmanager
def boot(machine: Machine) -> Iterator[Booted]:
    """Start this machine, and stop it, with all that runs in it."""
    cgroups = list(_cgroups())
    for folder in cgroups:
        folder.mkdir()
    enter = "".join(f"echo $$ >{shlex.quote(str(folder / 'cgroup.procs'))}\n" for folder in cgroups)
    script = BOOT.format(root=shlex.quote(str(machine.root)))
    log = machine.root.parent / "boot.log"
    with log.open("wb") as out:
        outer = subprocess.Popen(
            ["sh", "-c", f'{enter}exec "$@"', "sh", *APART, "sh", "-c", script], stdout=out, stderr=out
        )
    try:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")

        def up() -> bool:
            assert outer.poll() is None, log.read_text()
            pid = children.read_text().split()
            return bool(pid) and Path(f"/proc/{pid[0]}/comm").read_text() == "systemd\n"

        eventually(up)
        it = Booted(machine.root, int(children.read_text().split()[0]))
        it.until("systemctl is-system-running", "running")
        yield it
    finally:
        for pid in children.read_text().split() if outer.poll() is None else []:
            os.kill(int(pid), signal.SIGKILL)  # process 1: all others of its namespace go with it
        outer.wait(30)
        for folder in cgroups:
            eventually(lambda folder=folder: _remove(folder))  # type: ignore[misc]


def why_not() -> str | None:
    """Why no machine can be booted here; None where one can."""
    ran = subprocess.run([*APART, "mount", "--make-rprivate", "/"], capture_output=True, text=True)
    if ran.returncode:
        return f"no namespaces: {ran.stderr.strip()}"
    try:
        for folder in _cgroups():
            folder.mkdir()
            folder.rmdir()
    except OSError as error:
        return f"no cgroups: {error}"
    return None


def _cgroups() -> Iterator[Path]:
    """A new folder in each hierarchy of control groups."""
    name = f"labsched-test-{os.getpid()}"
    if (CGROUPS / "cgroup.procs").exists():
        yield CGROUPS / name
        return
    for procs in sorted(CGROUPS.glob("*/cgroup.procs")):
        if not procs.parent.is_symlink() and procs.parent.name != "cpuset":  # it takes nobody in before it is set up
            yield procs.parent / name


def _remove(folder: Path) -> bool:
    """Remove a control group with those below it, where nobody is in them any more."""
    try:
        for below, _, _ in os.walk(folder, topdown=False):
            Path(below).rmdir()
    except OSError:
        return False
    return True
