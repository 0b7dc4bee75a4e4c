"""Times and sizes in few letters, the same wherever people read them."""

import re
from math import ceil

_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(?:([kmgtp]?)(i?)b?)", re.ASCII | re.IGNORECASE)


def duration(seconds: float) -> str:
    """``18s``, ``4m``, ``2h05``, ``3d 4h``; what is negative counts as nothing."""
    total = max(int(seconds), 0)
    if total < 60:
        return f"{total}s"
    if total < 3600:
        return f"{total // 60}m"
    if total < 86400:
        return f"{total // 3600}h{total % 3600 // 60:02}"
    return f"{total // 86400}d {total % 86400 // 3600}h"


def size(count: float) -> str:
    """Bytes as ``226 MB``, ``10.8 GB`` (powers of ten, as disks and people count)."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.1f} {unit}" if unit == "GB" else f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def short_size(count: float) -> str:
    """Bytes as one would ask for them, rounded up to two digits: ``1.2K``, ``18G``, ``340M``."""
    exact, unit, letters = max(ceil(count), 1), 1, "BKMGTP"  # whole numbers: what is rounded up must not be less
    while exact >= 1000 * unit and len(letters) > 1:
        unit, letters = 1000 * unit, letters[1:]
    step = 10 * unit if exact > 100 * unit else unit if exact > 10 * unit else max(unit // 10, 1)
    return f"{-(-exact // step) * step / unit:g}{letters[0]}"


def parse_size(text: str) -> int | None:
    """``12G``, ``12 GB``, ``1.5T``, ``500M``, ``12GiB``, ``1000`` -> bytes; None where it is no size.

    K, M, G, T and P are powers of ten, as `size` writes them; Ki, Mi, Gi, Ti and Pi of two.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or (found[3] and not found[2]) or len(found[1]) > 20:
        return None
    power = " kmgtp".index(found[2].lower() or " ")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)
