"""What the daemon answers, and what `--json` prints; `requests` has what it is asked. Together they are the schema.

Times are ISO-8601 in UTC, durations float seconds, memory integer bytes. A reply with status 400 or above carries an
`Error`. Adding a field with a default is compatible; renaming or removing one is not.
"""

from datetime import datetime
from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType, field

from labsched.core.states import Outcome, State

API = "/v1"


class Error(Struct, frozen=True):
    """Why a request was not done: a sentence that says what to do next."""

    error: str


class Submitted(Struct, frozen=True):
    """The numbers that the jobs of a `Submit` got, in its order."""

    jobs: tuple["Ref", ...]


# -- jobs -----------------------------------------------------------------------------------------------------------


class Ref(Struct, frozen=True):
    """A job's number and name."""

    id: int
    name: str


class Attempt(Struct, frozen=True, kw_only=True):
    """One try at a stage, and what its whole tree of processes took: docs/reference/protocol.md says what counts."""

    number: int
    outcome: Outcome | None = None
    reason: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    exit_code: int | None = None
    signal: str | None = None
    peak_memory: int | None = None
    cpu_time: float | None = None
    bytes_read: int | None = None  # from disks
    bytes_written: int | None = None
    oom: bool = False  # it, or one of its processes, was killed for want of memory, or for taking more than its limit
    note: str | None = None  # the last progress message
    pid: int | None = None  # of the running command
    slots: dict[str, int] | None = None  # that it holds or held, where that is more than the stage needs
    log: str


class Retry(Struct, frozen=True):
    """Which failures of a stage are followed by another attempt: see `labsched.core.model.Retry`."""

    times: int
    wait: float  # seconds
    codes: tuple[int, ...]
    alone: bool


class Stage(Struct, frozen=True, kw_only=True):
    """A command line of a job and all that happened to it."""

    name: str
    state: State
    outcome: Outcome | None = None
    reason: str | None = None
    why: str | None = None  # what a waiting stage waits for
    progress: float | None = None  # 0 to 1, as the stage reports it
    note: str | None = None
    memory: int | None = None  # of the whole process tree, now
    needs: dict[str, int]
    up_to: dict[str, int] = {}  # that it can use, where that is more
    argv: tuple[str, ...]
    cwd: str
    env: tuple[str, ...]  # the names only
    env_values: dict[str, str] | UnsetType = UNSET  # only to the owner who asked
    outputs: tuple[str, ...] = ()
    time_limit: float | None = None
    memory_limit: int | None = None
    unfenced: str | None = None  # why the kernel does not keep it within that limit, where labsched watches it instead
    retry: Retry | None = None
    not_before: datetime | None = None  # when it may start again, where that is still to come
    attempts: tuple[Attempt, ...] = ()


class Job(Struct, frozen=True, kw_only=True):
    """GET /v1/jobs/REF"""

    id: int
    name: str
    recipe: str
    key: str | None = None
    user: str
    state: State
    outcome: Outcome | None = None
    priority: int = 0
    held_by: str | None = None
    submitted: datetime
    started: datetime | None = None
    ended: datetime | None = None
    after: tuple[int, ...] = ()
    hidden: bool = False  # what is in it is not shown to whoever asked
    report: str | None = None  # the page about its results, once it has succeeded
    stages: tuple[Stage, ...]


class Jobs(Struct, frozen=True):
    """The jobs that a verb touched, as they are now."""

    jobs: tuple["JobRow", ...]
    more: bool = False  # of one's own than one request may touch


# -- status ---------------------------------------------------------------------------------------------------------


class StageMark(Struct, frozen=True):
    """A stage as the status table shows it."""

    name: str
    state: State
    outcome: Outcome | None = None


class JobRow(Struct, frozen=True, kw_only=True):
    """A job as a line of a table. `seconds`: how long it waits, runs (its current stage) or ran (all attempts)."""

    id: int
    name: str
    user: str
    state: State
    outcome: Outcome | None = None
    held: bool = False
    stages: tuple[StageMark, ...]
    submitted: datetime
    ended: datetime | None = None
    seconds: float = 0.0
    why: str = ""
    progress: float | None = None
    left: float | None = None  # seconds, an estimate
    memory: int | None = None
    report: str | None = None  # the page about its results, once it has succeeded


class Pool(Struct, frozen=True, kw_only=True):
    """A pool, what is used of it, and how many stages wait for it."""

    name: str
    slots: int
    used: int = 0
    waiting: int = 0
    paused_by: str | None = None
    paused_at: datetime | None = None


class Pools(Struct, frozen=True):
    """GET /v1/pools"""

    pools: tuple[Pool, ...]


