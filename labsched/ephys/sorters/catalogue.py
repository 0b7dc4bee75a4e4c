"""Which sorters there are, and what their environments are made of: pinned, so that a sorting can be made again."""

from dataclasses import dataclass

#: Every environment has these.
COMMON = ("spikeinterface==0.104.9", "numpy==2.4.6", "scipy==1.17.1", "scikit-learn==1.9.1", "probeinterface==0.4.2")


@dataclass(frozen=True)
class Sorter:
    """``says`` is one line for people, ``packages`` come on top of `COMMON`, ``modules`` must be importable then."""

    name: str
    says: str
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    gpu: bool = False


SORTERS = {
    each.name: each
    for each in (
        Sorter(
            "mountainsort5",
            "isosplit clustering, batch by batch; no GPU",
            ("mountainsort5==0.5.9", "isosplit6==0.1.4"),
            ("mountainsort5", "isosplit6"),
        ),
        Sorter(
            "spykingcircus2",
            "clustering, then template matching; no GPU",
            ("numba==0.68.1", "hdbscan==0.8.44"),
            ("numba", "hdbscan"),
        ),
        Sorter(
            "tridesclous2",
            "clustering, then template matching; no GPU",
            ("numba==0.68.1", "hdbscan==0.8.44", "isosplit6==0.1.4"),
            ("numba", "hdbscan", "isosplit6"),
        ),
        Sorter(
            "kilosort4",
            "template matching with drift correction; needs a GPU",
            ("kilosort==4.1.7", "torch==2.8.0", "numba==0.68.1"),
            ("kilosort", "torch"),
            gpu=True,
        ),
    )
}
NAMES = tuple(SORTERS)
