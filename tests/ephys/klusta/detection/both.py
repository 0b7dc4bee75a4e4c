"""``both.py``: klusta's detection and ours beside each other, and what differs, as JSON; a process of its own, for
klusta has numpy patched and warns thousands of times.

``both.py detect PRM...``: the whole detection into a .kwik and .kwx each. ``both.py join``: the flood fill alone.
"""

import json
import logging
import os
import shutil
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import h5py  # noqa: E402
import numpy as np  # noqa: E402

from labsched.ephys.klusta import compat  # noqa: E402

compat.apply()

from klusta import launch  # noqa: E402
from klusta.kwik.creator import KwikCreator, create_kwik  # noqa: E402
from klusta.kwik.model import KwikModel  # noqa: E402
from klusta.traces.detect import connected_components  # noqa: E402

from labsched.ephys.kernels import spikes  # noqa: E402
from labsched.ephys.klusta.detection.agreement import disagreement  # noqa: E402
from labsched.ephys.klusta.detection.detect import detect  # noqa: E402
from labsched.ephys.klusta.detection.settings import _graph  # noqa: E402


def differences(one: Path, two: Path) -> list[str]:
    """What is not the same, to the bit, in two HDF5 files."""
    with h5py.File(one) as a, h5py.File(two) as b:
        left, right = _entries(a), _entries(b)
        found = [f"{name} is in one alone" for name in left.keys() ^ right.keys()]
        return found + [name for name in left.keys() & right.keys() if left[name] != right[name]]


def _entries(file: h5py.File) -> dict[str, tuple[str, ...]]:
    entries: dict[str, tuple[str, ...]] = {}

    def take(name: str, entry: h5py.Group | h5py.Dataset) -> None:
        for key, value in entry.attrs.items():
            entries[f"{name}@{key}"] = (str(np.asarray(value).dtype), str(value))
        if isinstance(entry, h5py.Dataset):
            entries[name] = (str(entry.dtype), str(entry.shape), entry[()].tobytes().hex())

    file.visititems(take)
    return entries


def compare(prm: Path) -> dict[str, object]:
    """Both detections of one recording."""
    counts: dict[str, dict[str, int]] = {}
    for side in ("stock", "ours"):
        work = prm.parent / side
        work.mkdir()
        os.chdir(work)
        shutil.copy(prm, work)
        create_kwik(prm_file="b.prm")
        model = KwikModel("b.kwik")
        try:
            found = launch.detect(model) if side == "stock" else detect(model, Path("detection"), "f", 2, print)
        except Exception as error:
            return {"failed": side, "error": f"{type(error).__name__}: {error}"}
        differs = disagreement(model.metadata)
        model.close()
        KwikCreator("b.kwik").add_spikes_after_detection(found)
        counts[side] = {str(group): int(count) for group, count in found.n_spikes_per_group.items()}
    sides = prm.parent / "stock", prm.parent / "ours"
    found = [name for suffix in ("kwik", "kwx") for name in differences(*(side / f"b.{suffix}" for side in sides))]
    return {"differences": found, "spikes": counts["stock"], "ours": counts["ours"], "disagreement": differs}


def join(seed: int) -> bool:
    """Whether both join the same random crossings to the same components, in the same order."""
    draw = np.random.Generator(np.random.PCG64(seed))
    rows, channels, within = int(draw.integers(30, 120)), int(draw.integers(1, 40)), int(draw.integers(0, 5))
    live = sorted(draw.permutation(channels)[: draw.integers(1, channels + 1)].tolist())
    graph: dict[int, set[int]] = {}
    for one, two in draw.choice(live, (int(draw.integers(0, 3 * channels)), 2)).tolist():
        graph.setdefault(one, set()).add(two)
        graph.setdefault(two, set()).add(one)
    x = draw.random((rows, channels)).astype(np.float32)
    weak, strong = draw.uniform(0.5, 0.98), draw.uniform(0.9, 1.0)
    bounds = np.full((2, channels), np.inf, np.float32)
    bounds[:, live] = np.array([[weak], [strong]], np.float32)
    above = x > bounds[0], x > bounds[1]
    mine = spikes.components(x, 0, bounds[0], bounds[1], _graph(dict(graph), set(live), channels), within)
    theirs = connected_components(*above, {c: set(near) for c, near in graph.items()}, within, live)
    places = np.split(mine.places, mine.ends[:-1]) if len(mine.ends) else []
    return [each.tolist() for each in places] == [[s * channels + c for s, c in each] for each in theirs]


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    if sys.argv[1] == "join":
        print(json.dumps([seed for seed in range(400) if not join(seed)]))
    else:
        print(json.dumps({Path(prm).parent.name: compare(Path(prm)) for prm in sys.argv[2:]}))
