"""``python -m labsched.ephys metrics``: the quality metrics of a finished sorting."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def main(words: Sequence[str]) -> int:
    """Write NAME.metrics.csv and NAME.metrics.json and print a table; exit code 0."""
    parser = argparse.ArgumentParser(
        prog="python -m labsched.ephys metrics",
        description="Compute the quality metrics and labels of a finished sorting: NAME.metrics.csv and .json.",
        epilog="example: python -m labsched.ephys metrics --target data/phy/demo --name demo",
    )
    parser.add_argument("--target", required=True, metavar="DIR", help="the folder with NAME.kwik")
    parser.add_argument("--name", required=True, help="name of the block")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    asked = parser.parse_args(list(words))
    # matrices are small here: threads of the linear algebra would wait for each other. It reads this on import.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    from .write import counted, measure

    rows = measure(asked.target, asked.name, say=lambda line: None)
    if asked.json:
        print(json.dumps(rows, allow_nan=False, ensure_ascii=False))
        return 0
    print("\n".join(lines(rows)))
    print(counted(rows))
    for suffix in (".csv", ".json"):
        print(f"  {Path(asked.target) / asked.name}.metrics{suffix}")
    return 0


def lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A table for people: the metrics that labels rest on."""
    shown = {
        "num_spikes": ("spikes", "{:,}"), "firing_rate": ("Hz", "{:.2f}"), "snr": ("snr", "{:.1f}"),
        "isi_violations_ratio": ("isi", "{:.2f}"), "presence_ratio": ("presence", "{:.2f}"),
        "amplitude_cutoff": ("cutoff", "{:.3f}"), "isolation_distance": ("isolation", "{:.0f}"),
        "nn_hit_rate": ("nn hit", "{:.2f}"),
    }  # fmt: skip
    found = [
        f" {'unit':<6} {'channel':<10} {'label':<6}" + "".join(f"{head:>10}" for head, _ in shown.values()) + "  why"
    ]
    for row in rows:
        cells = ["–" if row[key] is None else form.format(row[key]) for key, (_, form) in shown.items()]
        found.append(
            f" {row['unit']:<6} {row['channel'][:10]:<10} {row['label']:<6}"
            + "".join(f"{cell:>10}" for cell in cells)
            + ("  " + "; ".join(row["reasons"]) if row["reasons"] else "")
        )
    return found
