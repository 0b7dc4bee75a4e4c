"""Sorting a block: klusta in a child process and a folder of its own, its results moved in place once they are good."""

import fcntl
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

from ..errors import EphysError
from ..progress import report
from . import result, watch
from .child import MISSING
from .failure import sentence
from .params import Params, parse_settings
from .stage import Input, whole

FORMAT = "labsched sorting 1"
ROOM = 2.5
"""klusta needs this many times the raw data on disk while it works: filtered data in float32, features, the rest."""
PATIENCE_S = 10.0


@dataclass(frozen=True)
class Sorting:
    """What came of it: where the results are, the shanks, and what a person should know."""

    name: str
    kwik: Path
    kwx: Path
    summary: Path
    shanks: tuple[result.Shank, ...]
    warnings: tuple[str, ...]
    wall_s: float

    @property
    def spikes(self) -> int:
        """All spikes."""
        return sum(len(shank.samples) for shank in self.shanks)

    @property
    def clusters(self) -> int:
        """All clusters but noise and multi-unit activity."""
        return sum(len(shank.units) for shank in self.shanks)

    def note(self) -> str:
        """One line on it, the warnings included."""
        line = f"{self.spikes:,} spikes in {self.clusters} clusters on {len(self.shanks)} shank" + (
            "s" if len(self.shanks) != 1 else ""
        )
        return "; ".join([line, *(f"WARNING: {warning}" for warning in self.warnings)])


class Stopped(Exception):
    """A signal asked us to stop; its number is the argument."""


def sort(
    target: str | Path,
    name: str,
    *,
    threads: int = 1,
    seed: int = 1,
    settings: Sequence[str] = (),
    overwrite: bool = False,
    stock: bool = False,
    say: Callable[[str], None] = print,
) -> Sorting:
    """Sort what stage 1 left in ``target`` under ``name``; leaves NAME.kwx, NAME.kwik and NAME.sorting.json.

    ``threads`` is how many processors klusta may use; its result does not depend on it. ``settings`` are words like
    ``spikedetekt.filter_low=300`` on top of NAME.prm. With ``stock`` nothing is seeded. ``say`` gets klusta's output
    line by line. A finished sorting is replaced only with ``overwrite``; what an unfinished attempt left is removed.

    Raises EphysError (a sentence) for whatever went wrong, and Stopped after a SIGTERM or SIGINT.
    """
    started = time.monotonic()
    folder = Path(target)
    data = whole(folder, name)
    if threads < 1:
        raise EphysError(f"{threads} threads cannot sort anything: give --threads 1 or more")
    params = parse_settings(settings, data.params)
    params = replace(params, klustakwik2=replace(params.klustakwik2, num_cpus=threads))
    _fits(params, data)
    folder = data.folder
    _finished(folder, name, overwrite)
    with _workplace(folder, name) as work:
        _aside(folder, name, overwrite, say)
        _room(folder, data)
        data.prm(work / f"{name}.prm", params)
        report(0.0, "starting klusta")
        _klusta(work, name, threads, seed, stock, say)
        shanks = result.read(work / f"{name}.kwik")
        void = result.empty(shanks)
        if len(void) == len(shanks):
            raise EphysError(
                f"klusta found no spikes in {name} on any shank: look at the signal's level in "
                f"{data.raw[0].name}, or lower spikedetekt.threshold_strong_std_factor"
            )
        warnings = tuple(f"shank {number} has no spikes" for number in void)
        result.settle(work, name, folder)
        sorting = Sorting(
            name,
            folder / f"{name}.kwik",
            folder / f"{name}.kwx",
            folder / f"{name}.sorting.json",
            shanks,
            warnings,
            round(time.monotonic() - started, 3),
        )
        _publish(work, sorting, _summary(work, sorting, data, params, seed, threads, stock))
    report(1.0, sorting.note())
    return sorting


