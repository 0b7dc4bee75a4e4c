"""What a sorter says while it works, as lines for the log and as a fraction for people."""

import json
import re
from collections import deque
from dataclasses import dataclass, field

#: A bar of tqdm: ``find spikes (no parallelization):  40%|████      | 24/60 [...]``
STEP = re.compile(
    r"^(?P<step>[A-Za-z][^|:]*?)\s*(?:\(no parallelization\)|\(workers: [^)]*\))?\s*:\s+(?P<percent>\d+)%\|"
)
START, END = 0.02, 0.95


@dataclass
class Heard:
    """What has been heard of ``sizes`` (channels of each shank) shanks: fraction, words, versions, the last lines."""

    sorter: str
    sizes: tuple[int, ...]
    fraction: float = 0.0
    message: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    kept: list[int] = field(default_factory=list)
    spikes: int = 0
    units: int = 0
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=80))
    shown: tuple[str, int] = ("", -1)
    now: int = 0

    def hear(self, line: str) -> str | None:
        """Take in one line; returns what belongs in the log, if anything (of a bar, one line each ten percent)."""
        if line.startswith("@ "):
            return self._told(line[2:].split(" ", 2))
        if step := STEP.match(line):
            return self._bar(line, step)
        if not line.strip():
            return None
        self.tail.append(line)
        return line

    def _told(self, words: list[str]) -> str | None:
        word, first, rest = words[0], words[1], words[2] if len(words) > 2 else ""
        if word == "versions":
            self.versions = json.loads(" ".join(words[1:]))
            return None
        self.now = int(first)
        done = sum(self.sizes[: self.now + (word != "shank")]) / sum(self.sizes)
        self.fraction = max(self.fraction, START + (END - START) * done)
        which = f"shank {self.now + 1} of {len(self.sizes)}"
        if word == "kept":
            self.kept.append(self.now)
            return f"{which} was sorted by an earlier attempt: kept"
        if word == "shank":
            self.message = which
            return f"{which}: {self.sorter} starts"
        spikes, units = map(int, rest.split())
        self.spikes, self.units = self.spikes + spikes, self.units + units
        self.message = f"{which}: {self.spikes:,} spikes, {self.units} clusters so far"
        return f"{which}: {spikes:,} spikes in {units} clusters"

    def _bar(self, line: str, step: re.Match[str]) -> str | None:
        name, percent = " ".join(step["step"].split()).removesuffix(" (no parallelization)"), int(step["percent"])
        so_far = f", {self.units} clusters so far" if self.units else ""
        self.message = f"shank {self.now + 1} of {len(self.sizes)}: {name} {percent} %{so_far}"
        if (name, percent // 10) == self.shown:
            return None
        self.shown = (name, percent // 10)
        return line.rstrip()
