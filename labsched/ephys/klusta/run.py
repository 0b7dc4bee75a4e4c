"""Sorting a block: klusta in a child process and a folder of its own, its results moved in place once they are good."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import EphysError
from ..progress import report
from ..report import after, complete
from . import result
from .params import Params, parse_settings
from .place import clear, forget, publish, room, workplace
from .process import klusta
from .sorting import Sorting, fingerprint, finished, paths, summary
from .stage import Input, whole


def sort(
    target: str | Path,
    name: str,
    *,
    threads: int = 1,
    seed: int | None = None,
    settings: Sequence[str] = (),
    overwrite: bool = False,
    stock: bool = False,
    say: Callable[[str], None] = print,
) -> Sorting:
    """Sort what stage 1 left in ``target`` under ``name``; leaves NAME.kwx, NAME.kwik and NAME.sorting.json.

    ``threads`` is how many processors klusta may use; its result does not depend on it. ``settings`` are words like
    ``spikedetekt.filter_low=300`` on top of NAME.prm. ``seed`` is 1 where it is not given. With ``stock`` all is
    klusta's own code, and nothing is seeded unless ``seed`` is given: with the same one the result is the same. ``say``
    gets klusta's output line by line.

    An attempt that was killed or failed leaves its checkpoints, from which the next one of the same data with the same
    parameters and seed goes on; what else it left is removed. A finished sorting of the same data with the same
    parameters and seed is returned as it is; one of the same data with others is replaced only with ``overwrite``; one
    of data that stage 1 has since made anew, or that this stage did not make, is kept under another name
    (NAME.before-1.kwik).

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
    folder, seed = data.folder, 1 if seed is None and not stock else seed
    mark = "stock" if stock else fingerprint(data, params.table(), seed)
    with workplace(folder, name, mark, say) as work:
        if not overwrite and (done := finished(data, params.table(), seed, stock)):
            say(f"{name} is sorted already, from the same data with the same parameters: nothing to do")
            complete(folder, name, say)
            report(1.0, done.note())
            return done
        clear(data, overwrite, say)
        room(folder, data, stock)
        data.prm(work / f"{name}.prm", params)
        report(0.0, "starting klusta")
        heard = klusta(work, name, threads, seed, stock, mark, say)
        shanks = result.read(work / f"{name}.kwik")
        void = result.empty(shanks)
        if len(void) == len(shanks):
            forget(work)
            raise EphysError(
                f"klusta found no spikes in {name} on any shank: look at the signal's level in "
                f"{data.raw[0].name}, or lower spikedetekt.threshold_strong_std_factor"
            )
        warnings = tuple(
            f"shank {shank.number} has {'no' if shank.number in void else len(shank.samples)} spikes"
            + ("" if shank.number in void else " and no cluster but noise and multi-unit")
            for shank in shanks
            if not shank.units
        )
        result.settle(work, name, folder)
        sorting = Sorting(name, *paths(data), shanks, warnings, round(time.monotonic() - started, 3))
        publish(work, sorting, summary(work, sorting, data, params.table(), seed, threads, heard.code))
    report(0.99, "metrics and report")
    after(folder, name, say)
    report(1.0, sorting.note())
    return sorting


def _fits(params: Params, data: Input) -> None:
    high = params.spikedetekt.filter_high_factor * data.rate
    if not 0 < params.spikedetekt.filter_low < high < data.rate / 2:
        raise EphysError(
            f"spikedetekt.filter_low ({params.spikedetekt.filter_low:g} Hz) must lie below filter_high_factor times "
            f"the rate ({high:g} Hz), and that below half the rate of {data.rate:g} Hz: change one of them"
        )