def _klusta(work: Path, name: str, threads: int, seed: int, stock: bool, say: Callable[[str], None]) -> None:
    """Run the child to its end, whatever that is; returns only if it exited 0."""
    command = [sys.executable, "-m", "labsched.ephys.klusta.child", f"{name}.prm", "--seed", str(seed)]
    command += ["--parent", str(os.getpid())] + (["--stock"] if stock else [])
    count = str(threads)
    limits = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    here = str(Path(__file__).resolve().parents[3])
    environment = os.environ | dict.fromkeys(limits, count) | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    heard = watch.Watch()
    with _stopping() as stop:
        child = subprocess.Popen(
            command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            stop.child = child
            stop.pass_on()
            assert child.stdout is not None
            for line in watch.lines(child.stdout):
                if (shown := heard.hear(line)) is not None:
                    say(shown)
                report(heard.fraction, heard.message)
            code = child.wait()
        finally:
            _end(child)
        if stop.number:
            raise Stopped(stop.number)
    if code:
        raise EphysError(sentence(name, code, list(heard.tail), missing=code == MISSING))


class _Stop:
    """Passes a signal on to the child, which may not exist yet when it comes."""

    def __init__(self) -> None:
        self.number = 0
        self.child: subprocess.Popen[bytes] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self.pass_on()

    def pass_on(self) -> None:
        if self.number and self.child is not None and self.child.poll() is None:
            self.child.terminate()


@contextmanager
def _stopping() -> Iterator[_Stop]:
    stop = _Stop()
    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread: whoever runs us there takes care of signals
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stdout is not None:
        child.stdout.close()


@contextmanager
def _workplace(folder: Path, name: str) -> Iterator[Path]:
    """A folder of our own, empty, held by a lock and gone afterwards; what a killed attempt left in it goes too."""
    work = folder / f".{name}.sorting"
    try:
        work.mkdir(exist_ok=True)
        handle = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise EphysError(f"{folder} cannot be written to: {error.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = work.exists() and os.path.samestat(os.fstat(handle), work.stat())
        except BlockingIOError:
            ours = False
        if not ours:
            raise EphysError(f"{name} is being sorted by another process right now: wait for it, or stop it")
        try:
            for entry in work.iterdir():
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
            yield work
        except OSError as error:
            raise EphysError(sentence(name, 1, [f"OSError: {error}"])) from None
        finally:
            shutil.rmtree(work, ignore_errors=True)
    finally:
        os.close(handle)


def _finished(folder: Path, name: str, overwrite: bool) -> None:
    if (folder / f"{name}.sorting.json").exists() and not overwrite:
        raise EphysError(
            f"{name} is sorted already ({folder / name}.kwik): say --overwrite to sort it again and replace the result"
        )


def _aside(folder: Path, name: str, overwrite: bool, say: Callable[[str], None]) -> None:
    """Clear the way: remove what an unfinished attempt left; set a whole sorting that is not ours aside."""
    kwik, kwx, summary = (folder / f"{name}{suffix}" for suffix in (".kwik", ".kwx", ".sorting.json"))
    if summary.exists():
        return  # finished and to be replaced: it stays until the new one is there
    if kwik.exists() and not overwrite and result.complete(kwik):
        number = next(k for k in range(1, 10_000) if not (folder / f"{name}.before-{k}.kwik").exists())
        for path in (kwik, kwx):
            path.rename(folder / f"{name}.before-{number}{path.suffix}")
        say(f"{kwik} already exists and was not made by this stage: kept as {name}.before-{number}.kwik")
    for path in (kwik, kwx):
        if path.exists():
            say(f"removing {path}, which an unfinished sorting left")
            path.unlink()


def _room(folder: Path, data: Input) -> None:
    need, free = int(ROOM * data.bytes), shutil.disk_usage(folder).free
    if free < need:
        raise EphysError(
            f"sorting {data.name} needs about {need / 1e9:.1f} GB on the disk of {folder}, which has "
            f"{free / 1e9:.1f} GB free: make room, then try again"
        )


def _fits(params: Params, data: Input) -> None:
    high = params.spikedetekt.filter_high_factor * data.rate
    if not 0 < params.spikedetekt.filter_low < high < data.rate / 2:
        raise EphysError(
            f"spikedetekt.filter_low ({params.spikedetekt.filter_low:g} Hz) must lie below filter_high_factor times "
            f"the rate ({high:g} Hz), and that below half the rate of {data.rate:g} Hz: change one of them"
        )


def _publish(work: Path, sorting: Sorting, summary: dict[str, Any]) -> None:
    """Give the results their names: the old summary goes first and the new one comes last."""
    text = work / "summary"
    text.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    for path in (work / sorting.kwx.name, work / sorting.kwik.name, text):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sorting.summary.unlink(missing_ok=True)
    (work / sorting.kwx.name).replace(sorting.kwx)
    (work / sorting.kwik.name).replace(sorting.kwik)
    text.replace(sorting.summary)


def _summary(
    work: Path, sorting: Sorting, data: Input, params: Params, seed: int, threads: int, stock: bool
) -> dict[str, Any]:
    note = (data.folder / f"{data.name}.denoise.json").read_bytes()
    return {
        "format": FORMAT,
        "name": data.name,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": None if stock else seed,
        "threads": threads,
        "versions": {
            package: _version(package) for package in ("labsched", "klusta", "klustakwik2", "numpy", "scipy", "h5py")
        },
        "parameters": params.table(),
        "denoise": {"file": f"{data.name}.denoise.json", "blake2b": hashlib.blake2b(note, digest_size=16).hexdigest()},
        "raw_data_files": [str(path) for path in data.raw],
        "shanks": [
            {
                "shank": shank.number,
                "channels": list(shank.channels),
                "spikes": len(shank.samples),
                "clusters": len(shank.units),
                "unsorted_spikes": int(sum(int((shank.clusters == k).sum()) for k in shank.special)),
            }
            for shank in sorting.shanks
        ],
        "spikes": sorting.spikes,
        "clusters": sorting.clusters,
        "warnings": list(sorting.warnings),
        "outputs": {path.name: (work / path.name).stat().st_size for path in (sorting.kwik, sorting.kwx)},
        "wall_s": sorting.wall_s,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
