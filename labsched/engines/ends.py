"""From what a shim wrote last to a fact: how an attempt ended, in numbers and words."""

import json

import msgspec

from labsched import wall
from labsched.core.model import Ended
from labsched.core.states import Outcome
from labsched.core.units import duration, short_size, size
from labsched.engines import rundir
from labsched.engines.base import Order


class _Exit(msgspec.Struct, frozen=True):
    """What a shim writes last."""

    ended: float
    started: float
    error: str | None = None
    timed_out: bool = False
    stopped: bool = False
    exit_code: int | None = None
    signal: str | None = None
    missing: tuple[str, ...] = ()
    peak_memory: int | None = None
    cpu_time: float | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None
    oom: bool = False
    over_by: str | None = None  # who has killed it for taking more memory than it may
    note: str | None = None  # what the command said last of itself


def fact(order: Order, written: bytes | dict[str, object], *, followed: bool = False) -> Ended:
    """What a shim wrote last (as JSON, or read already), as a fact."""
    try:
        ended = _read(written)
    except msgspec.ValidationError as error:  # nobody but a person with an editor writes such a thing
        unreadable = f"{order.folder}/{rundir.RECORD} makes no sense ({error}), so nobody knows how it ended"
        return Ended(order.attempt, wall.now(), Outcome.LOST, unreadable)
    outcome, reason = _judge(order, ended)
    return Ended(
        attempt=order.attempt,
        at=ended.ended,
        outcome=outcome,
        reason=reason,
        note=ended.note,
        began=ended.started,
        exit_code=ended.exit_code,
        signal=ended.signal,
        peak_memory=ended.peak_memory,
        cpu_time=ended.cpu_time,
        bytes_read=ended.bytes_read,
        bytes_written=ended.bytes_written,
        followed=followed,
        oom=ended.oom and outcome is Outcome.FAILED,
    )


def _read(written: bytes | dict[str, object]) -> _Exit:
    if isinstance(written, dict):
        return msgspec.convert(written, _Exit)
    try:
        return msgspec.json.decode(written, type=_Exit)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:  # a path that is not UTF-8, as `json` has it
        return msgspec.convert(json.loads(written), _Exit)


def never_began(launches: int, death: str) -> str:
    """Why an attempt failed whose shims all ended before the command was started; `death`: how the last did."""
    if death.startswith(("SIG", "signal ")):
        what = f"killed by {death} {launches} times before the stage began"
        if death == "SIGKILL":
            look = "`journalctl -k` (or dmesg) says whether the kernel did it for want of memory; if not, somebody did"
        else:
            look = "somebody, or a monitor of this machine, has sent it"
        return f"its shim was {what}: {look}"
    return f"its shim ended {launches} times before the stage began and did not say why: see the daemon's log"


def _judge(order: Order, ended: _Exit) -> tuple[Outcome, str | None]:
    if ended.error:
        return Outcome.FAILED, ended.error
    if ended.timed_out:
        return Outcome.TIMED_OUT, f"it took longer than its limit of {duration(order.time_limit or 0)}"
    if ended.stopped:
        return Outcome.CANCELLED, None
    if ended.oom and ended.exit_code != 0:
        return Outcome.FAILED, _want_of_memory(order, ended)
    if ended.signal:
        return Outcome.FAILED, f"killed by {ended.signal}"
    if ended.exit_code == 0:
        if ended.missing:
            return Outcome.FAILED, f"it exited with 0, but did not make {', '.join(ended.missing)}"
        return Outcome.SUCCEEDED, None
    last = rundir.last_line(order.folder)
    if last and last.lower().startswith("error: "):
        return Outcome.FAILED, last[7:]
    return Outcome.FAILED, f"exit {ended.exit_code}" + (f": {last}" if last else "")


def _want_of_memory(order: Order, ended: _Exit) -> str:
    peak = ended.peak_memory or 0
    if ended.over_by is None or order.memory is None:
        return "killed by the kernel for want of memory" + (f", when it had {size(peak)}" if peak else "")
    more = short_size(1.5 * max(peak, order.memory))  # it got no more than it had, so nobody knows how much it wanted
    what = f"it used more than its {size(order.memory)} of memory (--memory), peak {size(peak)}"
    return f"killed by {ended.over_by}: {what}; ask for more, such as {more}"
