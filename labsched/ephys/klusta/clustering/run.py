"""All shanks of a .kwik clustered: one process a shank, the largest first, and never more processors than given."""

import json
import os
import random
import select
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import checkpoint, history
from .heard import expected
from .worker import Task, fingerprint

FOLDER = "clustering"
EVERY_S = 15.0


class Failed(Exception):
    """A shank's process failed: its exit code is the argument (negative: a signal)."""


def run(
    kwik: str | Path, processes: int, seed: int, *, options: Mapping[str, Any] | None = None, every_s: float = EVERY_S
) -> None:
    """Cluster every shank of a .kwik that detection has filled, and write the clusters into it as klusta does.

    At most ``processes`` processors are used at once. ``options`` are the .prm's section ``klustakwik2``. A checkpoint
    is written every ``every_s`` seconds into the folder ``clustering`` beside the .kwik, where a killed attempt's are
    found again. Raises Failed.
    """
    from klusta.kwik.creator import KwikCreator  # type: ignore[import-untyped]
    from klusta.kwik.model import KwikModel  # type: ignore[import-untyped]

    kwik = Path(kwik).absolute()
    folder = kwik.parent / FOLDER
    folder.mkdir(exist_ok=True)
    KwikCreator(str(kwik)).set_metadata("/application_data/klustakwik2", **dict(options or {}))
    model = KwikModel(str(kwik))
    groups, table = [int(group) for group in model.channel_groups], dict(model.kk2_metadata)
    model.close()
    # the .kwik lies in a folder in that of the block
    print(expected(history.usual(kwik.parent.parent), processes), flush=True)
    sizes = {}
    for group in groups:
        model = KwikModel(str(kwik), channel_group=group)
        sizes[group] = int(model.n_spikes or 0)
        model.close()
        if sizes[group]:
            print(f"clustering shank {group}: {sizes[group]} spikes", flush=True)
    plain = {key: value.item() if hasattr(value, "item") else value for key, value in table.items()}
    tasks = [
        Task(
            str(kwik.with_suffix(".kwx")), group, str(folder), plain, (seed * 1_000_003 + group) % 2**32, 1,
            os.getpid(), every_s,
        )
        for group in sorted(sizes, key=lambda group: (-sizes[group], group))
        if sizes[group]
    ]  # fmt: skip
    _every(tasks, processes)
    # in klusta's order: what it draws for the colours of a shank follows what it drew for its clusters
    took = [
        _write(kwik, task, table) | {"spikes": sizes[task.shank]}
        for task in sorted(tasks, key=lambda task: groups.index(task.shank))
    ]
    history.record(folder, took)


def _every(tasks: list[Task], processes: int) -> None:
    """Run the tasks, in this order; processors that are over go to those that are left."""
    waiting = list(tasks)
    working: dict[int, _Worker] = {}
    poll = select.poll()
    try:
        while waiting or working:
            while waiting and (free := processes - sum(worker.threads for worker in working.values())) > 0:
                # where all that are left fit in, what is over is shared out, the largest first
                worker = _Worker(waiting[0], -(-free // len(waiting)))
                waiting.pop(0)
                working[worker.handle] = worker
                poll.register(worker.handle, select.POLLIN)
            for handle, _ in poll.poll():
                worker = working.pop(handle)
                poll.unregister(handle)
                if code := worker.end():
                    raise Failed(code)
            if not waiting and working:
                spare = processes - sum(worker.threads for worker in working.values())
                for k, worker in enumerate(working.values()):
                    worker.grant(spare // len(working) + (k < spare % len(working)))
    finally:
        for worker in working.values():
            worker.kill()


class _Worker:
    """A shank's process."""

    def __init__(self, task: Task, threads: int) -> None:
        words = json.dumps(asdict(task) | {"threads": threads})
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1")
        self.threads = threads
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker", words], stdin=subprocess.PIPE, env=os.environ | one
        )
        self.handle = os.pidfd_open(self.process.pid)

    def grant(self, more: int) -> None:
        """Let it use so many threads more."""
        if more < 1 or self.process.stdin is None:
            return
        self.threads += more
        try:
            self.process.stdin.write(f"{self.threads}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has just ended: its exit code will say how

    def end(self) -> int:
        """Its exit code."""
        os.close(self.handle)
        if self.process.stdin is not None:
            self.process.stdin.close()
        return self.process.wait()

    def kill(self) -> None:
        """End it now."""
        self.process.kill()
        self.end()


def _write(kwik: Path, task: Task, table: Mapping[str, Any]) -> dict[str, float]:
    """Write a shank's clusters into the .kwik as klusta does after clustering it; what it took."""
    import h5py
    import klustakwik2  # type: ignore[import-untyped]
    import numpy as np
    from klusta.kwik.model import KwikModel

    with h5py.File(task.kwx, "r") as file:
        mark = fingerprint(task, file[f"channel_groups/{task.shank}/features_masks"])
    saved = checkpoint.load(task.path, mark)
    version, spare = saved.values["order"]
    random.setstate((version, tuple(int(each) for each in saved.arrays["inner"]), spare))
    model = KwikModel(str(kwik), channel_group=task.shank)
    model.add_clustering("main", saved.arrays["clusters"].astype(np.int64))
    model.copy_clustering("main", "original")
    model.clustering = "main"
    every = {**table, "version": klustakwik2.__version__}
    model.clustering_metadata.update({f"klustakwik2_{name}": value for name, value in every.items()})
    model.save(clustering_metadata=model.clustering_metadata)
    model.close()
    values = saved.values
    return {"shank": task.shank, "iterations": values["iteration"], "seconds_each": values["seconds_each"]}
