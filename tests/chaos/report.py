"""What happened in a story, on one screen."""

from collections import Counter

from labsched.faults import POINTS
from labsched.store.attempts import NOT_BEGUN
from tests.chaos.people import NO, NOBODY, YES
from tests.chaos.proofs import CHECKS
from tests.chaos.run import Story

WIDTH = 118
MAX_VIOLATIONS = 25


def report(story: Story, keep: bool = False, kills: int = 0) -> str:
    """The screen; the last line is the verdict."""
    lines = [f"chaos: seed {story.seed}, {story.seconds:g} s, then {story.settled:.0f} s of peace"]
    lines += _asked(story)
    lines += _done(story)
    lines += _points(story)
    lines += [f"{len(CHECKS)} kinds of promises examined"] if story.evidence else []
    for violation in story.violated[:MAX_VIOLATIONS]:
        lines.append(f"VIOLATED  {violation}")
    if (more := len(story.violated) - MAX_VIOLATIONS) > 0:
        lines.append(f"          and {more} more")
    if story.violated or keep:
        lines.append(f"kept: {story.folder}")
    if story.violated:
        lines.append(f"repeat: python -m tests.chaos --seed {story.seed} --seconds {story.seconds:g}")
    elif story.havoc.kills < kills:
        lines.append(f"too few kills: {story.havoc.kills}, wanted were {kills}")
    else:
        lines.append("nothing was lost, nothing ran twice")
    return "\n".join(lines)


def _asked(story: Story) -> list[str]:
    said = [one for person in story.people for one in person.said]
    submits = Counter[str]()
    for one in said:
        if one.what == "submit":
            submits[one.answer] += len(one.jobs)
    verbs = Counter(one.what for one in said if one.what != "submit" and one.answer == YES)
    silent = sum(one.answer == NOBODY for one in said)
    lines = [
        f"  jobs      {submits[YES]} acknowledged, {submits[NOBODY]} without an answer, {submits[NO]} refused",
        f"  verbs     {_counts(verbs)}; {silent} times nobody answered",
    ]
    if story.evidence is not None:
        outcomes = Counter(str(row["outcome"]) for row in story.evidence.rows["attempts"])
        stages = Counter(str(row["outcome"]) for row in story.evidence.rows["stages"])
        lines.append(f"  attempts  {sum(outcomes.values())}: {_counts(outcomes)}")
        behind = sum(row["behind"] is not None for row in story.evidence.rows["attempts"])
        back = sum(event["data"].get("reason") == NOT_BEGUN for event in story.evidence.rows["events"])
        lines.append(f"            {behind} followed another one; {back} were given back")
        lines.append(f"  stages    {sum(stages.values())}: {_counts(stages)}")
        lines.append(f"  journal   {len(story.evidence.journal)} lines; events {len(story.evidence.rows['events'])}")
    return lines


def _done(story: Story) -> list[str]:
    done = story.havoc.done
    kills = Counter(one.target for one in done if one.what == "kill")
    rest = Counter(one.what for one in done if one.what not in ("kill", "point", "free", "reboot"))
    rest["reboot"] = kills["reboot"]
    disk = "" if story.havoc.place.disk_mib else "  (no small disk: only root may mount one)"
    return [
        f"  kills     {story.havoc.kills}: {_counts(kills)}",
        f"  besides   {_counts(rest)}; the daemon was started {story.havoc.place.starts} times{disk}",
    ]


def _points(story: Story) -> list[str]:
    come = Counter(one.target for one in story.havoc.done if one.what == "point")
    words = [f"{point} {come[point]}" for point in POINTS]
    lines = [f"  points    {len(POINTS) - len(story.missed)} of {len(POINTS)} reached"]
    for word in words:
        if len(lines[-1]) + len(word) + 2 > WIDTH or lines[-1].startswith("  points"):
            lines.append("           ")
        lines[-1] += f" {word},"
    return [line.rstrip(",") for line in lines]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counter.most_common()) or "none"
