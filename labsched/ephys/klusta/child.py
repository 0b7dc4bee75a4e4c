"""The process that klusta runs in: ``python -m labsched.ephys.klusta.child NAME.prm --seed 1 --parent PID``.

It patches what needs patching, has klusta's own command line detect the spikes, and clusters each shank with a seed.
"""

import argparse
import ctypes
import os
import signal
import sys
import warnings

PR_SET_PDEATHSIG = 1
MISSING = 69
"""Exit code: klusta, or something that it needs, is not installed."""


def main() -> int:
    """Run klusta on the .prm in the current folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("prm")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
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
        launch.main(args=[asked.prm, "--debug"], standalone_mode=False)
        return 0
    launch.main(args=[asked.prm, "--detect-only", "--debug"], standalone_mode=False)
    return _cluster(asked.prm, asked.threads, asked.seed)


def _cluster(prm: str, threads: int, seed: int) -> int:
    """Cluster all shanks of the .kwik that detection has left."""
    from klusta.utils import _read_python  # type: ignore[import-untyped]

    from .clustering import run

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
