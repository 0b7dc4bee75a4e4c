"""Typing commands in a world."""

import os
import subprocess
import sys

from tests.worlds import World


def labsched(it: World, *words: str, code: int = 0) -> str:
    """What the command line says: its output, or its last sentence."""
    env = {"PATH": os.environ["PATH"], "HOME": str(it.folder), "LABSCHED_SOCKET": "s", "LABSCHED_STATE": "state"}
    line = [sys.executable, "-m", "labsched", *words]
    done = subprocess.run(line, cwd=it.folder, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr.strip().rpartition("\n")[2].removeprefix("error: ")
