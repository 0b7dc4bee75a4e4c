"""The verb `inspect` of ``python -m labsched.ephys``."""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labsched.ephys.commands import block_parser
from labsched.ephys.errors import EphysError
from labsched.ephys.inspect import words


def main(argv: Sequence[str]) -> int:
    """Name the bad channels of a block, and draw it; prints a summary, or JSON with --json. Found or not: 0."""
    parser = block_parser(
        "inspect",
        "Look at a sample of a block: which channels are bad, and why. Draws a picture where --picture says so.",
        "python -m labsched.ephys inspect --source data/mat/B1 --omit Port_3 --picture B1.png",
    )
    parser.add_argument("--picture", type=Path, help="draw what was seen into this file (.png, .pdf or .svg)")
    parser.add_argument("--json", action="store_true", help="what was seen as JSON")
    given = parser.parse_args(argv)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

    seen = inspect(
        given.source, [label for each in given.omit for label in each], given.probe, given.stream, given.picture
    )
    if given.json:
        print(json.dumps(seen, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(words.lines(seen)))
    return 0


def inspect(source: Path, omit: Sequence[str], probe: str | None, stream: str, picture: Path | None) -> dict[str, Any]:
    """What was seen, for JSON; draws it into `picture`. Raises EphysError."""
    from labsched.ephys.denoise import check
    from labsched.ephys.inspect.look import enough, look
    from labsched.ephys.readers import opened
    from labsched.ephys.recording import natural

    block = check(source, omit, probe, stream_name=stream)
    found, layout = block.source, block.layout
    with opened(found, sample=True) as recording:
        if not enough(recording):
            raise EphysError(f"{source} has too few samples in a row to look at: {found.n_samples} in all")
        seen = look(recording, layout, threads=min(os.cpu_count() or 1, 4))
    m = seen.measures
    out = {
        "schema": 1,
        "source": str(source),
        "labels": list(found.labels),
        "omitted": list(found.omitted),
        "rate_hz": found.rate,
        "duration_s": found.n_samples / found.rate,
        "looked_at_s": m.seconds,
        "probe": layout.probe,
        "notes": [*found.notes, *layout.notes, *seen.verdict.notes],
        "bad": seen.told(),
        "omit": ",".join(sorted({*found.omitted, *seen.bad}, key=natural)),
        "channels": [
            {
                "channel": label,
                "shank": int(seen.shanks[k]),
                "position_um": [float(value) for value in seen.positions[k]],
                "rms_uv": _number(m.rms[k]),
                "level_uv": _number(m.level[k]),
                "own_uv": _number(m.own[k]),
                "hum_uv": _number(m.hum[k]),
                "slow_uv": _number(m.slow[k]),
                "follows": _number(m.follows[k]),
                "follows_field": _number(m.follows_field[k]),
                "clipped": _number(m.clipped[k]),
                "flat": _number(m.flat[k]),
            }
            for k, label in enumerate(seen.labels)
        ],
        "picture": str(picture) if picture else None,
    }
    if picture:
        from labsched.ephys.inspect.picture import draw

        draw(
            seen,
            picture,
            title=str(source.name or source),
            omit=str(out["omit"]),
            duration=found.n_samples / found.rate,
        )
    return out


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
