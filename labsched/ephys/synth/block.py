"""Making a block: the folder of MATLAB files, and beside it the truth, the probe and the rig."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import EphysError
from ..progress import report
from .matlab import Writer5, Writer73
from .recipe import Plan, Recipe, plan, positions
from .signal import chunks
from .truth import Truth, save, truth

SCALE_MV = 10.0 / 65536.0
"""mV a bit: ±5 mV in 16 bits, as a Spike2 channel behind a headstage amplifier has."""


@dataclass(frozen=True)
class Made:
    """Where everything is: the block's folder, and beside it truth, rig and probe."""

    folder: Path
    truth_file: Path
    rig: Path
    probe: Path
    truth: Truth

    @property
    def omit(self) -> str:
        """The bad channels, as ``--omit`` takes them."""
        return self.truth.omit


def make(folder: str | Path, recipe: Recipe | None = None, *, overwrite: bool = False) -> Made:
    """Make the block ``folder/NAME`` with ``NAME.truth.h5``, ``NAME.rig.toml`` and ``NAME.probe.json`` beside it.

    The files get their names when they are whole. Raises EphysError where the block exists (unless ``overwrite``),
    cannot be made as asked, or cannot be written.
    """
    recipe = (recipe or Recipe()).checked()
    home = Path(folder)
    block = home / recipe.name
    if block.exists() and not overwrite:
        raise EphysError(f"block {block} exists: choose another --name, or say --overwrite")
    made = Made(
        block,
        home / f"{recipe.name}.truth.h5",
        home / f"{recipe.name}.rig.toml",
        home / f"{recipe.name}.probe.json",
        truth(decided := plan(recipe)),
    )
    temporary = home / f".{recipe.name}.making-{os.getpid()}"
    try:
        try:
            files = temporary / "block"
            files.mkdir(parents=True)
            _write(decided, files)
            save(made.truth, temporary / "truth")
            (temporary / "probe").write_text(probe_text(recipe), encoding="utf-8")
            (temporary / "rig").write_text(rig_text(decided), encoding="utf-8")
            if block.exists():
                shutil.rmtree(block)
            for name, path in (("truth", made.truth_file), ("probe", made.probe), ("rig", made.rig)):
                (temporary / name).replace(path)
            files.rename(block)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise EphysError(f"block {block} cannot be written: {error.strerror or error}") from None
    return made


def _write(it: Plan, folder: Path) -> None:
    recipe = it.recipe
    kind = {"int16": "i2", "single": "f4", "double": "f8"}[recipe.dtype]
    tick = 1.0 / recipe.rate
    writer: Writer73 | Writer5 | None = None
    epoch = -1
    for start, data in chunks(it):
        stop = start + data.shape[1]
        at = start
        while at < stop:
            if epoch < 0 or at == it.bounds[epoch + 1]:
                if writer is not None:
                    writer.close()
                epoch += 1
                path = folder / f"{recipe.name}_Epc{epoch + 1:02d}.mat"
                writer = Writer73(path) if recipe.format == "v7.3" else Writer5(path)
                _open(writer, it, epoch, kind)
            assert writer is not None
            end, first = min(stop, it.bounds[epoch + 1]), it.bounds[epoch]
            part = data[:, at - start : end - start]
            bits = np.clip(np.rint(part / (1e3 * SCALE_MV)), -32768, 32767)
            for row, label in enumerate(it.labels):
                # as Spike2 does: the converter's bits, or the same in the channel's units
                writer.fill(label, "values", at - first, bits[row] if kind == "i2" else bits[row] * SCALE_MV)
                if recipe.times:
                    ticks = np.arange(at, end) + it.delays[row]
                    writer.fill(label, "times", at - first, ticks * tick + epoch * recipe.gap)
            at = end
            report(at / recipe.samples, f"{at / recipe.rate:.0f} of {recipe.seconds:g} s made")
    if writer is not None:
        writer.close()


def _open(writer: Writer73 | Writer5, it: Plan, epoch: int, kind: str) -> None:
    recipe = it.recipe
    first, length = it.bounds[epoch], it.bounds[epoch + 1] - it.bounds[epoch]
    for row, label in enumerate(it.labels):
        fields = {
            "title": label,
            "comment": "No comment",
            "interval": 1.0 / recipe.rate,
            "scale": SCALE_MV,
            "offset": 0.0,
            "units": "mV",
            "start": (first + it.delays[row]) / recipe.rate + epoch * recipe.gap,
            "length": length,
        }
        columns = {"values": (kind, length)} | ({"times": ("f8", length)} if recipe.times else {})
        writer.struct(label, fields, columns)


def probe_text(recipe: Recipe) -> str:
    """The probe as probeinterface describes it (JSON)."""
    sites = positions(recipe)
    axes = "[[1.0, 0.0], [0.0, 1.0]]"
    rows = {
        "contact_positions": [f"[{x:g}, {y:g}]" for x, y in sites],
        "contact_plane_axes": [axes] * len(sites),
        "contact_shapes": ['"circle"'] * len(sites),
        "contact_shape_params": ['{"radius": 7.5}'] * len(sites),
        "contact_ids": [f'"{k + 1}"' for k in range(len(sites))],
        "shank_ids": [f'"{k // recipe.sites}"' for k in range(len(sites))],
    }
    name = json.dumps({"name": f"{recipe.name} probe", "manufacturer": "nobody"})
    body = ",\n".join(f'   "{key}": [{", ".join(values)}]' for key, values in rows.items())
    return (
        '{\n "specification": "probeinterface",\n "version": "0.2.20",\n "probes": [\n  {\n'
        f'   "ndim": 2,\n   "si_units": "um",\n   "annotations": {name},\n{body}\n  }}\n ]\n}}\n'
    )


def rig_text(it: Plan) -> str:
    """The rig: which port is wired to which site of the probe (TOML)."""
    """The rig: which port is wired to which site."""
    lines = [
        f"# The rig of the synthetic block {it.recipe.name}: which port is wired to which site of the probe.",
        f"# {', '.join(it.dead) or 'no port'} is dead and {', '.join(it.noisy) or 'no port'} is noisy"
        f"{''.join(f', {label} is {kind}' for label, kind in it.spoilt.items())}: omit them.",
        f"name = {json.dumps(it.recipe.name + ' rig')}",
        f"probe = {json.dumps(it.recipe.name + '.probe.json')}",
        "",
        "[ports]",
    ]
    return "\n".join([*lines, *(f"{label} = {at + 1}" for label, at in zip(it.labels, it.place, strict=True)), ""])
