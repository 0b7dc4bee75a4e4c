"""Times and sizes in few letters, the same wherever people read them."""


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