class Counts(Struct, frozen=True, kw_only=True):
    """Jobs by what they do. `failed_today`: ended since local midnight and neither succeeded nor cancelled."""

    running: int = 0
    waiting: int = 0
    failed_today: int = 0


class Status(Struct, frozen=True, kw_only=True):
    """GET /v1/status?all=1&limit=N&offset=N&revision=R&within=S

    With `revision` the reply comes when something has changed since that one, or after `within` seconds.
    """

    host: str
    version: str
    now: datetime
    uptime: float
    revision: int
    draining: bool = False
    counts: Counts
    pools: tuple[Pool, ...]
    jobs: tuple[JobRow, ...]
    more: int = 0  # rows that the limit left out
    troubles: tuple[str, ...] = ()  # what is wrong with the daemon itself


class History(Struct, frozen=True):
    """GET /v1/history?limit=N&before=ID&user=U&outcome=O&name=TEXT: ended jobs, the latest first."""

    jobs: tuple[JobRow, ...]
    more: bool = False


class Waited(Struct, frozen=True):
    """GET /v1/wait?jobs=1,2&within=S: how the jobs are; `done` once all have ended."""

    done: bool
    jobs: tuple[JobRow, ...]


class LogLine(Struct, frozen=True):
    """A line of a log, as `labsched logs --json` prints it; of which stage is not known while it goes through them."""

    job: int
    line: str
    stage: str | None = None
    attempt: int | None = None


class LogStart(Struct, frozen=True):
    """A header of GET /v1/log?ref=R&stage=S&attempt=N&lines=N&offset=BYTES&follow=1: where the answer begins.

    To go on where an answer was cut off: ref, stage and attempt as they stand here, offset plus the bytes received.
    """

    HEADER: ClassVar[str] = "Labsched-Log"

    job: int
    stage: str
    attempt: int
    offset: int


# -- events ---------------------------------------------------------------------------------------------------------


class Event(Struct, frozen=True, kw_only=True):
    """A line of GET /v1/events?after=ID&last=N&limit=N&job=REF&follow=1: something that changed, and by whom.

    Events are numbered in the order in which they happened, and no number is given twice. `data` depends on `kind`.
    """

    id: int
    at: datetime
    kind: str
    job: int | None = None
    name: str | None = None  # of the job
    stage: str | None = None
    user: str | None = None
    data: dict[str, object] = field(default_factory=dict)


# -- telling people -------------------------------------------------------------------------------------------------


class Target(Struct, frozen=True, kw_only=True):
    """Where somebody is told. `shown` is its address, as far as that is no secret."""

    id: int
    user: str
    lab: str | None = None  # what the configuration calls it, where it is the lab's
    shown: str
    on: tuple[str, ...]
    digest: float | None = None  # seconds between two messages at least
    waiting: int = 0  # things that it is to be told of
    next: datetime | None = None  # when they are sent
    sent: datetime | None = None  # when it was told last
    trouble: str | None = None  # why it could not be


class Targets(Struct, frozen=True):
    """GET /v1/notify?all=1: one's own targets and the lab's; for an admin, `all` of them."""

    targets: tuple[Target, ...]


class Tried(Struct, frozen=True, kw_only=True):
    """A message that was sent for a try; `why` it could not be, None where it was."""

    id: int
    shown: str
    why: str | None = None


class Tries(Struct, frozen=True):
    """POST /v1/notify/test"""

    tried: tuple[Tried, ...]


# -- the daemon itself ----------------------------------------------------------------------------------------------


class Finding(Struct, frozen=True, kw_only=True):
    """One line of `doctor`. `level` is ok, note, warning or problem; `mend` says what to do."""

    level: str
    what: str
    mend: str | None = None


class Doctor(Struct, frozen=True):
    """GET /v1/doctor: what the daemon finds about itself, its folders and what its stages need."""

    findings: tuple[Finding, ...]


# -- what crosses no socket, but is printed as JSON all the same ----------------------------------------------------


class BadChannel(Struct, frozen=True, kw_only=True):
    """`kind` is not a number, flat, dead, clipped, uncorrelated, noisy or outside; `reason` has words and figures."""

    channel: str
    kind: str
    reason: str


class InspectedChannel(Struct, frozen=True, kw_only=True):
    """What was measured of a channel; None where it could not be.

    In µV: `rms` of all of it; `level` and `own` above 300 Hz, all and what other channels do not foretell; `hum`;
    `slow` below 40 Hz. Parts, 0 to 1: `follows` and `follows_field` (what the others foretell of its variance, above
    300 and below 200 Hz), `clipped` (of its values), `flat` (of the time).
    """

    channel: str
    shank: int
    position_um: tuple[float, ...]  # x, y
    rms_uv: float | None
    level_uv: float | None
    own_uv: float | None
    hum_uv: float | None
    slow_uv: float | None
    follows: float | None
    follows_field: float | None
    clipped: float | None
    flat: float | None


