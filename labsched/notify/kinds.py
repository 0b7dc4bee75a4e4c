"""What a person can be told of, in the words that they may use for it."""

import difflib
from collections.abc import Iterable

#: A job failed (or reached its time limit); nobody knows how it ended; it succeeded; nothing runs or waits any more; a
#: job stands in line for long; a disk is nearly full.
KINDS = ("failed", "lost", "succeeded", "empty", "wait", "disk")
ALSO = {"failure": "failed", "fail": "failed", "success": "succeeded", "done": "succeeded", "long-wait": "wait",
        "waiting": "wait", "queue-empty": "empty", "disk-full": "disk", "disk-low": "disk"}  # fmt: skip
DEFAULT = ("failed", "lost")
ALL = "all"


def kinds(words: Iterable[str]) -> list[str]:
    """The kinds that these words mean, in their order. Raises ValueError with a sentence."""
    meant: set[str] = set()
    for word in words:
        low = word.strip().lower()
        if low == ALL:
            meant |= set(KINDS)
        elif (kind := ALSO.get(low, low)) in KINDS:
            meant.add(kind)
        else:
            near = difflib.get_close_matches(low, [*KINDS, ALL], n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(KINDS)}, and {ALL}"
            raise ValueError(f"there is nothing called {word!r} to be told of; {hint}")
    if not meant:
        raise ValueError(f"to be told of what? known are {', '.join(KINDS)}, and {ALL}")
    return [kind for kind in KINDS if kind in meant]
