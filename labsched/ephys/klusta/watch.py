"""What klusta and the shanks' processes say while they work, as lines for the log and as a fraction for people."""

import re
from collections import deque
from dataclasses import dataclass, field

from .clustering.heard import Heard

CLUSTERING = 0.60
#: Where each of klusta's steps begins and how much of the whole it is, as measured on several recordings. Compiled, the
#: detection is one step.
COMPILED = {"Detecting spikes": (0.0, CLUSTERING)}
STEPS = {
    "Detecting spikes": (0.0, 0.30),
    "Extracting waveforms": (0.30, 0.14),
    "Performing PCA": (0.44, 0.02),
    "Computing features": (0.46, 0.14),
}
USUAL_ITERATIONS = 120

WHOSE = re.compile(r"^(?P<step>detection|clustering): (?P<code>compiled|klusta's own)")
BAR = re.compile(r"^(?P<step>[A-Z][A-Za-z ]+?)\s*:\s+(?P<percent>\d+)%\|.*?(?P<done>\d+)/(?P<total>\d+)")
SHANK = re.compile(r"Clustering group (?P<group>\d+) \((?P<spikes>\d+) spikes\)")
FOUND = re.compile(r"Spike detection done! (?P<counts>.+)$")
COUNT = re.compile(r"(?P<spikes>\d+) spikes found in shank (?P<group>\d+)")
ITERATION = re.compile(r"\] klustakwik Iteration (?P<n>\d+)\w?: (?P<clusters>\d+) clusters, (?P<changed>\d+) changed")


@dataclass
class Watch:
    """What has been heard so far: whose code runs, the fraction done, in words, the counts by shank, the last lines."""

    code: dict[str, str] = field(default_factory=lambda: dict.fromkeys(("detection", "clustering"), "klusta"))
    fraction: float = 0.0
    message: str = "starting klusta"
    spikes: dict[int, int] = field(default_factory=dict)
    done: int = 0
    now: int | None = None
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=80))
    shown: tuple[str, int] = ("", -1)
    clustering: Heard = field(default_factory=Heard)

    def hear(self, line: str) -> str | None:
        """Take in one line; returns it if it belongs in the log (of a bar, one line each ten percent)."""
        if bar := BAR.match(line):
            return self._bar(line, bar["step"].strip(), int(bar["done"]), int(bar["total"]))
        if line.strip():
            self.tail.append(line)
        if whose := WHOSE.match(line):
            self.code[whose["step"]] = "labsched" if whose["code"] == "compiled" else "klusta"
        if self.clustering.hear(line):
            self._say(CLUSTERING + (0.99 - CLUSTERING) * self.clustering.fraction(), self.clustering.message())
        elif found := FOUND.search(line):
            self.spikes = {int(m["group"]): int(m["spikes"]) for m in COUNT.finditer(found["counts"])}
            self._say(CLUSTERING, f"{sum(self.spikes.values()):,} spikes detected")
        elif shank := SHANK.search(line):
            if self.now is not None:
                self.done += self.spikes.get(self.now, 0)
            self.now = int(shank["group"])
            self.spikes[self.now] = int(shank["spikes"])
            self._clustering(0, f"{int(shank['spikes']):,} spikes")
        elif step := ITERATION.search(line):
            self._clustering(int(step["n"]), f"iteration {step['n']}, {step['clusters']} clusters")
        return line

    def _bar(self, line: str, step: str, done: int, total: int) -> str | None:
        steps = COMPILED if self.code["detection"] == "labsched" else STEPS
        if step in steps and total:
            start, size = steps[step]
            self._say(start + size * done / total, f"{step.lower()}: {done} of {total}")
        tenth = 10 * done // max(total, 1)
        if (step, tenth) == self.shown:
            return None
        self.shown = (step, tenth)
        return line

    def _clustering(self, iteration: int, detail: str) -> None:
        every, now = sum(self.spikes.values()), self.now or 0
        mine = self.spikes.get(now, 0)
        # there is no total: assume that what is left halves with every so many iterations
        inside = 1.0 - 0.5 ** (iteration / (USUAL_ITERATIONS / 2))
        part = (self.done + mine * inside) / every if every else 1.0
        order = sorted(self.spikes).index(now) + 1 if now in self.spikes else 1
        self._say(CLUSTERING + (0.99 - CLUSTERING) * part, f"clustering shank {order} of {len(self.spikes)}: {detail}")

    def _say(self, fraction: float, message: str) -> None:
        self.fraction, self.message = max(self.fraction, min(fraction, 0.99)), message
