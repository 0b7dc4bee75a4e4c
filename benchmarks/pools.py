"""Twelve blocks through RAM=2 and CPU=4 with the real klusta: are the pools ever exceeded, and do slots stand idle?

    python -m benchmarks.pools [--blocks 12] [--seconds 10]

A daemon of its own, synthetic blocks, both stages. Prints, for each stage, the most at once and the idle times: from
the moment that a slot was free and a stage was there for it, to its start. The times are those that labsched records.
Exit code 1 where a pool was exceeded or a job failed.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

SLOTS = {"denoise": 2, "klusta": 4}
PYTHON = sys.executable
Span = tuple[float, float, float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=12, help="how many (default: 12)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each recording (default: 10)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ls-") as scratch:
        folder = Path(scratch)
        rows = made(folder, given.blocks, given.seconds)
        os.environ["LABSCHED_SOCKET"] = f"{folder}/s"
        with (folder / "log").open("wb") as log:
            words = [PYTHON, "-m", "labsched", "daemon", "--state", "state", "--config", "config.toml"]
            daemon = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log)
        try:
            jobs = through(folder, rows)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)
    failed = [job["name"] for job in jobs if job["outcome"] != "succeeded"]
    print(f"{len(jobs)} blocks of {given.seconds:g} s, {os.cpu_count()} processors, {len(failed)} failed")
    print("stage     slots   most at once   idle slot, ms: median     90 %      max")
    exceeded = False
    for stage, slots in SLOTS.items():
        found = spans(jobs, stage)
        most, idle = at_once(found), [1000 * gap for gap in gaps(found, slots)]
        exceeded |= most > slots
        middle, high = statistics.median(idle), sorted(idle)[int(0.9 * (len(idle) - 1))]
        print(f"{stage:<10}{slots:>4}{most:>14}{middle:>24.1f}{high:>9.1f}{max(idle):>9.1f}")
    return int(exceeded or bool(failed))


def made(folder: Path, count: int, seconds: float) -> list[str]:
    """Blocks and a configuration; the lines of the lab's file."""
    rows = []
    for number in range(1, count + 1):
        words = ["synth", "mat", "--name", f"B{number}", "--seed", str(number), "--seconds", str(seconds), "--json"]
        done = subprocess.run([PYTHON, "-m", "labsched.ephys", *words], cwd=folder, check=True, stdout=subprocess.PIPE)
        omit = json.loads(done.stdout)["omit"]
        (folder / "mat" / f"B{number}.rig.toml").rename(folder / f"B{number}.toml")
        (folder / "mat" / f"B{number}.probe.json").rename(folder / f"B{number}.probe.json")
        rows.append(f"B{number}\t{omit if isinstance(omit, str) else ','.join(omit)}")
    (folder / "config.toml").write_text(
        '[pools]\nRAM = 2\nCPU = 4\n[sort]\nsource = "mat/{block}"\ntarget = "phy/{block}"\nprobe = "B1.toml"\n'
    )
    return rows


def through(folder: Path, rows: list[str]) -> list[dict]:
    """All blocks submitted at once and waited for: what `labsched show --json` says of each."""
    deadline = time.monotonic() + 30
    while labsched("status", "-q").returncode:
        if time.monotonic() > deadline:
            sys.exit((folder / "log").read_text())
        time.sleep(0.05)
    (folder / "blocks.tsv").write_text("\n".join(rows) + "\n")
    done = labsched("submit", "--from", str(folder / "blocks.tsv"), "-q")
    if done.returncode:
        sys.exit(done.stderr)
    numbers = done.stdout.split()
    labsched("wait", *numbers)
    return [json.loads(labsched("show", number, "--json").stdout) for number in numbers]


def labsched(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([PYTHON, "-m", "labsched", *words], capture_output=True, text=True)


def spans(jobs: list[dict], stage: str) -> list[Span]:
    """Of each job's stage: when it could have started (s), when it did, when it ended."""
    found, since = [], {job["id"]: job["submitted"] for job in jobs}
    for job in jobs:
        for each in job["stages"]:
            if not each["attempts"]:
                continue
            attempt = each["attempts"][-1]
            if each["name"] == stage:
                found.append(tuple(map(moment, (since[job["id"]], attempt["started"], attempt["ended"]))))
            since[job["id"]] = attempt["ended"]
    return found


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def at_once(found: list[Span]) -> int:
    now = most = 0
    for _, step in sorted([(start, 1) for _, start, _ in found] + [(end, -1) for _, _, end in found]):
        now += step
        most = max(most, now)
    return most


def gaps(found: list[Span], slots: int) -> list[float]:
    """For each start: how long a slot had been free and its stage ready (s)."""
    idle = []
    for ready, start, _ in found:
        ends = sorted((end for _, begun, end in found if begun < start), reverse=True)
        free = ends[slots - 1] if len(ends) >= slots else ready
        idle.append(start - max(ready, free))
    return idle


if __name__ == "__main__":
    sys.exit(main())
