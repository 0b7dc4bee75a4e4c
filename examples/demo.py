"""The main job, end to end, in a scratch folder: what `make demo` runs.

    python examples/demo.py FOLDER

makes a synthetic block with known spikes, starts a daemon of its own, submits the block, shows the status until both
stages have ended, prints what was found of what is known to be there, and stops the daemon.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BLOCK = "demo_Site01"
PATIENCE_S = 600.0
HERE = Path(__file__).parent
PYTHON = sys.executable


def main(folder: Path) -> int:
    """Do it all in `folder`, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    mat = folder / "data" / "mat"
    mat.mkdir(parents=True)
    say(f"a synthetic block: {BLOCK}, 60 s, 2 shanks of 8 channels, 10 known units, a dead and a noisy channel")
    words = [PYTHON, "-m", "labsched.ephys", "synth", str(mat), "--name", BLOCK, "--json"]
    made = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    config = folder / "config.toml"
    config.write_text(
        f'[sort]\nsource = "data/mat/{{block}}"\ntarget = "data/phy/{{block}}"\nprobe = "data/mat/{BLOCK}.rig.toml"\n'
    )
    with tempfile.TemporaryDirectory(prefix="labsched-") as short:  # a socket's path has room for 107 bytes
        os.environ["LABSCHED_SOCKET"] = f"{short}/socket"
        with (folder / "daemon.log").open("wb") as log:
            words = [PYTHON, "-m", "labsched", "daemon", "--state", str(folder / "state"), "--config", str(config)]
            daemon = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            return work(folder, daemon, made)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)


def work(folder: Path, daemon: "subprocess.Popen[bytes]", made: dict[str, object]) -> int:
    """Submit, watch, compare."""
    deadline = time.monotonic() + 30
    while labsched("status", "-q", quiet=True):
        if daemon.poll() is not None or time.monotonic() > deadline:
            print((folder / "daemon.log").read_text(), file=sys.stderr)
            return 1
        time.sleep(0.05)
    omit = made["omit"]
    omit = omit if isinstance(omit, str) else ",".join(omit)  # type: ignore[arg-type]
    say(f"labsched submit {BLOCK} --omit {omit}")
    if labsched("submit", BLOCK, "--omit", omit):
        return 1
    say("labsched status")
    failed = watch()
    labsched("status")
    target = folder / "data" / "phy" / BLOCK
    if failed:
        labsched("logs", "last")
        return 1
    say("what was found of what is known to be there")
    words = ["--target", str(target), "--name", BLOCK, "--truth", str(folder / "data" / "mat" / f"{BLOCK}.truth.h5")]
    return subprocess.run([PYTHON, "-m", "labsched.ephys", "evaluate", *words]).returncode


def watch() -> int:
    """Show the status until the job has ended: in place on a terminal, else whenever something has changed."""
    wait = subprocess.Popen([PYTHON, "-m", "labsched", "wait", "last"], stdout=subprocess.DEVNULL)
    terminal = sys.stdout.isatty()
    height, before = 0, ""
    deadline = time.monotonic() + PATIENCE_S
    while wait.poll() is None and time.monotonic() < deadline:
        text = table(color=terminal)
        marks = "".join(mark for mark in text if mark in "▶·✓✗")
        if terminal:
            print(f"\x1b[{height}F\x1b[J" * bool(height) + text, end="", flush=True)
            height = text.count("\n")
        elif marks != before:
            print(text, flush=True)
        before = marks
        time.sleep(0.5)
    if terminal and height:
        print(f"\x1b[{height}F\x1b[J", end="", flush=True)
    if wait.poll() is None:
        wait.kill()
        return 1
    return wait.returncode


def table(color: bool) -> str:
    """The status, as people see it."""
    size = shutil.get_terminal_size()
    env = {**os.environ, "COLUMNS": str(size.columns), "FORCE_COLOR": "1" if color else ""}
    return subprocess.run([PYTHON, "-m", "labsched", "status"], env=env, stdout=subprocess.PIPE, text=True).stdout


def labsched(*words: str, quiet: bool = False) -> int:
    """Run a verb; returns its exit code."""
    hide = subprocess.DEVNULL if quiet else None
    return subprocess.run([PYTHON, "-m", "labsched", *words], stdout=hide, stderr=hide).returncode


def say(what: str) -> None:
    """A heading."""
    print(f"\n\x1b[1m{what}\x1b[0m" if sys.stdout.isatty() else f"\n== {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".demo").absolute()))
