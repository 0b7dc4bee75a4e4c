"""What stage 1 does about bad channels: warn, refuse, or leave them out by itself."""

from dataclasses import dataclass
from typing import Any

from labsched.ephys.errors import EphysError
from labsched.ephys.inspect.look import Look

#: What can be done, by the names of the setting.
POLICIES = ("warn", "refuse", "omit", "off")
#: More than this part of the channels are never left out by themselves: then it is not they that are wrong.
MOST = 0.5


@dataclass(frozen=True)
class Done:
    """What was found and done: `omitted` are labels to leave out, `lines` are for the log, `document` for the JSON."""

    omitted: tuple[str, ...]
    lines: tuple[str, ...]
    warnings: tuple[str, ...]
    document: dict[str, Any]

    @property
    def bad(self) -> tuple[str, ...]:
        """The labels that were called bad, and may be there still."""
        return tuple(each["channel"] for each in self.document["found"])


def check(policy: str) -> None:
    """Raises EphysError for a policy that there is not."""
    if policy not in POLICIES:
        raise EphysError(f"unknown setting {policy!r} of bad channels: it is one of {', '.join(POLICIES)}")


def off() -> Done:
    """Nothing was looked at."""
    return Done((), ("bad channels: not looked for",), (), {"setting": "off", "did": "nothing", "found": []})


def too_short(policy: str) -> Done:
    """Nothing could be said."""
    return Done((), ("bad channels: too few samples in a row to look",), (), {**off().document, "setting": policy})


def decide(policy: str, look: Look) -> Done:
    """What to do about what was seen. Raises EphysError where a person has to decide, with what to type."""
    bad, notes = look.bad, look.verdict.notes
    document: dict[str, Any] = {
        "setting": policy,
        "did": "nothing",
        "looked_at_s": look.measures.seconds,
        "found": look.told(),
        "notes": list(notes),
    }
    if not bad and not notes:
        return Done((), (f"bad channels: none, in {look.measures.seconds:.1f} s looked at",), (), document)
    said = [*(look.said(each) for each in look.verdict.findings), *notes]
    many = len(bad) > MOST * len(look.labels)
    said = [*notes, *said[: len(bad)]] if many else said
    told = f"{'; '.join(said[:4])}{f'; and {len(said) - 4} more' if len(said) > 4 else ''}"
    with_omit = "" if many or not bad else f"run it again with --omit {','.join(bad)}, or "
    if policy == "refuse" or (policy == "omit" and many):
        raise EphysError(f"{told}: {with_omit}{'look at it with inspect, then ' if many else ''}--bad-channels warn")
    if policy == "omit" and bad:
        document["did"] = "omitted"
        lines = tuple(f"left out by itself: {each}" for each in said[: len(bad)])
        return Done(bad, (*lines, *(f"WARNING: {note}" for note in notes)), notes, document)
    document["did"] = "warned"
    warning = f"{told}: omit with --omit {','.join(bad)}" if bad else told
    return Done((), tuple(f"WARNING: {each}" for each in said), (warning,), document)
