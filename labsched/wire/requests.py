"""What the daemon is asked: the bodies of the POST requests."""

from msgspec import Struct, field

from labsched.core.spec import JobSpec


class Submit(Struct, frozen=True):
    """POST /v1/jobs: queue these, all or none. Answered by `Submitted`.

    `env` is under every job's own: thousands of jobs of one call need not repeat it.
    """

    jobs: tuple[JobSpec, ...]
    env: dict[str, str] = field(default_factory=dict)


class Verb(Struct, frozen=True, kw_only=True):
    """POST /v1/jobs/VERB (cancel, hold, release, retry): `jobs` are numbers, names or `last`; all or none.

    Instead of these, `mine`: all of one's own that have not ended, or with `waiting` those of which nothing runs; the
    newest first, and as many as one request may touch: the answer says whether there are `more`. Answered by `Jobs`
    once it is true: a cancel when the last process is gone.
    """

    jobs: tuple[str, ...]
    mine: bool = False  # not for retry, and not where jobs are named
    waiting: bool = False
    reason: str | None = None  # cancel
    from_stage: str | None = None  # retry


class Edit(Struct, frozen=True, kw_only=True):
    """POST /v1/jobs/edit: change what is given of these jobs, all or none; answered by `Jobs`.

    What concerns a stage (`needs`, `up_to`, `time_limit`, `memory`) is changed of the one that waits, or of `stage`. 0
    is no time limit, no limit of memory, and a `not_before` (seconds since the epoch) that has come.
    """

    jobs: tuple[str, ...]
    stage: str | None = None
    priority: int | None = None
    name: str | None = None
    needs: dict[str, int] | None = None
    up_to: dict[str, int] | None = None
    time_limit: float | None = None
    memory: int | None = None
    not_before: float | None = None


class PoolSet(Struct, frozen=True, kw_only=True):
    """POST /v1/pools/NAME: change what is given. Answered by `Pools`."""

    slots: int | None = None
    paused: bool | None = None


class Reload(Struct, frozen=True):
    """POST /v1/config/reload: read the configuration again. Answered by `Reloaded` once it holds."""


class Prune(Struct, frozen=True, kw_only=True):
    """POST /v1/prune: remove jobs that have ended, with their logs; of others' an admin only. Answered by lines of
    `Pruned`, as it goes on; without any of the first three, what the configuration says is removed.
    """

    before: float | None = None  # seconds that they have been over for
    logs_over: int | None = None  # bytes that the logs of what stays may take
    keep: int | None = None  # that ended last, and stay
    dry_run: bool = False


class NotifyAdd(Struct, frozen=True, kw_only=True):
    """POST /v1/notify/add: tell whoever asks at this `url`, or by running this `command` as them. Answered by
    `Targets`, with this one alone, once somebody has seen that such a URL can be sent to."""

    url: str | None = None
    command: tuple[str, ...] | None = None
    on: tuple[str, ...] = ("failed", "lost")
    digest: float | None = None  # seconds between two messages at least


class NotifyPick(Struct, frozen=True):
    """POST /v1/notify/remove, answered by `Targets`: those that are gone; POST /v1/notify/test (none: all of one's
    own), answered by `Tries`, once they were tried."""

    ids: tuple[int, ...]
