"""Why klusta failed, in a sentence, from how it ended and what it said last."""

import re
import signal
import sys
from collections.abc import Sequence

INSTALL = (
    f'{sys.executable} -m pip install numpy cython wheel "setuptools<81", then '
    "pip install --no-build-isolation klustakwik2==0.2.6, then pip install klusta==3.0.16 six click tqdm h5py scipy"
)
# numpy says how much it wrote where the disk is full, and nothing else
FULL = re.compile(
    r"No space left on device|errno = 28\b|\[Errno 28\]|\d+ requested and \d+ written|"
    r"Disk quota exceeded|errno = 122\b|\[Errno 122\]"
)
DENIED = re.compile(r"Permission denied|\[Errno 13\]|Read-only file system")
ERROR = re.compile(r"^(\w+\.)*\w*(Error|Exception|Interrupt|Exit)\b.*")


def sentence(
    name: str, code: int, tail: Sequence[str], *, missing: bool = False, sorter: str = "klusta", install: str = INSTALL
) -> str:
    """What to tell a person: ``code`` is the child's return code (negative: a signal), ``tail`` its last lines."""
    text = "\n".join(tail)
    last = next((line.strip() for line in reversed(tail) if line.strip()), "it said nothing")
    if missing:
        return f"{last} – install it: {install}"
    if FULL.search(text):
        return f"the disk (or the quota) is full: make room in the target folder, then sort {name} again"
    if "MemoryError" in text or "Cannot allocate memory" in text:
        return f"{sorter} ran out of memory on {name}: free some, or give it less to do (--omit noisy channels)"
    if code < 0:
        try:
            which = signal.Signals(-code).name
        except ValueError:
            which = f"signal {-code}"
        why = ", most often because the machine ran out of memory" if -code == signal.SIGKILL else ""
        return f"{sorter} was killed by {which} while sorting {name}{why}: sort it again"
    if DENIED.search(text):
        return f"{sorter} may not read or write a file of {name} ({last}): check who owns the target folder"
    errors = [line for line in tail if ERROR.match(line)]
    said = errors[-1].strip() if errors else last
    return f"{sorter} failed on {name} with exit code {code} ({said}): the lines above say where"
