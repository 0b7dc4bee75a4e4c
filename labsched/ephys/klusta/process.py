"""klusta as a child process: started with care, listened to, stopped when we are told to stop."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from ..attend import attend
from ..errors import EphysError, Killed
from ..progress import report
from . import watch
from .child import MISSING
from .failure import sentence


def klusta(
    work: Path,
    name: str,
    threads: int,
    seed: int | None,
    stock: bool,
    fingerprint: str,
    say: Callable[[str], None],
) -> watch.Watch:
    """Run the child to its end, whatever that is; returns, with what it said, only if it exited 0."""
    command = [sys.executable, "-m", "labsched.ephys.klusta.child", f"{name}.prm", "--threads", str(threads)]
    command += ["--parent", str(os.getpid())] + (["--stock"] if stock else ["--fingerprint", fingerprint])
    command += [] if seed is None else ["--seed", str(seed)]
    count = str(threads)
    limits = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    here = str(Path(__file__).resolve().parents[3])
    environment = os.environ | dict.fromkeys(limits, count) | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    heard = watch.Watch()

    def hear(line: str) -> None:
        if (shown := heard.hear(line)) is not None:
            say(shown)
        report(heard.fraction, heard.message)

    code = attend(command, work, environment, hear)
    if code:
        kind = Killed if code == -signal.SIGKILL else EphysError
        raise kind(sentence(name, code, list(heard.tail), missing=code == MISSING))
    return heard
