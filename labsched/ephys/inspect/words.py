"""What was seen, in words for a terminal; from the JSON, and without a heavy import."""

from collections.abc import Iterator, Mapping
from typing import Any


def lines(seen: Mapping[str, Any]) -> Iterator[str]:
    """The lines that `inspect` prints, from its JSON; the last one is a command where a `command` is there."""
    channels = seen["channels"]
    omitted = seen["omitted"]
    without = f" ({len(omitted)} omitted: {', '.join(omitted)})" if omitted else ""
    yield (
        f"{seen['source']}: {len(channels)} channels{without} at {seen['rate_hz']:g} Hz, {seen['duration_s']:.1f} s; "
        f"looked at {seen['looked_at_s']:.1f} s, spread over all of it"
    )
    for note in seen["notes"]:
        yield f"note: {note}"
    bad = seen["bad"]
    width = max((len(each["channel"]) for each in bad), default=0)
    kinds = max((len(each["kind"]) for each in bad), default=0)
    for each in bad:
        yield f"  {each['channel']:<{width}}  {each['kind']:<{kinds}}  {each['reason']}"
    if bad:
        yield f"{len(bad)} of {len(channels)} channels look bad. To leave them out: --omit {seen['omit']}"
    else:
        yield "no channel looks bad"
    if seen["picture"]:
        yield f"picture: {seen['picture']}"
    if seen.get("command"):
        yield seen["command"]
