"""One recording of a family, and what each row makes of it."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from labsched.ephys.synth.block import probe_text, rig_text
from labsched.ephys.synth.recipe import Plan, Recipe, plan
from labsched.ephys.synth.signal import chunks
from labsched.ephys.synth.truth import truth

from . import families, rows, sorting


def traces(it: Plan) -> rows.Traces:
    """The whole recording as the converter gives it, µV."""
    result = np.empty((it.recipe.channels, it.recipe.samples), dtype=np.float32)
    for start, piece in chunks(it):
        bits = np.clip(np.rint(piece / sorting.BIT), -32768, 32767)
        result[:, start : start + piece.shape[1]] = bits * sorting.BIT
    return result


def measured(
    family: families.Family, seed: int, seconds: float, names: Sequence[str], cache: Path, python: Path | None
) -> dict[str, float]:
    """Mean accuracy of the units of 60 µV or more, by row. `python` is the peers' interpreter."""
    recipe = family.recipe(seed, seconds)
    with tempfile.TemporaryDirectory(prefix="labsched-accuracy-") as name:
        return {
            row: float(np.mean(found)) for row, found in _rows(recipe, names, Path(name), cache, python) if len(found)
        }


def _rows(recipe: Recipe, names: Sequence[str], folder: Path, cache: Path, python: Path | None):  # type: ignore[no-untyped-def]
    it = plan(recipe)
    known, x = truth(it), traces(it)
    rig = folder / "block.rig.toml"
    rig.write_text(rig_text(it))
    (folder / "block.probe.json").write_text(probe_text(recipe))
    place = np.array(it.place)
    for row in names:
        target = folder / row
        if row == "labsched":
            source = sorting.block(folder / "source", sorting.stored(x), it.labels, recipe.rate)
            sorting.denoised(source, rig, target)
        else:
            if row == "clean":
                y = traces(plan(replace(families.clean(recipe))))
            elif row in rows.FOREIGN:
                assert python is not None
                y = rows.foreign(python, row, x, recipe.rate, it.sites[place], folder)
            else:
                y = rows.HERE[row](x, recipe.rate)
            sorting.staged(target, sorting.stored(y), it.labels, recipe.rate, rig)
        yield row, sorting.accuracies(target, known, cache)
