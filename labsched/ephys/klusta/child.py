"""The process that klusta runs in: ``python -m labsched.ephys.klusta.child NAME.prm --seed 1 --parent PID``.

It patches what needs patching, seeds every shank, and hands over to klusta's own command line.
"""

import argparse
import ctypes
import os
import random
import signal
import sys
import warnings
from typing import Any

PR_SET_PDEATHSIG = 1
MISSING = 69
"""Exit code: klusta, or something that it needs, is not installed."""


def main() -> int:
    """Run klusta on the .prm in the current folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("prm")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--stock", action="store_true")
    asked = parser.parse_args()
    _die_with(asked.parent)
    # klusta is of 2017: what it does is deprecated, and said to be, thousands of times
    warnings.simplefilter("ignore")
    try:
        from . import compat

        compat.apply()
        from klusta import launch  # type: ignore[import-untyped]
    except ImportError as error:
        print(f"klusta cannot be imported: {error}", file=sys.stderr, flush=True)
        return MISSING
    if not asked.stock:
        _seeded(launch, asked.seed)
    launch.main(args=[asked.prm, "--debug"], standalone_mode=False)
    return 0


def _seeded(launch: Any, seed: int) -> None:
    """Seed both sources that KlustaKwik2 draws from before each shank, so its result depends on nothing else."""
    import numpy as np

    cluster = launch.cluster

    def wrapped(model: Any, *args: Any, **kwargs: Any) -> Any:
        mine = (seed * 1_000_003 + int(model.channel_group)) % 2**32
        random.seed(mine)
        np.random.seed(mine)
        return cluster(model, *args, **kwargs)

    launch.cluster = wrapped


def _die_with(parent: int) -> None:
    """Have the kernel end us when our parent ends, however it does."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    except (OSError, AttributeError):
        return  # not Linux: the parent still passes signals on
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
