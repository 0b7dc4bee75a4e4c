"""Count what is found of planted bad channels, and whom the rule accuses falsely, beside SpikeInterface.

    python -m benchmarks.channels [--seeds 1000-1055] [--families linear,tetrode] [--peers FOLDER] [--page]

Each seed is a recording of its own: probe, noise, hum, artefacts, units, bad channels (benchmarks.channels.recordings).
Peers are run where FOLDER, a virtual environment, has SpikeInterface. With --page, docs/bad-channels.md is written.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.channels.recordings import FAMILIES, KINDS, Case, draw
from labsched.ephys.inspect.measure import measure
from labsched.ephys.inspect.sample import Window, places
from labsched.ephys.inspect.verdict import judge

OURS = "labsched inspect"
PAGE = Path(__file__).parents[2] / "docs/bad-channels.md"
HEAD = """\
# Bad channels: what is found

`make bench-inspect` writes this page: recordings with planted bad channels, each drawn from a seed of its own (probe,
gain spread, common noise, hum, artefacts, field potential, number of units, good channels of low gain), with the rule
of `labsched inspect` and SpikeInterface's `detect_bad_channels` on the very same samples. A channel is found if it is
called bad, whatever the name for it. `make bench-inspect SEEDS=7000-7099` tries others, and writes nothing.
"""


@dataclass
class Count:
    """Of one method: planted, found, falsely accused; recordings without a mistake; found by kind; seconds."""

    recordings: int = 0
    right: int = 0
    planted: int = 0
    found: int = 0
    false: int = 0
    good: int = 0
    seconds: float = 0.0
    kinds: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    def add(self, case: Case, called: set[int], seconds: float = 0.0) -> None:
        bad = set(case.bad)
        self.recordings += 1
        self.right += called == bad
        self.planted += len(bad)
        self.found += len(bad & called)
        self.false += len(called - bad)
        self.good += len(case.bits) - len(bad)
        self.seconds += seconds
        for channel, kind in case.bad.items():
            self.kinds[kind][0] += channel in called
            self.kinds[kind][1] += 1


class Peers:
    """SpikeInterface in its own virtual environment, asked case by case."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.file = scratch / "case.npz"
        self.process = subprocess.Popen(
            [folder / "bin/python", Path(__file__).with_name("peers.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, case: Case) -> dict[str, list[int] | str]:
        np.savez(self.file, bits=case.bits, rate=case.rate, gain=case.gain, positions=case.positions)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{self.file}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the peers' process ended: see above")
        answer: dict[str, list[int] | str] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


def ours(case: Case) -> dict[int, str]:
    """What the rule says of a case: kinds by channel."""
    size, found = places([case.bits.shape[1]], case.rate, len(case.bits))
    windows = (Window(0, first, case.bits[:, first : first + size]) for _, first in found)
    none = [[0.0] * len(case.bits)]
    measures = measure(windows, case.rate, [[case.gain] * len(case.bits)], none)
    return {each.channel: each.kind for each in judge(measures, case.positions, case.shanks).findings}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="1000-1055", help="such as 1000-1055 or 3,5,8 (default: 1000-1055)")
    parser.add_argument("--families", default="", help=f"of {', '.join(FAMILIES)} (default: by the seed)")
    parser.add_argument("--seconds", type=float, default=12.0, help="length of a recording (default: 12)")
    parser.add_argument("--peers", type=Path, help="a virtual environment with SpikeInterface")
    parser.add_argument("--page", action="store_true", help="write docs/bad-channels.md")
    given = parser.parse_args()
    families = [each.strip() for each in given.families.split(",") if each.strip()]
    if strange := set(families) - set(FAMILIES):
        parser.error(f"there is no family {sorted(strange)[0]}: give some of {', '.join(FAMILIES)}")
    counts: dict[str, Count] = defaultdict(Count)
    by_family: dict[str, Count] = defaultdict(Count)
    failed: dict[str, int] = defaultdict(int)
    with tempfile.TemporaryDirectory(prefix="lb-") as scratch:
        peers = Peers(given.peers.absolute(), Path(scratch)) if given.peers else None
        for at, seed in enumerate(_seeds(given.seeds)):
            case = draw(seed, families[at % len(families)] if families else None, given.seconds)
            began = time.process_time()
            called = ours(case)
            counts[OURS].add(case, set(called), time.process_time() - began)
            by_family[case.family].add(case, set(called))
            for channel in sorted(set(called) ^ set(case.bad)):
                what = f"missed, {case.bad[channel]}" if channel in case.bad else f"accused falsely, {called[channel]}"
                print(f"seed {seed}, {case.family}: channel {channel} {what} ({case.about})", flush=True)
            for method, answer in (peers.ask(case) if peers else {}).items():
                if isinstance(answer, str):
                    failed[f"{method} ({answer})"] += 1
                counts[f"SpikeInterface {method}"].add(case, set() if isinstance(answer, str) else set(answer))
        if peers:
            peers.close()
    text = _report(counts, by_family, failed)
    print(text)
    if given.page:
        where = f"`make bench-inspect SEEDS={given.seeds}` · {date.today()}"
        if not peers:
            where += " · SpikeInterface was not installed (make bench-peers)"
        PAGE.write_text(f"{HEAD}\n{text}\n\n{where}\n", encoding="utf-8")
    return 0


def _seeds(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _report(counts: dict[str, Count], by_family: dict[str, Count], failed: dict[str, int]) -> str:
    lines = [
        "| | recordings | without a mistake | found of planted | falsely accused of good | " + " | ".join(KINDS) + " |",
        "|---" * (5 + len(KINDS)) + "|",
    ]
    for method, count in counts.items():
        kinds = " | ".join(f"{count.kinds[kind][0]}/{count.kinds[kind][1]}" for kind in KINDS)
        lines.append(
            f"| {method} | {count.recordings} | {count.right} | {count.found}/{count.planted} | "
            f"{count.false}/{count.good} | {kinds} |"
        )
    lines += ["", f"{OURS}, by probe:", "", "| probe | recordings | without a mistake | found | falsely accused |"]
    lines.append("|---" * 5 + "|")
    for family, count in sorted(by_family.items()):
        lines.append(
            f"| {family} | {count.recordings} | {count.right} | {count.found}/{count.planted} | "
            f"{count.false}/{count.good} |"
        )
    seconds = counts[OURS].seconds / max(counts[OURS].recordings, 1)
    lines += ["", f"Processor time of labsched for one recording: {seconds:.1f} s."]
    lines += [f"SpikeInterface {method} failed on {count} recordings." for method, count in failed.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
