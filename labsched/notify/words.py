"""What a message says, to people."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from labsched.core.units import duration, size
from labsched.notify.message import Thing

SHOWN = 30  # jobs that are named, of each kind
NAMED = 150  # jobs in one command
MOST = 3500  # characters: more than that, some services refuse
REASON = 200
WORDS = {"failed": "failed", "lost": "lost", "succeeded": "succeeded", "wait": "waiting for long"}


def title(host: str, things: Sequence[Thing]) -> str:
    """One line."""
    if len(things) == 1:
        return f"labsched on {host}: {_short(things[0])}"
    counts = Counter(thing.kind for thing in things)
    return f"labsched on {host}: " + ", ".join(_counted(kind, n) for kind, n in counts.items())


def body(things: Sequence[Thing]) -> str:
    """What has happened, why, what mends it, and the end of the log: in this order, for a long message may be cut."""
    parts = list(_one(things[0]) if len(things) == 1 else _many(things))
    text = "\n".join(parts)
    return text if len(text) <= MOST else text[: MOST - 1] + "…"


def _short(thing: Thing) -> str:
    if thing.kind == "empty":
        return "the queue is empty"
    if thing.kind == "disk":
        return f"{thing.path} is nearly full"
    if thing.kind == "wait":
        return f"job {thing.job} ({thing.name}) has waited for {duration(thing.seconds or 0)}"
    return f"job {thing.job} ({thing.name}) {'is lost' if thing.kind == 'lost' else WORDS[thing.kind]}"


def _counted(kind: str, n: int) -> str:
    if kind == "empty":
        return "the queue was empty" if n == 1 else f"the queue was empty {n} times"
    if kind == "disk":
        return "a disk is nearly full" if n == 1 else f"{n} disks are nearly full"
    return f"{n} job{'' if n == 1 else 's'} {WORDS[kind]}"


def _sentence(thing: Thing) -> str:
    """All of a thing in a line."""
    if thing.kind == "empty":
        return "The queue is empty: nothing runs, and nothing waits that may start."
    if thing.kind == "disk":
        return (
            f"{size(thing.free or 0)} are left for {thing.path}. Make room: labsched prune --dry-run says what old "
            "jobs take."
        )
    whose = f" of {thing.user}" if thing.user else ""
    if thing.kind == "wait":
        return (
            f"Job {thing.job} ({thing.name}){whose} has waited for {duration(thing.seconds or 0)}. "
            f"labsched show {thing.job} says what for."
        )
    why = f": {_reason(thing)}" if thing.kind != "succeeded" else ""
    return f"Job {thing.job} ({thing.name}){whose} {'is lost' if thing.kind == 'lost' else WORDS[thing.kind]}{why}"


def _reason(thing: Thing) -> str:
    reason = (thing.reason or "see its log")[:REASON]
    return f"{thing.stage}: {reason}" if thing.stage else reason


def _one(thing: Thing) -> Iterator[str]:
    yield _sentence(thing)
    if thing.retry:
        yield f"\nRun it again, once it is mended: {thing.retry}"
        yield f"All of its log: labsched logs {thing.job}"
    if thing.report:
        yield f"\nReport: {thing.report}"
    if thing.link:
        yield f"{thing.link}"
    yield from _log(thing)


def _log(thing: Thing) -> Iterator[str]:
    if thing.log:
        yield f"\nThe last lines of the log of job {thing.job}:"
        yield from (f"    {line}" for line in thing.log)


def _many(things: Sequence[Thing]) -> Iterator[str]:
    by_kind: dict[str, list[Thing]] = defaultdict(list)
    for thing in things:
        by_kind[thing.kind].append(thing)
    for kind, ours in by_kind.items():
        yield f"{_counted(kind, len(ours))}:"
        if kind in ("empty", "disk"):
            yield from (f"  {thing.at.astimezone():%d %b %H:%M}  {_sentence(thing)}" for thing in ours[:SHOWN])
        else:
            yield from _jobs(ours)
        yield ""
    with_log = next((thing for thing in things if thing.log), None)
    if with_log is not None:
        yield from _log(with_log)


def _jobs(things: Sequence[Thing]) -> Iterator[str]:
    """Jobs that went the same way: those with one reason together."""
    by_reason: dict[str, list[Thing]] = defaultdict(list)
    for thing in things:
        by_reason["" if thing.kind in ("succeeded", "wait") else _reason(thing)].append(thing)
    shown = 0
    for reason, ours in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        if shown >= SHOWN:
            yield f"  … and {len(by_reason)} reasons in all: labsched history"
            break
        if reason:
            yield f"  {reason}" + (f" ({len(ours)} jobs)" if len(ours) > 1 else "")
        few = ours[: max(SHOWN - shown, 1)] if len(by_reason) == 1 else ours[:3]
        shown += len(few)
        yield from (f"    {thing.job}  {thing.name}" + (f"  ({thing.user})" if thing.user else "") for thing in few)
        if len(few) < len(ours):
            yield f"    … and {len(ours) - len(few)} more"
    if links := [thing.link for thing in things[:1] if thing.link]:
        yield f"  {links[0]}"
    again = list(dict.fromkeys(thing.job for thing in things if thing.retry))
    if again:
        yield f"  Run them again, once it is mended: labsched retry {' '.join(map(str, again[:NAMED]))}"
        if len(again) > NAMED:
            yield f"  and {len(again) - NAMED} more: labsched history -q --outcome failed lists them"
