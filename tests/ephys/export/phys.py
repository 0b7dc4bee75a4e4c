"""The Python that has phy: `make bench-phy`, or $LABSCHED_PHY."""

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

HOME = Path(__file__).parents[3]


@cache
def python() -> str | None:
    """Its path, or None where there is none that has phylib."""
    named = os.environ.get("LABSCHED_PHY") or str(HOME / ".bench" / "phy" / "bin" / "python")
    if not Path(named).exists():
        return None
    done = subprocess.run([named, "-W", "ignore", "-c", "import phylib"], capture_output=True)
    return named if done.returncode == 0 else None


def run(*words: object, **environment: str) -> str:
    """What it printed; skips where it is not there."""
    named = python()
    if named is None:
        pytest.skip("phy is not installed: make bench-phy, or LABSCHED_PHY=PYTHON")
    done = subprocess.run(
        [named, "-W", "ignore", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
