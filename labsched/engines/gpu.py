"""The GPUs of this machine, as far as their number goes."""

import re
from pathlib import Path


def count(dev: Path = Path("/dev")) -> int:
    """How many NVIDIA GPUs the kernel offers (device files nvidia0, nvidia1, ...); 0 where there are none."""
    try:
        return sum(bool(re.fullmatch(r"nvidia\d+", entry.name)) for entry in dev.iterdir())
    except OSError:
        return 0
