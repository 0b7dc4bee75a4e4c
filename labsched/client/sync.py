"""Client: the queue from a script or a notebook."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from labsched import sockets
from labsched.client import asking, jobs
from labsched.client.asking import Needs, Path, When
from labsched.client.jobs import Job, Jobs, Ref, Results, Seen
from labsched.core.spec import JobSpec, Retry
from labsched.core.states import State
from labsched.errors import BadRequest, TryLater
from labsched.recipes import command, environ
from labsched.recipes.block import BlockRequest
from labsched.wire import messages
from labsched.wire.client import Client as Wire
from labsched.wire.events import Events
from labsched.wire.messages import JobRow
from labsched.wire.requests import Submit, Verb
from labsched.wire.restarts import through_restarts, until_ended

PATIENCE = 600.0  # seconds: nobody should have to guess whether a request was taken, or a cancel done
RESTART = 300.0  # seconds that a daemon may take to come back to those who follow it
MANY = 500  # jobs of one question


class Client:
    """The queue of the daemon on `socket`: the one given, else $LABSCHED_SOCKET, the system's, or the user's own.

    It holds no connection, so it can be kept and shared, also between threads. A job is given as its number, its name,
    `last`, or as one that a client has handed out. Every method raises what the command line says as an error: see
    `labsched.errors`.
    """

    def __init__(self, socket: Path | None = None, timeout: float = 60.0) -> None:
        self._wire = Wire(sockets.of_client(None if socket is None else os.fspath(socket)), timeout)

    @classmethod
    def _of(cls, wire: Wire) -> "Client":
        made = cls.__new__(cls)
        made._wire = wire
        return made

    # -- queueing

    def submit(
        self,
        block: str,
        *,
        omit: str | Iterable[str] = (),
        probe: Path | None = None,
        source: Path | None = None,
        target: Path | None = None,
        reference: str | None = None,
        stream: str | None = None,
        bad_channels: str | None = None,
        sorter: str | None = None,
        priority: int = 0,
        not_before: When | None = None,
        hold: bool = False,
        again: bool = False,
        check: bool = True,
    ) -> Job:
        """Queue a block, to be de-noised and sorted, as `labsched submit` does; what is not said is as the daemon's
        configuration has it. With `check` the recording and the probe are looked at first; a BadChannels warning names
        channels that look bad.
        """
        request = BlockRequest(
            block=block,
            omit=asking.omitted(omit),
            probe=asking.probe(probe),
            source=asking.absolute(source),
            target=asking.absolute(target),
            reference=reference,
            stream=stream,
            bad_channels=bad_channels,
            sorter=sorter,
            priority=priority,
            hold=hold,
            not_before=asking.moment(not_before),
            again=again,
        )
        job = asking.block(self._wire.get("daemon", messages.Daemon), request, check)
        return self._queue([job], environ.small(os.environ)[0])[0]

    def add(
        self,
        *argv: object,
        needs: Needs | None = None,
        after: Ref | Sequence[Ref] = (),
        name: str | None = None,
        time: str | float | None = None,
        memory: str | int | None = None,
        retry: int | Retry = 0,
        priority: int = 0,
        not_before: When | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        hold: bool = False,
        check: bool = True,
    ) -> Job:
        """Queue a command, given word by word, as `labsched add` does: with the current folder (or `cwd`) and the
        current environment (and `env` on top of it). `needs`: ``{"CPU": 4, "GPU": 1}`` or ``"CPU=4,GPU=1"``. `time` in
        seconds or as ``"8h"``, `memory` in bytes or as ``"12G"``. With `check` the program has to be there.
        """
        variables = environ.full(os.environ)[0]
        wanted = asking.slots(needs)
        job = command.expand(
            asking.words(argv),
            cwd=os.path.join(asking.folder(), os.path.expanduser(cwd)) if cwd is not None else asking.folder(),
            needs=wanted.needs if wanted else None,
            up_to=wanted.up_to if wanted else None,
            name=name,
            after=[_meant(one) for one in ([after] if isinstance(after, int | str | Seen) else after)],
            time_limit=asking.seconds(time),
            extra=env,
            retry=asking.retry(retry),
            memory=asking.size(memory),
            priority=priority,
            hold=hold,
            not_before=asking.moment(not_before),
        )
        if check:
            asking.check_programs([job], variables)
        return self._queue([job], variables)[0]

    def add_all(self, commands: Iterable[Mapping[str, Any]], check: bool = True) -> Jobs[Job]:
        """Queue many commands, all or none: each a mapping with the keys that a line of `labsched add --from` has, such
        as ``{"argv": ["python", "train.py"], "needs": {"GPU": 1}, "name": "a"}``. The jobs come in the order given.
        """
        variables = environ.full(os.environ)[0]
        found = asking.numbered(commands)
        if check:
            asking.check_programs((job for _, job in found), variables)
        queued = self._queue([job for _, job in found], variables)
        places = [number for number, _ in found]
        return Jobs(job for _, job in sorted(zip(places, queued, strict=True), key=lambda pair: pair[0]))

    # -- looking

    def status(self, all: bool = False, limit: int = 50) -> messages.Status:
        """What `labsched status` shows: the pools, how many jobs do what, and the jobs, as typed messages."""
        return self._wire.get("status", messages.Status, all=all, limit=limit)

    def jobs(self, which: Iterable[Ref] | None = None, *, all: bool = False, limit: int = 50) -> Jobs[Job]:
        """These jobs, in this order; or those that `labsched status` shows (with `all` also what ended long ago)."""
        if which is None:
            return self._jobs(self.status(all, limit).jobs)
        numbers = [self._number(one) for one in which]
        rows: list[JobRow] = []
        for at in range(0, len(numbers), MANY):
            some = ",".join(map(str, numbers[at : at + MANY]))
            rows += self._wire.get("wait", messages.Waited, jobs=some, within=0).jobs
        known = {row.id: row for row in rows}
        return self._jobs(known[number] for number in numbers)

    def job(self, which: Ref) -> Job:
        """This job. Raises NotFound."""
        return self.jobs([which])[0]

    def history(
        self, limit: int = 30, user: str | None = None, outcome: str | None = None, name: str | None = None
    ) -> Jobs[Job]:
        """Jobs that have ended, the latest first; `name`: a part of it."""
        answer = self._wire.get("history", messages.History, limit=limit, user=user, outcome=outcome, name=name)
        return self._jobs(answer.jobs)

    def pools(self) -> tuple[messages.Pool, ...]:
        """The pools, what is used of them, and how many stages wait for each."""
        return self._wire.get("pools", messages.Pools).pools

    def details(self, which: Ref) -> messages.Job:
        """All about a job."""
        return self._wire.get("job", messages.Job, ref=_meant(which))

    def results(self, which: Ref) -> Results:
        """Where a job's outputs are. Raises Refused where it has not succeeded (yet)."""
        return jobs.results(self.details(which))

    def log(self, which: Ref, stage: str | None = None, attempt: int | None = None, lines: int | None = None) -> str:
        """What a stage of a job has printed: the one that runs, that failed, or the last."""
        pieces = self._wire.log(str(_meant(which)), stage=stage, attempt=attempt, lines=lines)
        return b"".join(pieces).decode(errors="replace")

    def follow(self, which: Ref) -> Iterator[str]:
        """The lines of a job's log as they come, through all its stages and restarts of the daemon, until it ends."""
        rest = b""
        for piece in through_restarts(self._wire.log(str(_meant(which)), True), RESTART):
            *whole, rest = (rest + piece).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
        if rest:
            yield rest.decode(errors="replace")

    def events(
        self, after: int | None = None, last: int | None = None, job: Ref | None = None, follow: bool = False
    ) -> Iterator[messages.Event]:
        """What has changed `after` the event of this number (0: since the beginning), or the `last` of it; with
        `follow` also what will, for ever, through restarts of the daemon: nothing is missed or told twice. With neither
        of the two, `follow` begins now.
        """
        if after is None and last is None:
            last = 0 if follow else None
        stream = Events(self._wire, follow, after=after, last=last, job=None if job is None else _meant(job))
        return through_restarts(stream, RESTART) if follow else iter(stream)

    # -- waiting, and changing

    def wait(self, *which: Ref, timeout: float | None = None, check: bool = False) -> Jobs[Job]:
        """Return once all of these jobs have ended, through restarts of the daemon.

        Raises TryLater where they have not within `timeout` seconds, and with `check` LabschedError where one has ended
        without success.
        """
        end = None if timeout is None else time.monotonic() + timeout
        numbers = [self._number(one) for one in which]
        rows: dict[int, JobRow] = {}
        for some in until_ended(self._wire, numbers, end):
            rows |= {row.id: row for row in some}
        left = [number for number in numbers if number not in rows or rows[number].state is not State.ENDED]
        if left:
            what = f"job {left[0]} has" if len(left) == 1 else f"{len(left)} jobs have"
            raise TryLater(f"{what} not ended within {timeout:g} s: wait again, or look at the status")
        found = self._jobs(rows[number] for number in numbers)
        if check:
            for job in found:
                job._check()
        return found

    def cancel(self, *which: Ref, reason: str | None = None) -> Jobs[Job]:
        """End these jobs, all or none; returns when the last process is gone."""
        return self._verb("cancel", which, reason=reason)

    def hold(self, *which: Ref) -> Jobs[Job]:
        """Keep these jobs from starting, all or none."""
        return self._verb("hold", which)

    def release(self, *which: Ref) -> Jobs[Job]:
        """Let these jobs start, all or none."""
        return self._verb("release", which)

    def retry(self, *which: Ref, from_stage: str | None = None) -> Jobs[Job]:
        """Run again what did not succeed of these jobs, all or none; with `from_stage`, from there on."""
        return self._verb("retry", which, from_stage=from_stage)

    # -- what these share

    def _queue(self, specs: Sequence[JobSpec], env: Mapping[str, str]) -> Jobs[Job]:
        if not specs:
            return Jobs()
        asked = Submit(tuple(specs), {**env, environ.UMASK: environ.umask()})
        refs = self._wire.post("jobs", asked, messages.Submitted, timeout=PATIENCE).jobs
        return self.jobs([ref.id for ref in refs])

    def _verb(
        self, verb: str, which: Sequence[Ref], reason: str | None = None, from_stage: str | None = None
    ) -> Jobs[Job]:
        if not which:
            raise BadRequest(f"{verb} which job? give its number, its name, or the job itself")
        asked = Verb(jobs=tuple(str(_meant(one)) for one in which), reason=reason, from_stage=from_stage)
        return self._jobs(self._wire.post(f"jobs/{verb}", asked, messages.Jobs, timeout=PATIENCE).jobs)

    def _number(self, which: Ref) -> int:
        """A job's number: `last` must stay the same job, and a name may have a comma in it."""
        meant = _meant(which)
        return meant if isinstance(meant, int) else self.details(meant).id

    def _jobs(self, rows: Iterable[JobRow]) -> Jobs[Job]:
        return Jobs(Job(self, row) for row in rows)


def _meant(which: Ref) -> int | str:
    if isinstance(which, Seen):
        return which.id
    if isinstance(which, bool) or not isinstance(which, int | str) or which == "":
        raise BadRequest(f"{which!r} is no job: give its number, its name, or the job itself")
    if isinstance(which, int) and which < 0:
        raise BadRequest(f"{which} is no job's number: it is 1 or more")
    return int(which) if isinstance(which, str) and which.isdecimal() and which.isascii() else which
