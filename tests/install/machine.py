"""A machine of its own to install things on: a chroot made by debootstrap, kept in build/ between runs."""

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BUILD = Path(__file__).parents[2] / "build"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MIRROR = "http://deb.debian.org/debian"


def as_user(command: str, user: str) -> list[str]:
    """The command line that runs a shell's command as a user, with no more in the environment than a login has."""
    home = "/root" if user == "root" else f"/home/{user}"
    env = ["/usr/bin/env", "-i", f"HOME={home}", f"USER={user}", f"PATH={PATH}", "LC_ALL=C.UTF-8"]
    return [*([] if user == "root" else ["/usr/sbin/runuser", "-u", user, "--"]), *env, "/bin/sh", "-c", command]


@dataclass(frozen=True)
class Machine:
    """The root of a file system. Its own processes see the outside's /proc and /dev, and nothing else of it."""

    root: Path

    def run(self, command: str, *, user: str = "root", code: int | None = 0, seconds: float = 300.0) -> str:
        """A shell's command, as a user; returns what it prints. Its exit code must be `code`, unless that is None."""
        ran = subprocess.run(self.words(command, user), capture_output=True, text=True, timeout=seconds, env={})
        assert code is None or ran.returncode == code, f"{command}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran.stdout + ran.stderr

    def words(self, command: str, user: str = "root") -> list[str]:
        """The command line that runs a shell's command in there. What it mounts is gone with it."""
        inner = as_user(command, user)
        root = shlex.quote(str(self.root))
        mounts = f"mount --bind /proc {root}/proc && mount --rbind /dev {root}/dev"
        script = f'{mounts} && exec chroot {root} "$@"'
        return ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh", *inner]


def suite() -> str:
    """The release that we run on: a package is for the one that it was built on."""
    said = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return said.get("VERSION_CODENAME", "").strip('"')


def why_not() -> str | None:
    """Why no machine can be made here."""
    if os.getuid() != 0:
        return "a chroot takes root"
    missing = [tool for tool in ("debootstrap", "dpkg-deb", "unshare") if shutil.which(tool) is None]
    return f"{missing[0]} is not installed" if missing else None


def new(folder: Path, name: str, packages: list[str]) -> Machine:
    """A machine with no more than these packages; the first of its name takes two minutes and the network."""
    mark = hashlib.sha256(" ".join(sorted(packages)).encode()).hexdigest()[:8]
    base = BUILD / f"{name}-{suite()}-{mark}"
    if not (base / ".complete").exists():
        shutil.rmtree(base, ignore_errors=True)
        base.parent.mkdir(exist_ok=True)
        words = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite(), str(base), mirror()]
        ran = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
        assert ran.returncode == 0, ran.stdout[-2000:]
        (base / ".complete").touch()
    root = folder / "root"
    subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(root)], check=True)
    return Machine(root)


@contextmanager
def place() -> Iterator[Path]:
    """A folder for a machine: none of pytest's, which it may tidy up while another of its runs is still there."""
    folder = Path(tempfile.mkdtemp(prefix="labsched-machine-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def mirror() -> str:
    """Where this machine has its own packages from."""
    words = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    try:
        said = subprocess.run(words, capture_output=True, text=True).stdout.split()
    except FileNotFoundError:
        return MIRROR
    return next((uri for uri in sorted(said) if "security" not in uri), MIRROR)
