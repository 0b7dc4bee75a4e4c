"""klusta as a child process: started with care, listened to, stopped when we are told to stop."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ..errors import EphysError, Killed
from ..progress import report
from . import watch
from .child import MISSING
from .failure import sentence

PATIENCE_S = 10.0


class Stopped(Exception):
    """A signal asked us to stop; its number is the argument."""


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
    with _stopping() as stop:
        child = subprocess.Popen(
            command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            stop.child = child
            stop.pass_on()
            assert child.stdout is not None
            for line in watch.lines(child.stdout):
                if (shown := heard.hear(line)) is not None:
                    say(shown)
                report(heard.fraction, heard.message)
            code = child.wait()
        finally:
            _end(child)
        if stop.number:
            raise Stopped(stop.number)
    if code:
        kind = Killed if code == -signal.SIGKILL else EphysError
        raise kind(sentence(name, code, list(heard.tail), missing=code == MISSING))
    return heard


class _Stop:
    """Passes a signal on to the child, which may not exist yet when it comes."""

    def __init__(self) -> None:
        self.number = 0
        self.child: subprocess.Popen[bytes] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self.pass_on()

    def pass_on(self) -> None:
        if self.number and self.child is not None and self.child.poll() is None:
            self.child.terminate()


@contextmanager
def _stopping() -> Iterator[_Stop]:
    stop = _Stop()
    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread: whoever runs us there takes care of signals
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stdout is not None:
        child.stdout.close()
