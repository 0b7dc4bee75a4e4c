"""Wall time and the machine's boot, injected so that tests can step the one and change the other."""

import os
import time
from pathlib import Path


class Clock:
    """The machine's own."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def boot_id(self) -> str:
        """What tells one boot of the machine from another."""
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return f"booted {int(time.time() - time.monotonic())} {os.uname().nodename}"
