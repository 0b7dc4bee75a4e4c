"""Sorting a block with a sorter of another environment; what it leaves has the form of klusta's results."""

import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..attend import attend
from ..errors import EphysError, Killed
from ..klusta import result
from ..klusta.failure import sentence
from ..klusta.place import clear, publish, room, workplace
from ..klusta.sorting import Sorting, fingerprint, finished, paths, summary
from ..klusta.stage import whole
from ..progress import report
from ..report import after, complete
from . import kwik, task
from .environments import Environment, find
from .foreign import MISSING, REFUSED
from .heard import END, Heard

FOLDER = "shanks"
LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")


def sort(
    target: str | Path,
    name: str,
    sorter: str,
    sorters: str | Path,
    *,
    threads: int = 1,
    seed: int = 1,
    settings: Sequence[str] = (),
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> Sorting:
    """Sort what stage 1 left in ``target`` under ``name``; leaves NAME.kwx, NAME.kwik and NAME.sorting.json.

    ``sorters`` is the folder of the environments. ``settings`` are words like ``detect_threshold=5`` on top of the
    sorter's defaults. Each shank is sorted alone; one that is sorted is kept where a later one fails, or all is killed,
    and the next attempt of the same data with the same parameters, seed and versions goes on from there. For a sorting
    that is there already, see `klusta.run.sort`.

    Raises EphysError (a sentence) for whatever went wrong, and Stopped after a SIGTERM or SIGINT.
    """
    started = time.monotonic()
    environment = find(sorters, sorter)
    given = parse(sorter, settings)
    data = whole(Path(target), name)
    if threads < 1:
        raise EphysError(f"{threads} threads cannot sort anything: give --threads 1 or more")
    if not 0 <= seed < 2**32:
        raise EphysError(f"a seed of {seed} makes no sense: give one from 0 to {2**32 - 1}")
    parameters = {sorter: given, "spikedetekt": data.params.table()["spikedetekt"]}
    made_with = {"sorter": sorter, **environment.versions}
    mark = fingerprint(data, parameters, seed, made_with)
    with workplace(data.folder, name, mark, say) as work:
        if not overwrite and (done := finished(data, parameters, seed, sorter=sorter)):
            say(f"{name} is sorted already, from the same data with the same parameters: nothing to do")
            complete(data.folder, name, say)
            report(1.0, done.note())
            return done
        clear(data, overwrite, say)
        room(data.folder, data, True)
        asked = task.task(data, sorter, given, threads, seed)
        report(0.0, f"starting {sorter}")
        heard = _run(work / FOLDER, name, environment, asked, say)
        found = task.left(work / FOLDER, asked)
        if not any(len(shank.samples) for shank in found):
            raise EphysError(
                f"{sorter} found no spikes in {name} on any shank: look at the signal's level in "
                f"{data.raw[0].name}, or take another sorter"
            )
        report(END, "features")
        kwik.write(work, data, found, sorter)
        shanks = result.read(work / f"{name}.kwik")
        warnings = tuple(f"shank {shank.number} has no spikes" for shank in shanks if not len(shank.samples))
        sorting = Sorting(name, *paths(data), shanks, warnings, round(time.monotonic() - started, 3))
        code = {"sorter": f"{sorter} in {environment.folder}"}
        versions = _versions() | environment.versions | heard.versions
        said = summary(work, sorting, data, parameters, seed, threads, code, sorter=sorter, versions=versions)
        publish(work, sorting, said)
    report(0.99, "metrics and report")
    after(data.folder, name, say)
    report(1.0, sorting.note())
    return sorting


def parse(sorter: str, settings: Sequence[str]) -> dict[str, Any]:
    """``["detect_threshold=5"]`` -> ``{"detect_threshold": 5}``: values are JSON, or else words. Raises EphysError."""
    found: dict[str, Any] = {}
    for word in settings:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise EphysError(f"{word!r} is not an option of {sorter}: it is KEY=VALUE, such as detect_threshold=5")
        try:
            found[key.strip()] = json.loads(value)
        except ValueError:
            found[key.strip()] = {"True": True, "False": False, "None": None}.get(value.strip(), value.strip())
    return found


def _run(
    folder: Path, name: str, environment: Environment, asked: Mapping[str, Any], say: Callable[[str], None]
) -> Heard:
    """Run the script to its end; returns, with what it said, only if it exited 0."""
    folder.mkdir(exist_ok=True)
    task.weed(folder, asked, say)
    told = folder / "task.json"
    told.write_text(json.dumps({**asked, "parent": os.getpid()}), encoding="utf-8")
    heard = Heard(asked["sorter"], tuple(len(shank["channels"]) for shank in asked["shanks"]))

    def hear(line: str) -> None:
        if (shown := heard.hear(line)) is not None:
            say(shown)
        report(heard.fraction, heard.message)

    command = [str(environment.python), "-u", str(Path(__file__).with_name("foreign.py")), told.name]
    code = attend(command, folder, _environ(asked["threads"]), hear)
    if code == REFUSED:
        raise EphysError(f"{name} cannot be sorted: {heard.tail[-1] if heard.tail else 'it said nothing'}")
    if code:
        kind = Killed if code == -signal.SIGKILL else EphysError
        sorter, tail = environment.sorter.name, list(heard.tail)
        again = f"labsched sorter install {sorter} --again"
        raise kind(sentence(name, code, tail, missing=code == MISSING, sorter=sorter, install=again))
    return heard


def _environ(threads: int) -> dict[str, str]:
    """Ours, without what would lead the other interpreter to our packages, and with our number of threads."""
    ours = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    return ours | dict.fromkeys(LIMITS, str(threads)) | {"PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1"}


def _versions() -> dict[str, str]:
    from importlib import metadata

    return {"labsched": metadata.version("labsched")}
