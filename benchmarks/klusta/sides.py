"""Both sides: ``labsched.ephys klusta`` with and without ``--stock``, each step timed by what is said at its end."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

GIVEN = ("b.dat", "b.prb", "b.prm", "b.denoise.json")


@dataclass(frozen=True)
class Run:
    """Seconds of each step and of the whole, its processor time, most memory of all processes (bytes), spikes."""

    detection: float
    clustering: float
    whole: float
    cpu: float
    rss: int
    spikes: int
    code: str


def run(folder: Path, threads: int, *, stock: bool = False) -> Run:
    """Sort what lies in the folder, in another one. Raises RuntimeError where it fails."""
    work = folder / f"work-{os.getpid()}"
    work.mkdir()
    for name in GIVEN:
        os.link(folder / name, work / name)
    words = [sys.executable, "-m", "labsched.ephys", "klusta", "--target", str(work), "--name", "b", "--seed", "1"]
    words += ["--threads", str(threads), *(["--stock"] if stock else [])]
    try:
        began = time.monotonic()
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        watched = _Watched(process.pid)
        detected = done = began
        tail = []
        assert process.stdout is not None
        for line in process.stdout:
            tail = [*tail[-20:], line]
            if "Spike detection done!" in line:
                detected = time.monotonic()
            if "Clustering done!" in line or line.startswith("sorted b:"):
                done = done if done > began else time.monotonic()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        ended = time.monotonic()
        process.stdout.close()
        most = watched.end()
        if process.returncode:
            raise RuntimeError(f"{' '.join(words)} failed:\n{''.join(tail)}")
        said = json.loads((work / "b.sorting.json").read_text())
        cpu, code = usage.ru_utime + usage.ru_stime, "/".join(said["code"].values())
        return Run(detected - began, done - detected, ended - began, cpu, most, said["spikes"], code)
    finally:
        shutil.rmtree(work)


class _Watched:
    """The most memory that a process and those below it hold together; what they share counts once (PSS)."""

    def __init__(self, pid: int) -> None:
        self._process, self._most, self._stop = psutil.Process(pid), 0, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> int:
        self._stop.set()
        self._thread.join()
        return self._most

    def _look(self) -> None:
        while not self._stop.wait(0.1):
            total = 0
            try:
                for each in (self._process, *self._process.children(recursive=True)):
                    total += each.memory_full_info().pss
            except psutil.Error:
                pass
            self._most = max(self._most, total)
