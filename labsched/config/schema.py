"""The schema: every section and key of the configuration, with its default, what it is, and an example.

The commented sample and `labsched config show` are made from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

import msgspec


def key(text: str, *, example: object = None, fixed: bool = False, **bounds: Any) -> msgspec.Meta:
    """What a key is, in words; an `example` where the default shows none; `fixed` where only a restart changes it."""
    return msgspec.Meta(description=text, extra={"example": example, "fixed": fixed}, **bounds)


class Daemon(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[daemon]"""

    socket_mode: Annotated[str, key("the mode of the socket, octal: who may connect", fixed=True)] = "0660"
    socket_group: Annotated[
        str | None,
        key(
            "the group that owns the socket; the daemon's user must be in it. Without it, the daemon's own group",
            example="lab",
            fixed=True,
        ),
    ] = None
    shared_account: Annotated[
        bool,
        key(
            "whether everybody who reaches the socket may use a daemon that cannot change user, and whose account then "
            "runs everything; else it serves its own user and root. A daemon of root's runs each stage as its "
            "submitter, and refuses this",
            fixed=True,
        ),
    ] = False
    admin_group: Annotated[
        str, key("the group whose members may touch everybody's jobs, and the pools, as root may", fixed=True)
    ] = "labsched-admin"
    stop_grace: Annotated[
        float,
        key("seconds between TERM and KILL, when a stage is cancelled, takes too long, or leaves processes behind"),
    ] = 10.0
    nice: Annotated[
        int,
        key("of the stages, 0 to 19: the higher, the more they leave the processors to people's own work", ge=0, le=19),
    ] = 10


