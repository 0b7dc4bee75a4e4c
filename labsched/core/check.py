"""What a job must be like to be queued at all."""

import re
from collections.abc import Mapping

from labsched.core.model import JobSpec, Retry, StageSpec
from labsched.core.plan import never_fits

STAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
MAX_NAME = 500  # characters
MAX_STAGES = 100
MAX_TIMES = 1000  # attempts after the first
MAX_PRIORITY = 1_000_000


def problem(job: JobSpec, pools: Mapping[str, int]) -> str | None:
    """Why this job cannot be queued with these pools (slots by name), in a sentence; None where it can."""
    if not job.name.strip() or len(job.name) > MAX_NAME or not job.name.isprintable():
        return f"a job's name must have 1 to {MAX_NAME} printable characters"
    if not 1 <= len(job.stages) <= MAX_STAGES:
        return f"{job.name}: a job has 1 to {MAX_STAGES} stages"
    if abs(job.priority) > MAX_PRIORITY:
        return f"{job.name}: a priority lies between -{MAX_PRIORITY} and {MAX_PRIORITY}"
    names = [stage.name for stage in job.stages]
    if len(set(names)) < len(names):
        return f"{job.name}: two of its stages have one name"
    if bad := _bad_env(job.env):
        return f"{job.name}: {bad}"
    for stage in job.stages:
        if bad := _bad_stage(stage, pools):
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
    if stage.retry is not None and (bad := bad_retry(stage.retry)):
        return bad
    for pool, n in stage.needs.items():
        if n < 0:
            return f"it needs {n} slots of {pool}: that cannot be"
    return _bad_env(stage.env) or never_fits(pools, stage.needs)


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
