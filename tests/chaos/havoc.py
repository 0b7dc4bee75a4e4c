"""What happens to a story: kills, restarts, a full disk, a busy database, stepped time, reboots. Seeded."""

import contextlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from labsched.faults import POINTS
from tests.chaos.machine import Found, Processes
from tests.chaos.place import Place

PAUSE_S = 0.02
PAUSES_S = (0.0, 0.05, 0.1, 0.3)
ARMED_S = 12.0  # that a point may wait for somebody
COLD = 0.1  # of the starts
ARMED = 6  # points at a time
VICTIMS = {
    ("daemon",): 3,
    ("shim",): 4,
    ("shim", "shim"): 2,
    ("stage",): 3,
    ("stage", "shim"): 1,
    ("parent",): 2,
    ("nameless",): 0.5,
    ("daemon", "shim"): 1,
}
WEIGHTS = {"kill": 8, "point": 14, "term": 1, "step": 2, "fill": 1, "busy": 1, "late": 1, "reboot": 0.5}
STORM_S = 20.0
LATE_S = 2.0
ATTEMPT = re.compile(r"\d+/[a-z]+\.\d+")
HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
time.sleep(float(sys.argv[2]))
"""


@dataclass(frozen=True, slots=True)
class Done:
    """Something that was done: a kill of a process (and of which attempt), a reboot, and so on. `t` is monotonic."""

    t: float
    what: str
    target: str = ""  # daemon, parent, shim, stage, nameless; a point
    attempt: str = ""  # JOB/STAGE.N
    more: str = ""


@dataclass
class Havoc:
    """Brings it about, in one thread; also restarts the daemon, as systemd would, now at once and now late."""

    place: Place
    random: Random
    done: list[Done] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=lambda: dict(WEIGHTS))
    seen: set[str] = field(default_factory=set)  # points that somebody was killed at
    ahead: list[str] = field(default_factory=list)  # points, in the order in which they are visited
    armed: dict[str, float] = field(default_factory=dict)  # until when (monotonic)

    def note(self, what: str, target: str = "", attempt: str = "", more: str = "") -> None:
        self.done.append(Done(time.monotonic(), what, target, attempt, more))

    @property
    def kills(self) -> int:
        return sum(one.what == "kill" for one in self.done)

    def storm(self, stop: threading.Event) -> None:
        """One thing after the other until it is time to stop."""
        deeds: dict[str, Callable[[], None]] = {
            "kill": self.kill_somebody,
            "point": self.visit,
            "term": self.term,
            "step": self.step,
            "fill": self.fill,
            "busy": self.busy,
            "reboot": self.reboot,
            "late": self.late,
            "rest": lambda: None,
        }
        while not stop.is_set():
            [what] = self.random.choices(list(self.weights), list(self.weights.values()))
            deeds[what]()
            self.breathe(self.random.choice(PAUSES_S))

    def breathe(self, seconds: float) -> None:
        """Let things go on for a while; a daemon that is dead is started, if need be late."""
        end = time.monotonic() + seconds
        while True:
            self.gather()
            if self.place.dead:
                if self.random.random() < 0.25:
                    time.sleep(self.random.uniform(0.2, 1.5))
                self.place.launch(cold=self.random.random() < COLD)
                if self.random.random() < 0.85:  # else the next one comes while it starts
                    self.await_answer()
            if time.monotonic() >= end:
                return
            time.sleep(PAUSE_S)

    def await_answer(self) -> None:
        """Until the daemon answers or has died again; raises Trouble where it does neither."""
        end = time.monotonic() + STORM_S
        while not self.place.dead and not self.place.answers and time.monotonic() < end:
            time.sleep(PAUSE_S)

    # -- deeds --------------------------------------------------------------------------------------------------------

    def kill_somebody(self) -> None:
        """kill -9 of one or two processes."""
        kinds = self.random.choices(list(VICTIMS), list(VICTIMS.values()))[0]
        with Processes(self.place) as processes:
            for kind in kinds:
                if found := processes.of(kind):
                    self._kill(self.random.choice(found))

    def _kill(self, one: Found) -> None:
        if one.what in ("shim", "nameless"):
            one = one.caught(self.place)
        if one.signal(signal.SIGKILL):
            self.note("kill", one.what, one.attempt, str(one.pid))

    def visit(self) -> None:
        """Arm the next point, and bring somebody to it where that takes more than to wait."""
        now = time.monotonic()
        for point, until in list(self.armed.items()):
            if now > until:
                self.place.disarm(point)
                del self.armed[point]
        if not self.ahead:
            self.ahead = [point for point in POINTS if point not in self.seen] or list(POINTS)
            self.random.shuffle(self.ahead)
        if len(self.armed) >= ARMED or self.ahead[-1] in self.armed:
            self.random.shuffle(self.ahead)
            return
        point = self.ahead.pop()
        self.armed[point] = now + ARMED_S
        self.place.arm(point, self._what_there(point))
        if point == "daemon.draining":
            self.term()
        elif point == "adopt.next":
            self.kill_all("daemon")
        elif point == "lost.swept":
            self.kill_all("shim")

    def _what_there(self, point: str) -> str:
        """What whoever comes to a point does: see `labsched.faults`."""
        if self.random.random() < 0.15:
            return f"sleep {self.random.uniform(0.05, 0.4):.2f}"
        if "daemon" in POINTS[point].partition(":")[0] or self.place.dead:
            return "kill 0"
        assert self.place.process is not None
        daemon = self.place.process.pid
        return self.random.choice(("kill 0", "kill 0", "kill 0", f"kill 0 {daemon}", f"kill {daemon}"))

    def late(self) -> None:
        """A shim comes late to its lock, and nobody knows of it any more: another one has taken its place."""
        self.place.arm("shim.made", f"sleep {self.random.uniform(0.3, 1.5):.2f}")
        hits = self.place.folder / "faults" / "hit"
        end = time.monotonic() + LATE_S
        while not list(hits.glob("shim.made.*")) and time.monotonic() < end and not self.place.dead:
            time.sleep(PAUSE_S)
        self.place.disarm("shim.made")
        self.kill_all("daemon")

    def kill_all(self, kind: str) -> None:
        with Processes(self.place) as processes:
            for one in processes.of(kind):
                self._kill(one)

    def gather(self) -> None:
        """Read who came to the armed points, and what became of it."""
        for path in sorted((self.place.folder / "faults" / "hit").iterdir()):
            with contextlib.suppress(ValueError, IndexError):  # not written to its end yet
                head, note = path.read_text().split("\n", 1)
                t, pid, where = note.rstrip("\n").split(" ", 2)
                point, what = path.stem, head.split()[0]
                self.armed.pop(point, None)
                self.seen |= {point} if head.startswith("kill 0") else set()
                attempt = found[0] if (found := ATTEMPT.search(where)) else ""
                target = _who(point, where)
                if what == "kill":
                    for victim in head.split()[1:]:
                        kind = target if victim == "0" else "daemon"
                        self.done.append(Done(float(t), "kill", kind, attempt, f"{point} {pid}"))
                self.done.append(Done(float(t), "point", point, attempt, f"{what} {pid}"))
                path.unlink()

    def term(self) -> None:
        """Stop the daemon politely."""
        if not self.place.dead:
            assert self.place.process is not None
            self.place.process.terminate()
            self.note("term", "daemon")
            end = time.monotonic() + STORM_S
            while not self.place.dead and time.monotonic() < end:
                time.sleep(PAUSE_S)

    def step(self) -> None:
        """Step wall time."""
        offset = self.random.choice((0.0, 0.0, 5.0, -5.0, 300.0, -300.0, 7200.0, -7200.0))
        self.place.step_to(offset)
        self.note("step", more=f"{offset:+g} s")

    def fill(self) -> None:
        """Fill the disk for a while."""
        if self.place.disk_mib is None:
            return
        self.place.fill(self.random.choice((0, 0, 4096, 16384)))
        self.note("fill")
        if self.random.random() < 0.4:
            self.kill_somebody()
        self.breathe(self.random.uniform(0.2, 2.0))
        self.place.free()
        self.note("free")

    def busy(self) -> None:
        """Have another process hold the database's write lock for a while."""
        seconds = self.random.uniform(0.3, 3.0)
        words = [sys.executable, "-I", "-c", HOLD, str(self.place.folder / "state" / "queue.db"), f"{seconds:.2f}"]
        holder = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.note("busy", more=f"{seconds:.1f} s")
        if self.random.random() < 0.4:
            self.breathe(seconds / 2)
            self.kill_somebody()
        while holder.poll() is None:
            self.breathe(PAUSE_S)

    def reboot(self) -> None:
        """Everything is gone at once, and what starts next starts on another boot."""
        self.place.disarm(*self.armed)
        self.armed.clear()
        self.note("reboot", more="begins")
        while True:
            with Processes(self.place) as processes:
                # Stopped first: none of them may see another one go, as in a power cut.
                for number in (signal.SIGSTOP, signal.SIGKILL):
                    for one in processes.found:
                        one.signal(number)
                if self.place.process is not None:
                    self.place.process.wait()
                if not processes.found:
                    break
            time.sleep(PAUSE_S / 4)
        self.place.another_boot()
        self.note("kill", "reboot")
        self.note("reboot", more="ends")

    # -- the end ------------------------------------------------------------------------------------------------------

    def calm(self) -> None:
        """Undo what stands in the way; from now on all may come to its end."""
        self.place.disarm(*self.armed)
        self.place.free()
        self.gather()


def _who(point: str, where: str) -> str:
    """What kind of process came to a point."""
    return POINTS[point].partition(":")[0]
