"""phy's kwik-gui on a .kwik: ``python kwik_gui.py NAME.kwik --shank 2``, by the Python that has phy and klusta.

That Python need not have labsched: this file stands alone, but for the one beside it that knows what klusta needs on a
numpy of today (`klusta/compat.py`), from which it takes the two patches that looking needs.
"""

import argparse
import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType

MISSING = 69
INSTALL = "pip install 'setuptools<81' phy PyQt5 PyQtWebEngine klusta==3.0.16 h5py scipy six click tqdm"


def main() -> int:
    """Open the window; 0 once it is closed. 69: phy or klusta is not installed."""
    parser = argparse.ArgumentParser(description="Open a .kwik in phy's kwik-gui.")
    parser.add_argument("kwik", type=Path)
    parser.add_argument("--shank", type=int, help="which shank (default: the first with spikes)")
    parser.add_argument("--check", action="store_true", help="load it as the window would, and open none")
    asked = parser.parse_args()
    if not asked.kwik.is_file():
        print(f"error: there is no {asked.kwik}", file=sys.stderr)
        return 1
    warnings.simplefilter("ignore")
    # a script's own folder comes first, and has a phy.py of ours
    here = Path(__file__).resolve().parent
    sys.path[:] = [each for each in sys.path if Path(each).resolve() != here]
    try:
        compat = _compat()
        compat._numpy()
        compat._attributes()
        from phy.apps.kwik.gui import KwikController, kwik_gui  # type: ignore[import-not-found]
    except ImportError as error:
        print(f"error: {error}: {sys.executable} -m {INSTALL}", file=sys.stderr)
        return MISSING
    shank = _first(asked.kwik) if asked.shank is None else asked.shank
    if asked.check:
        model = KwikController(asked.kwik, channel_group=shank).model
        print(model.n_spikes, *sorted(map(int, set(model.spike_clusters))))
        return 0
    kwik_gui(asked.kwik, channel_group=shank)
    return 0


def _compat() -> ModuleType:
    path = Path(__file__).resolve().parents[1] / "klusta" / "compat.py"
    spec = importlib.util.spec_from_file_location("labsched_compat", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _first(kwik: Path) -> int:
    """The first shank that has spikes: phy opens no other."""
    import h5py

    with h5py.File(kwik, "r") as file:
        groups = sorted(map(int, file["channel_groups"]))
        return next((k for k in groups if "spikes/time_samples" in file[f"channel_groups/{k}"]), groups[0])


if __name__ == "__main__":
    sys.exit(main())
