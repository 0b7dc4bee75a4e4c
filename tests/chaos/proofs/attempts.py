"""Each attempt ran once at most, its end is the one that it had, and nothing of it is left."""

from collections.abc import Iterator

from labsched.engines.local import MAX_LAUNCHES
from labsched.store.attempts import NOT_BEGUN
from tests.chaos.evidence import Evidence, Key, Run, Violation, name_of

LOST = {"lost"}
STOPPED = {"cancelled", "timed_out"}


def none_ran_twice(it: Evidence) -> Iterator[Violation]:
    """One begin, of one process, for each attempt."""
    for key, run in it.runs.items():
        if len(run.of("begin")) != 1:
            pids = [line.pid for line in run.of("begin")]
            yield Violation(f"{name_of(key)} began {len(pids)} times (processes {pids})", key[0])
        if len(run.of("end")) > 1:
            yield Violation(f"{name_of(key)} ended {len(run.of('end'))} times", key[0])


def all_that_ran_are_known(it: Evidence) -> Iterator[Violation]:
    """The queue has an attempt, with a start, for each one in the journal; numbered without a gap."""
    for key in it.runs.keys() - it.attempts.keys():
        yield Violation(f"{name_of(key)} ran, and the queue knows nothing of it", key[0])
    for key, row in it.attempts.items():
        if key[2] > 1 and (key[0], key[1], key[2] - 1) not in it.attempts:
            yield Violation(f"{name_of(key)} has no attempt before it", key[0])
        if key in it.runs and row["started_at"] is None and row["outcome"] not in LOST:
            yield Violation(f"{name_of(key)} ran, and the queue has no start of it ({row['outcome']})", key[0])


def nothing_is_left_of_one_when_the_next_begins(it: Evidence) -> Iterator[Violation]:
    """Neither its command nor what that left behind, wherever it went."""
    for key, run in it.runs.items():
        if ghosts := run.of("ghost"):
            yield Violation(f"{name_of(key)} began at {ghosts[0].t:.3f} beside processes of the one before", key[0])
        following = it.runs.get((key[0], key[1], key[2] + 1))
        if following is not None and run.last > following.begin:
            yield Violation(f"{name_of(key)} was alive when the next attempt had begun", key[0])


def ends_are_the_journals(it: Evidence) -> Iterator[Violation]:
    """An exit code in the queue is the one that the command ended with; and a success was one."""
    for key, row in it.attempts.items():
        run = it.runs.get(key)
        code = run.code if run else None
        if row["exit_code"] is not None and row["exit_code"] != code:
            yield Violation(f"{name_of(key)}: exit code {row['exit_code']}, and the journal has {code}", key[0])
        if row["outcome"] == "succeeded" and code != 0:
            yield Violation(f"{name_of(key)}: succeeded, and the journal has {code}", key[0])
        if row["outcome"] == "failed" and row["exit_code"] is None and row["signal"] is None and not _unlucky(it, key):
            yield Violation(f"{name_of(key)}: failed without a code or a signal: {row['reason']}", key[0])


def ends_are_what_the_shims_wrote(it: Evidence) -> Iterator[Violation]:
    """The record is the truth: the queue has its numbers, and calls nothing lost whose end it has."""
    for key, row in it.attempts.items():
        written = it.exits.get(name_of(key))
        if row["ended_at"] is None:
            continue
        if row["outcome"] == "lost" and written is not None and not written.get("stopped"):
            yield Violation(f"{name_of(key)}: lost, and its record has an end: {written}", key[0])
        if written is None and row["outcome"] not in ("lost", "cancelled") and not _unlucky(it, key):
            yield Violation(f"{name_of(key)}: {row['outcome']}, and its record has no end", key[0])
        if written is not None:
            for name in ("exit_code", "signal"):
                if written.get(name) != row[name]:
                    yield Violation(
                        f"{name_of(key)}: {name} {row[name]}, and its record has {written.get(name)}", key[0]
                    )


def _unlucky(it: Evidence, key: Key) -> bool:
    """Whether all the shims that it may have were killed before it began."""
    named = [one for one in it.kills.get(name_of(key), ()) if one.target in ("shim", "nameless")]
    unnamed = [one for one in it.done if one.what == "kill" and one.target == "nameless" and not one.attempt]
    never_began = "before the stage began" in (it.attempts[key]["reason"] or "") and key not in it.runs
    return never_began and bool(named) and len(named) + len(unnamed) >= MAX_LAUNCHES


def what_is_lost_is_truly_lost(it: Evidence) -> Iterator[Violation]:
    """Somebody killed its shim, or the machine was rebooted while the attempt was open."""
    for key, row in it.attempts.items():
        if row["outcome"] != "lost":
            continue
        if row["reason"] == NOT_BEGUN:
            if key in it.runs:
                yield Violation(f"{name_of(key)}: {NOT_BEGUN}; and it did", key[0])
            continue
        shim = any(one.target == "shim" for one in it.kills.get(name_of(key), ()))
        rebooted = "rebooted" in (row["reason"] or "") and bool(it.reboots)
        if not (shim or rebooted):
            yield Violation(f"{name_of(key)}: lost ({row['reason']}), and nobody killed its shim", key[0])
        if rebooted and (run := it.runs.get(key)) and not any(run.begin <= end for _, end in it.reboots):
            yield Violation(f"{name_of(key)}: lost by a reboot before it began", key[0])


def signals_have_a_cause(it: Evidence) -> Iterator[Violation]:
    """A command that was ended by a signal was killed by us, cancelled, or took too long."""
    for key, row in it.attempts.items():
        if row["signal"] is None or row["outcome"] in STOPPED:
            continue
        if not it.kills.get(name_of(key)):
            yield Violation(f"{name_of(key)}: {row['reason']}, and nobody killed it", key[0])


def logs_are_whole(it: Evidence) -> Iterator[Violation]:
    """The numbered lines, all of them, in their order; of one that was killed as many as it had written, at least."""
    for key, row in it.attempts.items():
        run = it.runs.get(key)
        log = it.logs.get(key)
        if run is None:
            if log:
                yield Violation(f"{name_of(key)} never ran, and has a log: {log[:80]!r}", key[0])
            continue
        yield from _log(it, run, row["outcome"] == "lost" or run.end is None, log)


def _log(it: Evidence, run: Run, may_be_cut: bool, log: bytes | None) -> Iterator[Violation]:
    key = run.key
    if log is None:
        yield Violation(f"{name_of(key)} ran, and has no log", key[0])
        return
    *whole, rest = log.split(b"\n")
    for number, line in enumerate(whole):
        if line != f"{key[0]} {key[1]} {key[2]} {number}".encode():
            yield Violation(f"{name_of(key)}: line {number} of its log is {line[:80]!r}", key[0])
            return
    if len(whole) < run.logged or (not may_be_cut and (rest or len(whole) != run.logged)):
        yield Violation(f"{name_of(key)}: its log has {len(whole)} lines and {rest!r}, of {run.logged}", key[0])
