"""The schema: every section and key of the configuration, with its default."""

from typing import Annotated

import msgspec


class Daemon(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[daemon]"""

    socket_mode: str = "0660"
    socket_group: str | None = None
    shared_account: bool = False  # the lab shares the daemon's account: everybody who reaches the socket may use it
    stop_grace: float = 10.0  # seconds between TERM and KILL
    nice: Annotated[int, msgspec.Meta(ge=0, le=19)] = 10  # of the stages, which yield to the daemon and to people


class Sort(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[sort]: how a block becomes a job of two stages. Patterns know `{block}`, and `{name}`: its last part."""

    source: str = "data/mat/{block}"
    target: str = "data/phy/{block}"
    probe: str | None = None  # a rig file, a probe file, or the name of a built-in probe
    reference: str = "war"
    format: str = "kwd"
    seed: int = 1
    denoise_needs: dict[str, int] = msgspec.field(default_factory=lambda: {"RAM": 1})
    klusta_needs: dict[str, int] = msgspec.field(default_factory=lambda: {"CPU": 1})
    denoise_threads: int = 2
    denoise_time_limit: float | None = None  # seconds
    klusta_time_limit: float | None = None
    klusta: dict[str, object] = msgspec.field(default_factory=dict)  # options: "spikedetekt.chunk_size_seconds" = 1


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. Relative paths in [sort] start at the file's folder, or at the working folder without a file."""

    daemon: Daemon = Daemon()
    pools: dict[str, int] = msgspec.field(default_factory=dict)
    sort: Sort = Sort()