class Prune(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[prune]: which ended jobs and logs the daemon removes by itself, once a day. Without a key here: none."""

    after_days: Annotated[
        Annotated[float, msgspec.Meta(ge=0)] | None,
        key("ended jobs go, with their logs, once they have been over for so many days", example=180),
    ] = None
    logs_gb: Annotated[
        Annotated[float, msgspec.Meta(ge=0)] | None,
        key(
            "the oldest ended jobs go, until the logs of those that remain take no more than so many GB (10^9 bytes)",
            example=100,
        ),
    ] = None
    keep: Annotated[int, key("so many of the jobs that ended last are kept, whatever the other keys say", ge=0)] = 0


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[limits]: what one person may take of what all share."""

    queued_jobs_per_user: Annotated[int, key("jobs of one person that have not ended", ge=1)] = 20_000
    slots_per_user: Annotated[
        dict[str, Annotated[int, msgspec.Meta(ge=1)]],
        key("slots by pool that the stages of one person may hold together", example={"CPU": 6, "GPU": 1}),
    ] = msgspec.field(default_factory=dict)
    priority: Annotated[
        int,
        key(
            "the highest priority that people may give their jobs; admins any, and everybody any below it",
            ge=0,
            le=1_000_000,
        ),
    ] = 0
    usage_of_others: Annotated[
        bool, key("whether everybody may see what others have used (`labsched usage`), and not admins alone")
    ] = False
    connections_per_user: Annotated[int, key("connections of one person to the daemon at a time", ge=8)] = 512
    streams_per_user: Annotated[int, key("logs, and the like, that one person reads or follows at a time", ge=1)] = 256
    request_size: Annotated[
        int, key("bytes of a request: the jobs of one `labsched add --from`, for example", fixed=True, ge=65_536)
    ] = 32 * 1024**2
    patience: Annotated[
        float, key("seconds that a request may take to come, and an answer to be taken, before it is given up", gt=0)
    ] = 30.0
    log_size: Annotated[
        Annotated[int, msgspec.Meta(ge=4096)] | None,
        key(
            "bytes of an attempt's log: of a longer one the beginning and the end are kept, with a note between them. "
            "It goes for attempts that start from then on; without it, logs are not cut",
            example=1_000_000_000,
        ),
    ] = None


class Notify(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[notify]: telling people what happens. Everybody says where with `labsched notify add`."""

    targets: Annotated[
        str | None,
        key(
            "a file with the lab's own targets, which nobody but the daemon's user may read: a table for each, with "
            "url or command, on, and also digest and log",
            example="/etc/labsched/notify.toml",
        ),
    ] = None
    digest: Annotated[
        float,
        key(
            "seconds that things are gathered for, so that what comes together is one message; four times as many "
            "after each message, up to a quarter of an hour, until there was none for an hour",
            ge=0,
            le=86_400,
        ),
    ] = 10.0
    long_wait: Annotated[float, key("seconds in line that are a long wait", gt=0, le=31_536_000)] = 43_200.0
    disk_free_gb: Annotated[
        float, key("GB (10^9 bytes) under which a disk is nearly full: the queue's, and that of the results", ge=0)
    ] = 5.0
    link: Annotated[
        str | None,
        key(
            "the address of a page about a job, for the messages: {job} is its number",
            example="https://sorter01.example.org/jobs/{job}",
        ),
    ] = None


class Sort(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[sort]: how a block becomes a job of two stages. Relative paths start at this file's folder, ~ is the daemon's
    home; {block} is the block's name, {name} its part after the last /."""

    source: Annotated[str, key("the folder (or file) of a block")] = "data/mat/{block}"
    target: Annotated[str, key("the folder of its results")] = "data/phy/{block}"
    probe: Annotated[
        str | None, key("a rig file, a probe file, or the name of a built-in probe", example="rig.toml")
    ] = None
    sorter: Annotated[
        str,
        key(
            'the second stage: "klusta", or one that labsched sorter install has installed: "mountainsort5", '
            '"spykingcircus2", "tridesclous2", "kilosort4"'
        ),
    ] = "klusta"
    sorters: Annotated[
        str | None,
        key(
            "the folder of the sorters' environments, which all who submit must be able to read. Without it, "
            "/var/lib/labsched-sorters for root, else ~/.local/share/labsched/sorters",
            example="/opt/labsched-sorters",
        ),
    ] = None
    reference: Annotated[
        str,
        key(
            'what is subtracted from each channel: "ridge" (what a regression on the other channels with a strong '
            'ridge predicts), "war" (without a ridge), "car" (the mean of the other channels), "whiten" (all that '
            'channels share), "none"'
        ),
    ] = "ridge"
    bad_channels: Annotated[
        str,
        key(
            'what is done about channels that look bad: "warn" (in the log, the status and the results), "refuse" (the '
            'block fails, and says which to omit), "omit" (they are left out, and named), "off" (nobody looks)'
        ),
    ] = "warn"
    format: Annotated[
        str,
        key('of the de-noised samples: "kwd" (HDF5), "dat", or "spikeinterface": a .dat, and a folder that it loads'),
    ] = "kwd"
    seed: Annotated[int, key("of the sorter's random numbers: the same seed, the same sorting")] = 1
    denoise_needs: Annotated[dict[str, int], key("the slots that the denoise stage holds")] = msgspec.field(
        default_factory=lambda: {"RAM": 1}
    )
    klusta_needs: Annotated[dict[str, int], key("the slots that the klusta stage holds")] = msgspec.field(
        default_factory=lambda: {"CPU": 1}
    )
    klusta_up_to: Annotated[
        dict[str, int],
        key("the slots that it can use: it holds more than it needs where they are spare; one process for each of CPU"),
    ] = msgspec.field(default_factory=lambda: {"CPU": 16})
    kilosort4_needs: Annotated[
        dict[str, int], key("the slots that the second stage holds where its sorter is kilosort4")
    ] = msgspec.field(default_factory=lambda: {"GPU": 1})
    denoise_threads: Annotated[int, key("threads of the denoise stage")] = 2
    denoise_time_limit: Annotated[float | None, key("seconds; without it, none", example=14400)] = None
    klusta_time_limit: Annotated[float | None, key("seconds; without it, none", example=864000)] = None
    denoise_memory: Annotated[
        str | None,
        key(
            "what the denoise stage may take of memory; one that takes more is ended. Without it, no limit",
            example="16G",
        ),
    ] = None
    klusta_memory: Annotated[
        str | None,
        key(
            "what the klusta stage may take of memory; one that takes more is ended. Without it, no limit", example="8G"
        ),
    ] = None
    denoise_retry: Annotated[
        int,
        key(
            "how many more times the denoise stage is tried where it was killed or lost (bad data stays bad)",
            ge=0,
            le=1000,
        ),
    ] = 0
    klusta_retry: Annotated[
        int, key("how many more times the klusta stage is tried where it was killed or lost", ge=0, le=1000)
    ] = 0
    klusta: Annotated[
        dict[str, object],
        key(
            "any option of klusta: python -m labsched.ephys klusta --settings",
            example={"spikedetekt.threshold_strong_std_factor": 4.5},
        ),
    ] = msgspec.field(default_factory=dict)
    sorter_options: Annotated[
        dict[str, dict[str, object]],
        key(
            "any option of the other sorters, by sorter, as SpikeInterface names it",
            example={"mountainsort5": {"detect_threshold": 5.0}},
        ),
    ] = msgspec.field(default_factory=dict)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. Relative paths in [sort] start at the file's folder, or at the working folder without a file."""

    daemon: Daemon = Daemon()
    limits: Limits = Limits()
    pools: Annotated[
        dict[str, int],
        key(
            "slots by pool, any name. Without it: RAM 2, CPU the number of processors, GPU the number of GPUs found. "
            "A number holds from when it is new here (after a reload or a restart) until `labsched pool set`.",
            example={"RAM": 2, "CPU": 8, "GPU": 1, "LICENSE": 3},
        ),
    ] = msgspec.field(default_factory=dict)
    prune: Prune = Prune()
    notify: Notify = Notify()
    sort: Sort = Sort()


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a section: its default (None: none), what it is, an example, and whether only a restart changes it."""

    section: str
    name: str
    default: Any
    text: str
    example: Any
    fixed: bool


def sections() -> dict[str, type[msgspec.Struct]]:
    """The sections that have keys of their own; [pools], whose names are free, is none of them."""
    hints = get_type_hints(Config)
    return {name: hints[name] for name in Config.__struct_fields__ if isinstance(hints[name], type)
            and issubclass(hints[name], msgspec.Struct)}  # fmt: skip


def keys(section: str) -> Iterator[Key]:
    """The keys of a section, in order."""
    kind = sections()[section]
    defaults = msgspec.structs.asdict(kind())
    for name, hint in get_type_hints(kind, include_extras=True).items():
        yield _key(section, name, defaults[name], hint)


def pools_key() -> Key:
    """What is said of [pools]."""
    return _key("", "pools", {}, get_type_hints(Config, include_extras=True)["pools"])


def _key(section: str, name: str, default: Any, hint: Any) -> Key:
    meta = next(one for one in hint.__metadata__ if isinstance(one, msgspec.Meta))
    extra = meta.extra or {}
    return Key(section, name, default, meta.description or "", extra.get("example"), bool(extra.get("fixed")))
