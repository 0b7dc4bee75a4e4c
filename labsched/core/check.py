"""What a job must be like to be queued at all."""

import re
from collections.abc import Mapping

from labsched.core.spec import JobSpec, Needs, Retry, StageSpec

STAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
MAX_NAME = 500  # characters
MAX_STAGES = 100
MAX_TIMES = 1000  # attempts after the first
MAX_PRIORITY = 1_000_000
MAX_AFTER = 1000  # jobs that one comes after
MAX_BYTES = 2 * 1024**2  # of a command line and its environment: no kernel starts a longer one
MAX_OUTPUTS = 1000
MAX_MOMENT = 1e11  # seconds since the epoch: the year 5138
MAX_SLOTS = 1_000_000  # of a pool
MAX_PATH = 4096  # bytes
MIN_MEMORY, MAX_MEMORY = 1_000_000, 10**18  # bytes: a program needs some to start at all


def problem(job: JobSpec, pools: Mapping[str, int], shares: Mapping[str, int] | None = None) -> str | None:
    """Why this job cannot be queued with these pools (slots by name), in a sentence; None where it can.

    `shares`: the slots of a pool that one person may hold at a time.
    """
    if not job.name.strip() or len(job.name) > MAX_NAME or not job.name.isprintable():
        return f"a job's name must have 1 to {MAX_NAME} printable characters"
    if not 1 <= len(job.stages) <= MAX_STAGES:
        return f"{job.name}: a job has 1 to {MAX_STAGES} stages"
    for what, text in (("recipe", job.recipe), ("key", job.key or "")):
        if len(text) > MAX_NAME or not text.isprintable():
            return f"{job.name}: its {what} must have at most {MAX_NAME} printable characters"
    if len(job.after) > MAX_AFTER:
        return f"{job.name}: it comes after {len(job.after)} jobs, and may come after {MAX_AFTER}"
    if abs(job.priority) > MAX_PRIORITY:
        return f"{job.name}: a priority lies between -{MAX_PRIORITY} and {MAX_PRIORITY}"
    if job.not_before is not None and not 0 <= job.not_before < MAX_MOMENT:
        return f"{job.name}: the time before which it is not to start is no sensible number of seconds since 1970"
    names = [stage.name for stage in job.stages]
    if len(set(names)) < len(names):
        return f"{job.name}: two of its stages have one name"
    if bad := _bad_env(job.env):
        return f"{job.name}: {bad}"
    for stage in job.stages:
        if bad := _bad_stage(stage, pools) or _too_wide(stage, shares or {}) or _too_long(job, stage):
            return f"{job.name}: {bad}"
    return None


def _bad_stage(stage: StageSpec, pools: Mapping[str, int]) -> str | None:
    if not STAGE_NAME.fullmatch(stage.name):
        return f"{stage.name!r} is not a stage's name: letters, digits, and then also _ . -"
    if not stage.argv or not stage.argv[0]:
        return "it has no command"
    if any("\0" in word for word in (*stage.argv, stage.cwd, *stage.outputs)):
        return "a command, a folder or an output has a NUL character in it"
    if not stage.cwd.startswith("/"):
        return f"its working folder {stage.cwd!r} is not absolute"
    if stage.time_limit is not None and not 0 < stage.time_limit < 1e9:
        return "its time limit is not a sensible number of seconds"
    if stage.memory is not None and (bad := bad_memory(stage.memory)):
        return bad
    if stage.retry is not None and (bad := bad_retry(stage.retry)):
        return bad
    for pool, n in stage.needs.items():
        if n < 0:
            return f"it needs {n} slots of {pool}: that cannot be"
    for pool, n in stage.up_to.items():
        if n < stage.needs.get(pool, MAX_SLOTS + 1) or n > MAX_SLOTS:
            return f"it can use up to {n} slots of {pool}, and needs {stage.needs.get(pool, 'none')}: that cannot be"
    return _bad_env(stage.env) or never_fits(pools, stage.needs)


def _too_wide(stage: StageSpec, shares: Mapping[str, int]) -> str | None:
    for pool, n in sorted(stage.needs.items()):
        if n > shares.get(pool, n):
            return f"it needs {n} slots of {pool}, and one person may hold {shares[pool]} ([limits] slots_per_user)"
    return None


def _too_long(job: JobSpec, stage: StageSpec) -> str | None:
    words = [*stage.argv, *job.env, *job.env.values(), *stage.env, *stage.env.values()]
    if sum(len(word) for word in words) > MAX_BYTES:
        return f"its arguments and environment are too long for the kernel, which takes {MAX_BYTES} bytes: use a file"
    if len(stage.outputs) > MAX_OUTPUTS:
        return f"it has {len(stage.outputs)} outputs, and may have {MAX_OUTPUTS}: name a few that stand for all"
    if any(len(path) > MAX_PATH for path in (stage.cwd, *stage.outputs)):
        return f"a folder or an output has a path of more than {MAX_PATH} characters: no file has"
    return None


def never_fits(pools: Mapping[str, int], needs: Needs) -> str | None:
    """Why a stage with these needs could never start with these pools, in words; None where it could."""
    for pool, n in sorted(needs.items()):
        if pool not in pools:
            return f"there is no pool {pool}; the pools are {', '.join(sorted(pools))}"
        if n > pools[pool]:
            return f"it needs {n} {'slot' if n == 1 else 'slots'} of {pool}, and there are {pools[pool]}"
    return None


def bad_memory(size: int) -> str | None:
    """Why no stage can have this limit of its memory (bytes), in words; None if one can."""
    if not MIN_MEMORY <= size <= MAX_MEMORY:
        return f"a memory of {size} bytes makes no sense: it is 1 MB or more, such as 500M or 12G"
    return None


def bad_retry(retry: Retry) -> str | None:
    """Why no stage can have this policy, in words; None if one can."""
    if not 0 <= retry.times <= MAX_TIMES:
        return f"it can be tried again up to {MAX_TIMES} times, not {retry.times}"
    if not 0 <= retry.wait < 1e9:
        return "the wait before it is tried again is not a sensible number of seconds"
    if any(not 1 <= code <= 255 for code in retry.codes):
        return "the exit codes that are worth another attempt are numbers from 1 to 255"
    return None


def _bad_env(env: Mapping[str, str]) -> str | None:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            return f"{name!r} cannot be a variable of the environment"
    return None
