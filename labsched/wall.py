"""Wall time and the machine's boot: one clock for the daemon and its shims.

With ``LABSCHED_FAULTS`` (see `faults`) there may be a file ``clock`` in the folder that it names, ``OFFSET BOOT_ID``:
so many seconds are added to the machine's time, and the boot is called so. The chaos suite steps time and reboots so.

Standard library only, and little of it: the shims import this.
"""

import functools
import os
import time

from labsched.faults import ENVIRONMENT

_folder = os.environ.get(ENVIRONMENT)


def now() -> float:
    """Seconds since the epoch."""
    return time.time() if _folder is None else time.time() + float(_injected(_folder)[0])


def boot_id() -> str:
    """What tells one boot of the machine from another."""
    if _folder is not None and (said := _injected(_folder)[1]):
        return said
    return _machines()


@functools.cache
def _machines() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return f"booted {int(time.time() - time.monotonic())} {os.uname().nodename}"


def _injected(folder: str) -> tuple[str, str]:
    try:
        with open(os.path.join(folder, "clock")) as file:
            offset, _, boot = file.read().strip().partition(" ")
    except FileNotFoundError:
        return "0", ""
    return offset, boot
