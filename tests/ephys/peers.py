"""The Python of the peers of stage 1, which have SpikeInterface and pynwb: `make bench-peers`, or $LABSCHED_PEERS."""

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
WHY = "SpikeInterface and pynwb are not installed: make bench-peers, or LABSCHED_PEERS=PYTHON"


@cache
def python() -> str | None:
    """Its path, or None where there is none that has both."""
    named = os.environ.get("LABSCHED_PEERS") or str(HOME / ".bench" / "peers" / "bin" / "python")
    if not Path(named).exists():
        return None
    done = subprocess.run([named, "-W", "ignore", "-c", "import spikeinterface.core, pynwb"], capture_output=True)
    return named if done.returncode == 0 else None


def run(script: Path, *words: object) -> str:
    """What a script printed; skips where the peers are not there."""
    named = python()
    if named is None:
        pytest.skip(WHY)
    done = subprocess.run(
        [named, "-W", "ignore", script, *map(str, words)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
