"""gflow (PyPI: runqd): a daemon that runs each job in a session of tmux. Its pools are GPUs; a group has a limit."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.scheduler.sides.base import NOOP_SLOTS, Bench, Side, quiet_env, said

END_S = 300.0


@contextmanager
def up(bench: Bench) -> Iterator[dict[str, str]]:
    """A daemon of its own, on a free port of the loopback; yields the environment in which its commands find it."""
    gflowd = bench.program("gflowd")
    assert gflowd
    with bench.scratch() as folder:
        path = f"{Path(gflowd).parent}{os.pathsep}{os.environ['PATH']}"
        env = {**quiet_env(folder), "PATH": path, "TMUX_TMPDIR": str(folder), "SHELL": "/bin/sh"}
        env |= {name: str(folder) for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")}
        (folder / "gflow").mkdir()
        port = _free_port()
        (folder / "gflow/gflow.toml").write_text(f'timezone = "UTC"\n[daemon]\nhost = "localhost"\nport = {port}\n')
        (folder / ".profile").write_text(f"export PATH='{path}'\n")  # jobs run in login shells, and report by a command
        with (folder / "log").open("wb") as log:
            daemon = subprocess.Popen([gflowd], env=env, cwd=folder, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 20
            while _ask(env, "gqueue").returncode:
                if daemon.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"gflowd did not start: {(folder / 'log').read_text()[-2000:]}")
                time.sleep(0.05)
            yield env
        finally:
            daemon.terminate()
            daemon.wait(20)
            subprocess.run(["tmux", "kill-server"], env=env, capture_output=True)


def noops(bench: Bench, count: int) -> float:
    """So many at a time as the others have slots."""
    return _noops(bench, count, "--max-concurrent", str(NOOP_SLOTS))


def unlimited(bench: Bench, count: int) -> float:
    """As many at a time as it likes."""
    return _noops(bench, count)


def _noops(bench: Bench, count: int, *limit: str) -> float:
    """One call of gbatch with a parameter that has so many values."""
    with up(bench) as env:
        values = ",".join(map(str, range(count)))
        began = time.perf_counter()
        words = ("gbatch", "--auto-close", "--param", f"x={values}", *limit, "true")
        if (done := _ask(env, *words)).returncode:
            raise RuntimeError(f"gbatch failed: {done.stderr.strip()[-1000:]}")
        while _live(env):
            if time.perf_counter() - began > END_S:
                raise TimeoutError(f"gflow has not run {count} jobs within {END_S:g} s")
            time.sleep(0.02)
        return time.perf_counter() - began


def _live(env: dict[str, str]) -> bool:
    done = _ask(env, "gqueue", "-a", "-o", "json", "-s", "Queued,Running,Hold")
    if done.returncode:
        raise RuntimeError(f"gqueue failed: {done.stderr.strip()[-1000:]}")
    return done.stdout.startswith("{") and bool(json.loads(done.stdout)["jobs"])  # a sentence where there are none


def _ask(env: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, executable=_found(env, words[0]))


def _found(env: dict[str, str], name: str) -> str:
    return next(path for folder in env["PATH"].split(os.pathsep) if os.access(path := f"{folder}/{name}", os.X_OK))


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def version(bench: Bench) -> str | None:
    if bench.program("tmux") is None:
        return None
    found = said(bench.program("gflowd") or "gflowd", "--version")
    return found and found.split()[1]


SIDE = Side(
    "gflow",
    "pip install runqd, into PEERS; apt-get install tmux",
    version,
    noops={"gflow, two at a time": (10, noops), "gflow, no limit": (10, unlimited)},
)
