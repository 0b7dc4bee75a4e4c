"""The process that clusters one shank: ``python -m labsched.ephys.klusta.clustering.worker`` with a task as JSON.

It says what it does in lines on its output, and takes more threads to use, one number a line, from its input.
"""

import hashlib
import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from . import checkpoint
from .options import Options

SPOKEN_S = 0.5


@dataclass(frozen=True)
class Task:
    """One shank: its .kwx, its options, and where its checkpoints go."""

    kwx: str
    shank: int
    folder: str
    options: dict[str, Any]
    seed: int
    threads: int
    parent: int
    every_s: float

    @property
    def path(self) -> Path:
        """The checkpoint's path; at the end it holds the result."""
        return Path(self.folder) / f"shank-{self.shank}.checkpoint"


def say(line: str) -> None:
    """A whole line at once: other shanks' workers write to the same pipe."""
    os.write(1, f"{line}\n".encode())


def main() -> int:
    """Cluster the shank of the task; the last checkpoint is the result."""
    from ..child import die_with

    task = Task(**json.loads(sys.argv[1]))
    die_with(task.parent)
    os.set_blocking(0, False)
    try:
        work(task)
    except MemoryError:
        print(f"MemoryError: shank {task.shank} needs more memory than there is", file=sys.stderr, flush=True)
        return 1
    return 0


def work(task: Task) -> None:
    """Cluster the shank from its last good checkpoint, or from the start."""
    import h5py
    import scipy.linalg.lapack  # noqa: F401  (it takes a second: not to be measured with the first iteration)

    from .model import Threads
    from .spikes import sparse
    from .state import Shank

    with h5py.File(task.kwx, "r") as file:
        both = file[f"channel_groups/{task.shank}/features_masks"]
        mark = fingerprint(task, both)
        checkpoint.clear(task.path)
        saved = good(task, mark)
        if saved is not None and saved.values["ended"]:
            say(f"clustering shank {task.shank}: done in an earlier attempt")
            return
        spikes = sparse(both)
    threads = Threads(task.threads)
    shank = Shank(spikes, Options.of(task.options), threads, task.seed)
    if saved is not None:
        shank.restore(saved)
    voice = Voice(task, len(spikes), shank.progress.iteration if saved is not None else 0)

    last = time.monotonic()

    def after(progress: Any) -> None:
        nonlocal last
        shank.progress = progress
        voice.tell(progress, shank.model.count)
        threads.more(_granted())
        if not progress.ended and time.monotonic() - last >= task.every_s and shank.whole():
            checkpoint.save(task.path, mark, shank.saved())
            last = time.monotonic()

    try:
        shank.run(after)
    finally:
        threads.close()
    shank.progress.ended = True
    last_one = shank.saved()
    ended = checkpoint.Checkpoint({**last_one.values, "seconds_each": round(voice.each, 6)}, last_one.arrays)
    checkpoint.save(task.path, mark, ended)
    voice.end(shank.progress, shank.model.count)


class Voice:
    """The lines about a shank, at most so many a second."""

    def __init__(self, task: Task, spikes: int, first: int) -> None:
        self.shank, self.spikes, self.first = task.shank, spikes, first
        self.began = self.spoken = time.monotonic()
        self.each = 0.0

    def tell(self, progress: Any, clusters: int) -> None:
        """After an iteration."""
        now = time.monotonic()
        self.each = (now - self.began) / max(progress.iteration - self.first, 1)
        if now - self.spoken >= SPOKEN_S or progress.iteration == self.first + 1:
            self.spoken = now
            say(
                f"clustering shank {self.shank}: iteration {progress.iteration}, {clusters} clusters, "
                f"{progress.changed} of {self.spikes} spikes changed, {self.each:.3f} s each"
            )

    def end(self, progress: Any, clusters: int) -> None:
        """At the end."""
        took = time.monotonic() - self.began
        say(
            f"clustering shank {self.shank}: done after {progress.iteration} iterations, {clusters} clusters, "
            f"{self.spikes} spikes, {took:.1f} s"
        )


def good(task: Task, mark: str) -> checkpoint.Checkpoint | None:
    """The last checkpoint that may be used, or None; what is done about each that is there is said."""
    for path in (task.path, checkpoint.before(task.path)):
        try:
            saved = checkpoint.load(path, mark)
        except FileNotFoundError:
            continue
        except checkpoint.Unusable as why:
            say(f"clustering shank {task.shank}: checkpoint {path.name} is not used: {why}")
            continue
        if not saved.values["ended"]:
            say(f"clustering shank {task.shank}: resumed from {path.name}, iteration {saved.values['iteration']}")
        return saved
    return None


def fingerprint(task: Task, both: Any) -> str:
    """What the result depends on: the features, the options but for the threads, the seed, whose arithmetic it is."""
    seal = hashlib.blake2b(digest_size=16)
    known: dict[str, Any] = {key: value for key, value in asdict(Options.of(task.options)).items() if key != "num_cpus"}
    known |= {name: metadata.version(name) for name in ("numpy", "scipy")}
    known |= {"shank": task.shank, "seed": task.seed, "shape": both.shape, "machine": platform.machine()}
    seal.update(json.dumps(known, sort_keys=True).encode())
    for first in range(0, len(both), 10_000):
        seal.update(both[first : first + 10_000].tobytes())
    return seal.hexdigest()


def _granted() -> int:
    """The last number of threads that was granted on our input, or 0."""
    try:
        words = os.read(0, 4096).split()
    except (BlockingIOError, OSError):
        return 0
    return int(words[-1]) if words else 0


if __name__ == "__main__":
    sys.exit(main())
