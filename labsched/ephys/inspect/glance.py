"""A quick look at a block, before it is queued."""

from collections.abc import Collection

from labsched.ephys.denoise import check
from labsched.ephys.inspect.look import enough, look
from labsched.ephys.readers import opened

#: Bytes that may have to be unpacked for a quick look.
LITTLE = 50_000_000


def glance(
    source: str, omit: Collection[str], probe: str | None, stream: str, seconds: float
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(labels of the channels that look bad, what to say of them): from what can be read in so many seconds or so.

    Nothing where nothing was seen, also since too much would have to be unpacked first. Raises EphysError, OSError.
    """
    found = check(source, omit, probe, stream_name=stream)
    if found.source.unpacked > LITTLE:
        return (), ()
    with opened(found.source, sample=True) as recording:
        if not enough(recording):
            return (), ()
        seen = look(recording, found.layout, seconds)
    return seen.bad, (*(seen.said(each) for each in seen.verdict.findings), *seen.verdict.notes)
