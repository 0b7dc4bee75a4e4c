"""A job, as one holds it in Python: what was seen of it last, and what can be done with it."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from labsched.client import show
from labsched.core.states import Outcome, State
from labsched.errors import LabschedError, Refused
from labsched.wire import messages
from labsched.wire.messages import JobRow

if TYPE_CHECKING:
    from labsched.client.sync import Client


class Results(NamedTuple):
    """Where the outputs of a job that has succeeded are.

    `folder`: where its last stage left them, or ran if none were named. `outputs`: the files that its stages had to
    leave, in order. `report`: the page about a sorted block, if there is one.
    """

    folder: Path
    outputs: tuple[Path, ...]
    report: Path | None


class Seen:
    """What was seen of a job when it was looked at last; it shows itself as a line of a table.

    Two are equal if they are the same job.
    """

    def __init__(self, row: JobRow) -> None:
        self.row = row

    @property
    def id(self) -> int:
        """Its number."""
        return self.row.id

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def user(self) -> str:
        """Whose it is."""
        return self.row.user

    @property
    def state(self) -> State:
        """waiting, starting, running or ended."""
        return self.row.state

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None where it has not."""
        return self.row.outcome

    @property
    def ended(self) -> bool:
        return self.row.state is State.ENDED

    @property
    def succeeded(self) -> bool:
        return self.row.outcome is Outcome.SUCCEEDED

    @property
    def held(self) -> bool:
        return self.row.held

    @property
    def why(self) -> str:
        """What it waits for, how far it is, or how it ended, in words."""
        return self.row.why

    @property
    def seconds(self) -> float:
        """How long it waits, runs (its current stage) or ran."""
        return self.row.seconds

    @property
    def progress(self) -> float | None:
        """0 to 1, as it says itself."""
        return self.row.progress

    @property
    def submitted(self) -> datetime:
        return self.row.submitted

    def _check(self) -> None:
        """Raise LabschedError where it has ended without success."""
        if self.ended and not self.succeeded:
            why = f" ({self.why})" if self.why else ""
            raise LabschedError(f"job {self.id} ({self.name}) {self.outcome}{why}: labsched logs {self.id} says more")

    def __repr__(self) -> str:
        return show.text([self.row])

    def _repr_html_(self) -> str:
        return show.html([self.row])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Seen) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)


S = TypeVar("S", bound=Seen)
Ref = int | str | Seen
"""A job: its number, a name, `last`, or what a client has handed out."""


class Jobs(list[S]):
    """A list of jobs that shows itself as a table."""

    def __repr__(self) -> str:
        return show.text([job.row for job in self])

    def _repr_html_(self) -> str:
        return show.html([job.row for job in self])


class Job(Seen):
    """A job of a `Client`. What it says of itself is what was seen last: each verb looks again, and so does `refresh`.

    Every method raises what the command line says as an error: see `labsched.errors`.
    """

    def __init__(self, client: "Client", row: JobRow) -> None:
        super().__init__(row)
        self._client = client

    def refresh(self) -> "Job":
        """Look again."""
        return self._take(self._client.jobs([self.id]))

    def wait(self, timeout: float | None = None, check: bool = False) -> "Job":
        """Return once it has ended, also through a restart of the daemon.

        Raises TryLater where it has not by then (`timeout` in seconds), and with `check` LabschedError where it has
        ended without success.
        """
        return self._take(self._client.wait(self.id, timeout=timeout, check=check))

    def details(self) -> messages.Job:
        """All about it: its stages with their command lines, attempts, exit codes, memory, and so on."""
        return self._client.details(self.id)

    def results(self) -> Results:
        """Where its outputs are. Raises Refused where it has not succeeded (yet)."""
        return self._client.results(self.id)

    def log(self, stage: str | None = None, attempt: int | None = None, lines: int | None = None) -> str:
        """What a stage has printed: the one that runs, that failed, or the last; `lines`: only the last of them."""
        return self._client.log(self.id, stage, attempt, lines)

    def follow(self) -> Iterator[str]:
        """The lines of its log as they come, through all its stages, until it has ended."""
        return self._client.follow(self.id)

    def events(self, follow: bool = False) -> Iterator[messages.Event]:
        """What has changed about it; with `follow` also what will, for ever."""
        return self._client.events(after=0, job=self.id, follow=follow)

    def cancel(self, reason: str | None = None) -> "Job":
        """End it; returns when its last process is gone."""
        return self._take(self._client.cancel(self.id, reason=reason))

    def hold(self) -> "Job":
        """Keep its stages from starting."""
        return self._take(self._client.hold(self.id))

    def release(self) -> "Job":
        """Let it start."""
        return self._take(self._client.release(self.id))

    def retry(self, from_stage: str | None = None) -> "Job":
        """Run again what did not succeed; with `from_stage`, from there on."""
        return self._take(self._client.retry(self.id, from_stage=from_stage))

    def _take(self, found: "Iterable[Seen]") -> "Job":
        (one,) = found
        self.row = one.row
        return self


def results(job: messages.Job) -> Results:
    """The results of this job; raises Refused where it has none, or none that are shown to whoever asked."""
    if job.hidden:
        raise Refused(f"job {job.id} is {job.user}'s: its results are shown to {job.user} and to admins")
    if job.state is not State.ENDED:
        raise Refused(f"job {job.id} ({job.name}) has not ended: wait for it, then try again")
    if job.outcome is not Outcome.SUCCEEDED:
        raise Refused(f"job {job.id} ({job.name}) did not succeed: its log says why")
    outputs = tuple(Path(stage.cwd, path) for stage in job.stages for path in stage.outputs)
    report = None if job.report is None else Path(job.report)
    if report is not None and not report.exists():
        report = None
    return Results(outputs[-1].parent if outputs else Path(job.stages[-1].cwd), outputs, report)
