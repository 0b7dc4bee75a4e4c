"""Where a story takes place: a state folder on a small disk, a daemon that may die, a clock, and armed points."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from labsched.errors import LabschedError
from labsched.faults import ENVIRONMENT
from labsched.wire.client import Client
from labsched.wire.messages import Daemon
from tests.chaos.jobs import POOLS
from tests.chaos.warm import Nursery, Warm
from tests.worlds import new_state

CONFIG = "[daemon]\nstop_grace = 0.3\nnice = 0\n[sort]\nsource = '{0}/{{block}}'\ntarget = '{0}/{{block}}'\n[pools]\n"
PATIENCE_S = 40.0
WORDS = ["daemon", "--state", "state", "--socket", "s", "--config", "config.toml"]


class Trouble(Exception):
    """The story cannot go on: something is so wrong that it counts as a violation."""


@dataclass
class Place:
    """A folder. `disk_mib`: the size of the small disk that its `state` lies on; None where nobody may mount one."""

    folder: Path
    disk_mib: int | None = None
    process: "subprocess.Popen[bytes] | Warm | None" = None
    boot: int = 1
    offset: float = 0.0
    clock: list[tuple[float, float]] = field(default_factory=list)  # (monotonic time, offset from then on)
    starts: int = 0

    def __post_init__(self) -> None:
        for name in ("state", "faults/armed", "faults/hit"):
            (self.folder / name).mkdir(mode=0o750, parents=True)
        if self.disk_mib is not None:
            words = ["mount", "-t", "tmpfs", "-o", f"size={self.disk_mib}m", "none", str(self.folder / "state")]
            if os.getuid() != 0 or subprocess.run(words, capture_output=True).returncode != 0:
                self.disk_mib = None
        pools = "".join(f"{name} = {slots}\n" for name, slots in POOLS.items())
        (self.folder / "config.toml").write_text(CONFIG.format(self.folder) + pools)
        new_state(self.folder / "state")
        self.step_to(0.0)
        self.nursery = Nursery(self.folder, self.mark, WORDS)

    @property
    def client(self) -> Client:
        return Client(self.folder / "s", timeout=PATIENCE_S)

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    @property
    def mark(self) -> str:
        """What the environment of all its processes has: the daemon's, the shims', and as another name the stages'."""
        return str(self.folder / "faults")

    def launch(self, cold: bool = True) -> None:
        """Start the daemon, and do not wait for it; a `cold` one has an interpreter of its own."""
        self.starts += 1
        if not cold:
            self.process = self.nursery.start()
            return
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "labsched", *WORDS],
                cwd=self.folder,
                env={**os.environ, ENVIRONMENT: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def dead(self) -> bool:
        return self.process is None or self.process.poll() is not None

    @property
    def answers(self) -> bool:
        try:
            return not self.dead and self.client.get("daemon", Daemon, timeout=5).version != ""
        except LabschedError:
            return False

    def up(self, seconds: float = PATIENCE_S) -> None:
        """Have a daemon that answers; raises Trouble where that cannot be."""
        deadline = time.monotonic() + seconds
        while not self.answers:
            if self.dead:
                self.launch()
            if time.monotonic() > deadline:
                raise Trouble(f"the daemon does not answer after {seconds:.0f} s: {self.log[-2000:]}")
            time.sleep(0.02)

    @property
    def log(self) -> str:
        path = self.folder / "daemon.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # -- the clock ----------------------------------------------------------------------------------------------------

    def step_to(self, offset: float) -> None:
        """Set wall time, to the machine's and so many seconds."""
        self.offset = offset
        self._write_clock()

    def another_boot(self) -> None:
        """What boots next is another machine's life."""
        self.boot += 1
        self._write_clock()

    def _write_clock(self) -> None:
        new = self.folder / "faults" / "clock.new"
        new.write_text(f"{self.offset!r} boot-{self.boot}")
        self.clock.append((time.monotonic(), self.offset))
        new.rename(new.with_name("clock"))
        self.clock.append((time.monotonic(), self.offset))

    # -- points -------------------------------------------------------------------------------------------------------

    def arm(self, point: str, what: str) -> None:
        """Whoever comes to this point next does `what`: see `labsched.faults`."""
        new = self.folder / "faults" / f"{point}.new"
        new.write_text(what)
        new.rename(self.folder / "faults" / "armed" / point)

    def disarm(self, *points: str) -> None:
        for point in points:
            (self.folder / "faults" / "armed" / point).unlink(missing_ok=True)

    # -- the disk -----------------------------------------------------------------------------------------------------

    def fill(self, leave: int = 0) -> None:
        """Fill the small disk, but for `leave` bytes."""
        with (self.folder / "state" / "filler").open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError:
                pass
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        size = (self.folder / "state" / "filler").stat().st_size
        os.truncate(self.folder / "state" / "filler", max(size - leave, 0))

    def free(self) -> None:
        (self.folder / "state" / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        """Once nothing of it runs any more."""
        self.nursery.close()
        if self.disk_mib is not None:
            subprocess.run(["umount", "--lazy", str(self.folder / "state")], check=True)
