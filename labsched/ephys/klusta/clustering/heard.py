"""What the shanks' processes say, as a fraction, a message for people and an estimate of what is left."""

import re
from dataclasses import dataclass, field

USUAL_ITERATIONS = 60
"""So many iterations a shank takes where no earlier block says otherwise: the median of the benchmark's recordings."""

LINE = re.compile(r"^clustering shank (?P<shank>\d+): (?P<rest>.+)$")
WAITING = re.compile(r"(?P<spikes>\d+) spikes$")
STEP = re.compile(
    r"iteration (?P<n>\d+), (?P<clusters>\d+) clusters, (?P<changed>\d+) of (?P<spikes>\d+) spikes changed, "
    r"(?P<each>[\d.]+) s each$"
)
DONE = re.compile(
    r"done after (?P<n>\d+) iterations, (?P<clusters>\d+) clusters, (?P<spikes>\d+) spikes, (?P<seconds>[\d.]+) s$"
)
RESUMED = re.compile(r"resumed from \S+, iteration (?P<n>\d+)$")
EXPECTED = re.compile(
    r"^clustering: (?P<usual>[\d.]+) iterations are usual(, (?P<pace>[\d.e+-]+) s for a million spikes each)?, "
    r"(?P<processes>\d+) processors?$"
)
EARLIER = "done in an earlier attempt"


def expected(known: tuple[float, float] | None, processes: int) -> str:
    """The line that says what earlier blocks took, for `Heard` to hear."""
    usual, pace = known or (USUAL_ITERATIONS, None)
    told = "" if pace is None else f", {pace:.4g} s for a million spikes each"
    return f"clustering: {usual:g} iterations are usual{told}, {processes} processor{'s' if processes > 1 else ''}"


@dataclass
class Shank:
    """One shank: how far it is, ``each`` seconds an iteration (0: not known yet)."""

    spikes: int = 0
    iteration: int = 0
    clusters: int = 0
    each: float = 0.0
    seconds: float = 0.0
    done: bool = False
    begun: bool = False


@dataclass
class Heard:
    """All shanks. ``usual`` is how many iterations a shank takes, ``pace`` the seconds a million spikes take in one."""

    usual: float = USUAL_ITERATIONS
    pace: float | None = None
    processes: int = 1
    shanks: dict[int, Shank] = field(default_factory=dict)

    def hear(self, line: str) -> bool:
        """Take in one line; whether it was about clustering."""
        if expected := EXPECTED.match(line):
            self.usual, self.processes = float(expected["usual"]), int(expected["processes"])
            self.pace = float(expected["pace"]) if expected["pace"] else None
            return True
        if not (about := LINE.match(line)):
            return False
        shank, rest = self.shanks.setdefault(int(about["shank"]), Shank()), about["rest"]
        if waiting := WAITING.match(rest):
            shank.spikes = int(waiting["spikes"])
        elif step := STEP.match(rest):
            shank.begun, shank.spikes = True, int(step["spikes"])
            shank.iteration, shank.clusters = int(step["n"]), int(step["clusters"])
            shank.each = float(step["each"])
        elif end := DONE.match(rest):
            shank.begun = shank.done = True
            shank.iteration, shank.clusters = int(end["n"]), int(end["clusters"])
            shank.spikes, shank.seconds = int(end["spikes"]), float(end["seconds"])
        elif resumed := RESUMED.match(rest):
            shank.begun, shank.iteration = True, int(resumed["n"])
        elif rest == EARLIER:
            shank.begun = shank.done = True
        else:
            return False
        return True

    def fraction(self) -> float:
        """0 to 1, the shanks weighing as many as their spikes."""
        every = sum(shank.spikes for shank in self.shanks.values())
        if not every:
            return 0.0
        return sum(shank.spikes * self._inside(shank) for shank in self.shanks.values()) / every

    def _inside(self, shank: Shank) -> float:
        if shank.done:
            return 1.0
        return shank.iteration / (shank.iteration + self._left(shank)) if shank.begun else 0.0

    def _left(self, shank: Shank) -> float:
        """Iterations that are left: what is usual, and a third more of one that takes longer."""
        return max(self.usual - shank.iteration, shank.iteration / 3, 1.0)

    def seconds_left(self) -> float | None:
        """How long it will take from now on, or None as long as nothing is known."""
        if all(shank.done for shank in self.shanks.values()):
            return 0.0
        paces = [1e6 * each.each / each.spikes for each in self.shanks.values() if each.each and each.spikes]
        pace = sum(paces) / len(paces) if paces else self.pace
        if pace is None:
            return None
        lefts = []
        for shank in self.shanks.values():
            if not shank.done and shank.spikes:
                each = shank.each or pace * shank.spikes / 1e6
                lefts.append(self._left(shank) * each)
        return max(max(lefts, default=0.0), sum(lefts) / max(self.processes, 1))

    def message(self) -> str:
        """In words: shanks that are done and that are at it, clusters so far, the estimate."""
        done = sum(shank.done for shank in self.shanks.values())
        parts = [
            f"shank {number} iteration {shank.iteration}, {shank.clusters} clusters"
            for number, shank in sorted(self.shanks.items())
            if shank.begun and not shank.done
        ]
        spikes = sum(shank.spikes for shank in self.shanks.values())
        head = f"clustering {spikes:,} spikes, {done} of {len(self.shanks)} shanks done"
        if len(parts) > 3:
            at = [shank.iteration for shank in self.shanks.values() if shank.begun and not shank.done]
            parts = [f"{len(at)} at iterations {min(at)} to {max(at)}"]
        left = self.seconds_left()
        tail = [f"{_about(left)} left"] if left is not None and done < len(self.shanks) else []
        return "; ".join([head, *parts, *tail])


def _about(seconds: float) -> str:
    if seconds < 90:
        return f"~{max(seconds, 1):.0f}s"
    minutes = round(seconds / 60)
    return f"~{minutes}m" if minutes < 90 else f"~{minutes // 60}h{minutes % 60:02d}"
