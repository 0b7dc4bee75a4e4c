"""From the body of a submit to jobs that are ready to be queued.

A body may hold thousands of jobs: they are decoded and looked at one after the other, in a thread, so that they are
never in memory all at once in all their forms, and others' requests come in between.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import msgspec

from labsched.core.check import problem
from labsched.core.model import JobSpec, Pool
from labsched.errors import BadRequest
from labsched.store.ready import Ready, ready

_JOB = msgspec.json.Decoder(JobSpec)


class Body(msgspec.Struct, frozen=True):
    """`requests.Submit`, whose jobs are still to be decoded."""

    jobs: tuple[msgspec.Raw, ...]
    env: dict[str, str] = msgspec.field(default_factory=dict)


def take(body: Body, pools: Mapping[str, Pool], shares: Mapping[str, int], most: int) -> list[Ready]:
    """The jobs of a request, ready. `shares`: the slots of a pool that one person may hold; `most`: stages and `after`s
    of all together.

    Raises BadRequest where one of them cannot be queued, and msgspec.ValidationError.
    """
    if not body.jobs:
        raise BadRequest("there is no job in the request")
    slots = {name: pool.slots for name, pool in pools.items()}
    return list(ready(_specs(body, slots, shares, most)))


def _specs(body: Body, slots: Mapping[str, int], shares: Mapping[str, int], most: int) -> Iterator[JobSpec]:
    left = most
    for i, raw in enumerate(body.jobs):
        try:
            spec = _JOB.decode(raw)
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(str(error).replace("`$", f"`$.jobs[{i}]", 1)) from None
        left -= len(spec.stages) + len(spec.after)
        if left < 0:
            raise BadRequest(f"a request may have {most} stages and `after`s at most: send fewer jobs at a time")
        spec = replace(spec, env={**body.env, **spec.env} if spec.env else body.env)
        if why := problem(spec, slots, shares):
            raise BadRequest(why)
        yield spec
