"""From traces to accuracies: klusta with a fixed seed, in a folder of its own; what was sorted once is remembered."""

import hashlib
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from labsched.ephys.evaluate import compare
from labsched.ephys.klusta import result
from labsched.ephys.klusta.params import write_prm
from labsched.ephys.klusta.run import sort
from labsched.ephys.probes import resolve
from labsched.ephys.synth import Truth

from .rows import Traces

#: µV of one bit of what klusta gets; and only units of this many µV or more count.
BIT, LEAST_UV = 10_000 / 65_536, 60.0
SEED = 1


def stored(x: Traces) -> np.ndarray:
    """As int16 on disk: (samples, channels)."""
    return np.clip(np.rint(x.T / BIT), -32768, 32767).astype("<i2")


def block(folder: Path, x: np.ndarray, labels: tuple[str, ...], rate: float) -> Path:
    """A flat block for labsched's own stage 1: `x` as `stored` gives it."""
    folder.mkdir()
    x.tofile(folder / "block.dat")
    (folder / "block.toml").write_text(
        f"rate = {rate!r}\nchannels = {json.dumps(list(labels))}\ngain = {BIT!r}\n", encoding="utf-8"
    )
    return folder


def denoised(source: Path, rig: Path, target: Path) -> dict[str, Any]:
    """labsched's stage 1 with its defaults, as a person runs it; what its JSON says."""
    words = ["denoise", "--source", source, "--target", target, "--name", "block", "--probe", rig, "--format", "dat"]
    done = subprocess.run([sys.executable, "-m", "labsched.ephys", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"labsched's stage 1 failed: {done.stderr[-800:]}")
    said: dict[str, Any] = json.loads((target / "block.denoise.json").read_text())
    return said


def staged(target: Path, x: np.ndarray, labels: tuple[str, ...], rate: float, rig: Path) -> None:
    """What another de-noiser made, laid out as stage 1 leaves its results."""
    target.mkdir()
    x.tofile(target / "block.dat")
    resolve(rig, labels).write_prb(target / "block.prb")
    write_prm(
        target / "block.prm", name="block", prb_file="block.prb", raw_data_files=["block.dat"], sample_rate=rate,
        n_channels=len(labels), voltage_gain=BIT,
    )  # fmt: skip
    sizes = {f"block{suffix}": (target / f"block{suffix}").stat().st_size for suffix in (".dat", ".prb", ".prm")}
    (target / "block.denoise.json").write_text(json.dumps({"outputs": sizes}))


def accuracies(target: Path, truth: Truth, cache: Path) -> list[float]:
    """Sort what lies in `target`; the accuracy of every known unit of 60 µV or more, as they come in `truth`."""
    kept = cache / f"{_key(target, truth)}.json"
    if kept.exists():
        found: list[float] = json.loads(kept.read_text())
        return found
    try:
        sort(target, "block", threads=1, seed=SEED, say=lambda line: None)
        shanks = result.read(target / "block.kwik")
    except Exception as error:  # a peer's output may be unfit to be sorted: that is a result
        if "found no spikes" not in str(error):
            raise
        shanks = ()
    found = [match.accuracy for match in compare(truth, shanks).matches if match.amplitude >= LEAST_UV]
    cache.mkdir(parents=True, exist_ok=True)
    beside = kept.with_name(f".{kept.name}.{os.getpid()}")
    beside.write_text(json.dumps(found))
    beside.replace(kept)
    return found


def _key(target: Path, truth: Truth) -> str:
    """All that the accuracies depend on: data, probe, parameters, klusta's and the libraries' versions, the truth."""
    digest = hashlib.blake2b(digest_size=16)
    for suffix in (".dat", ".prb", ".prm"):
        digest.update(hashlib.blake2b((target / f"block{suffix}").read_bytes()).digest())
    for unit in truth.units:
        digest.update(f"{unit.name} {unit.shank} {unit.amplitude:.3f}".encode() + unit.samples.tobytes())
    versions = [metadata.version(package) for package in ("klusta", "klustakwik2", "numpy", "scipy")]
    digest.update(repr((SEED, LEAST_UV, versions)).encode())
    return digest.hexdigest()
