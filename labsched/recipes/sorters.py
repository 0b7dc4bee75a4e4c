"""Which program the second stage of a block is, the command line of it, and the slots that it holds."""

from collections.abc import Mapping
from typing import Any, NamedTuple

KLUSTA = "klusta"
ON_GPU = ("kilosort4",)
#: Those that SpikeInterface runs, in environments of their own: `labsched sorter install`.
FOREIGN = ("mountainsort5", "spykingcircus2", "tridesclous2", *ON_GPU)
SORTERS = (KLUSTA, *FOREIGN)


class Second(NamedTuple):
    """The words after ``python -m labsched.ephys``, but for the folders; and the slots."""

    words: tuple[str, ...]
    needs: dict[str, int]
    up_to: dict[str, int]


def second(sorter: str, settings: Mapping[str, Any], folders: tuple[str, ...], again: bool) -> Second:
    """The second stage by this sorter; `settings` is the configuration's [sort]."""
    shared = (*folders, "--threads", "granted", "--seed", str(settings["seed"]), *(("--overwrite",) if again else ()))
    if sorter in ON_GPU:
        needs, up_to = dict(settings["kilosort4_needs"]), {}
    else:
        needs, up_to = dict(settings["klusta_needs"]), settings["klusta_up_to"]
    up_to = {pool: n for pool, n in up_to.items() if n > needs.get(pool, n)}
    if sorter == KLUSTA:
        return Second(("klusta", *shared, *options(settings["klusta"])), needs, up_to)
    import json  # few need it

    own = settings["sorter_options"].get(sorter, {})
    said = {key: value if isinstance(value, str) else json.dumps(value) for key, value in own.items()}
    return Second(("sort", sorter, "--sorters", settings["sorters"], *shared, *options(said)), needs, up_to)


def options(said: Mapping[str, object]) -> tuple[str, ...]:
    """Options of a sorter's own, as words."""
    return tuple(word for key, value in said.items() for word in ("--set", f"{key}={value}"))