class Inspected(Struct, frozen=True, kw_only=True):
    """`labsched inspect`: what a block's channels are like. `omit` has the bad channels and those left out before, as
    `--omit` takes them; `command` queues the block without them; `picture` is a file."""

    block: str
    source: str
    rate_hz: float
    duration_s: float
    looked_at_s: float
    probe: str
    labels: tuple[str, ...]
    omitted: tuple[str, ...]
    bad: tuple[BadChannel, ...]
    omit: str
    notes: tuple[str, ...]
    channels: tuple[InspectedChannel, ...]
    picture: str | None
    command: str


# -- the daemon itself, again ---------------------------------------------------------------------------------------


class Daemon(Struct, frozen=True, kw_only=True):
    """GET /v1/daemon: who answers here, and the settings that the recipes are expanded with."""

    version: str
    pid: int
    user: str
    python: str  # the interpreter that runs the recipes' stages
    state: str
    config: str | None = None  # the configuration file
    settings: dict[str, object] = field(default_factory=dict)
    as_submitter: bool = False  # whether each stage runs as its submitter, and not as the daemon's user


class Reported(Struct, frozen=True):
    """What `labsched report --json` prints: where a job's report is, and whether a browser was asked to show it."""

    job: int
    name: str
    report: str
    opened: bool


class Reloaded(Struct, frozen=True):
    """POST /v1/config/reload: the file that was read again, what has changed, and which keys wait for a restart."""

    file: str | None
    changed: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()


class Setting(Struct, frozen=True):
    """A key of the configuration, its value (null: none), and where that comes from: `default`, or FILE:LINE."""

    key: str
    value: object
    origin: str


class Settings(Struct, frozen=True):
    """What `labsched config show --json` prints."""

    settings: tuple[Setting, ...]


class Sorter(Struct, frozen=True):
    """A sorter beside klusta: what it is, whether it is installed, and in which version (null where it is not)."""

    sorter: str
    says: str
    installed: bool
    version: str | None
    outdated: bool
    folder: str


class Sorters(Struct, frozen=True):
    """What `labsched sorter list --json` prints."""

    folder: str
    sorters: tuple[Sorter, ...]


# -- the queue itself -----------------------------------------------------------------------------------------------


class Pruned(Struct, frozen=True, kw_only=True):
    """A line of the answer to POST /v1/prune: what has been removed so far (or would be, in a dry run)."""

    jobs: int = 0
    attempts: int = 0
    bytes: int = 0  # of their logs, and what lies beside them
    kept: int = 0  # jobs that are old enough, but stay: see `labsched prune --help`
    errors: tuple[str, ...] = ()  # what could not be removed
    dry_run: bool = False
    done: bool = False  # in the last line


class Used(Struct, frozen=True, kw_only=True):
    """What was used, of a month, a person, a recipe, or of all of them (null). `slot_seconds` by pool; `jobs` that
    ended in that time, and those of them that `failed`, ran out of time, or were lost."""

    month: str | None = None  # such as 2026-03
    user: str | None = None
    recipe: str | None = None
    jobs: int = 0
    failed: int = 0
    cpu_seconds: float = 0.0
    slot_seconds: dict[str, float] = field(default_factory=dict)


class Usage(Struct, frozen=True, kw_only=True):
    """GET /v1/usage?from=MONTH&to=MONTH&user=NAME&by=month,user: who used what, in these months, both included."""

    first: str
    last: str
    mine: bool  # whether only one's own is shown
    rows: tuple[Used, ...]


class Since(Struct, frozen=True, kw_only=True):
    """An attempt, seen from a backup that is older than it is: how it ended, and what that means for its job."""

    job: int
    name: str | None = None  # None where the backup has no such job
    stage: str
    attempt: int
    how: str


class Restored(Struct, frozen=True, kw_only=True):
    """What `labsched restore --json` prints."""

    state: str
    kept: str | None = None  # the folder where what was there lies now
    jobs: int
    newest: datetime | None = None  # change that the queue knows of
    held: tuple[Since, ...] = ()  # jobs that would run again: they are held
    ended: tuple[Since, ...] = ()  # jobs that had ended in the backup, and ran again since
    open: tuple[Since, ...] = ()  # attempts that ran in the backup, and how they are now
    unknown: tuple[Ref, ...] = ()  # jobs that were queued since: the queue does not know them
