"""The process that klusta runs in: ``python -m labsched.ephys.klusta.child NAME.prm --seed 1 --parent PID``.

It patches what needs patching, has klusta's own command line detect the spikes with compiled loops in the place of its
slow parts, and clusters each shank with a seed; with ``--stock`` all is klusta's own.
"""

import argparse
import ctypes
import os
import random
import signal
import sys
import warnings
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
MISSING = 69
"""Exit code: klusta, or something that it needs, is not installed."""


def main() -> int:
    """Run klusta on the .prm in the current folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("prm")
    parser.add_argument("--seed", type=int, help="nothing is seeded without")
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fingerprint", default="", help="of what checkpoints must be")
    parser.add_argument("--stock", action="store_true")
    asked = parser.parse_args()
    die_with(asked.parent)
    # klusta is of 2017: what it does is deprecated, and said to be, thousands of times
    warnings.simplefilter("ignore")
    try:
        from . import compat

        compat.apply()
        from klusta import launch  # type: ignore[import-untyped]
    except ImportError as error:
        print(f"klusta cannot be imported: {error}", file=sys.stderr, flush=True)
        return MISSING
    if asked.stock:
        if asked.seed is not None:
            _seeded(launch, asked.seed)
        launch.main(args=[asked.prm, "--debug"], standalone_mode=False)
        return 0
    _compiled(launch, asked.fingerprint, asked.threads)
    try:
        launch.main(args=[asked.prm, "--detect-only", "--debug"], standalone_mode=False)
    except BrokenProcessPool:
        print("a process of the detection was killed", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return _cluster(asked.prm, asked.threads, asked.seed or 0)


def _compiled(launch: Any, fingerprint: str, threads: int) -> None:
    """Detect with compiled loops, if they give klusta's bits here."""
    from .detection.agreement import disagreement
    from .detection.detect import detect

    theirs = launch.detect

    def wrapped(model: Any, *args: Any, **kwargs: Any) -> Any:
        differs = disagreement(model.metadata)
        _say(f"detection: klusta's own, for {differs} would differ" if differs else "detection: compiled")
        if differs:
            return theirs(model, *args, **kwargs)
        return detect(model, Path("detection"), fingerprint, threads, _say)

    launch.detect = wrapped


def _say(line: str) -> None:
    print(line, flush=True)


def _seeded(launch: Any, seed: int) -> None:
    """Seed both sources that KlustaKwik2 draws from before each shank, as `clustering` does."""
    import numpy as np

    cluster = launch.cluster

    def wrapped(model: Any, *args: Any, **kwargs: Any) -> Any:
        mine = (seed * 1_000_003 + int(model.channel_group)) % 2**32
        random.seed(mine)
        np.random.seed(mine)
        return cluster(model, *args, **kwargs)

    launch.cluster = wrapped


def _cluster(prm: str, threads: int, seed: int) -> int:
    """Cluster all shanks of the .kwik that detection has left."""
    from klusta.utils import _read_python  # type: ignore[import-untyped]

    from .clustering import run

    _say("clustering: compiled")
    table = _read_python(prm)
    try:
        run.run(f"{table['experiment_name']}.kwik", threads, seed, options=table.get("klustakwik2", {}))
    except run.Failed as failed:
        code = int(failed.args[0])
        if code == -signal.SIGKILL:
            print("a shank's process was killed", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return code if code > 0 else 128 - code
    return 0


def die_with(parent: int) -> None:
    """Have the kernel end us when our parent ends, however it does."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    except (OSError, AttributeError):
        return  # not Linux: the parent still passes signals on
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
