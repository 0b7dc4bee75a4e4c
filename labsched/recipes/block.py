"""The lab's main job: a block is de-noised, then sorted, by klusta or by another sorter."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from labsched.core.spec import JobSpec, Retry, StageSpec
from labsched.errors import BadRequest
from labsched.recipes.sorters import KLUSTA, SORTERS, options, second

RECIPE = "sort"
KILLED = (137, 143)  # by KILL or TERM: what the science itself says of its input would only be said again
REFERENCES = ("ridge", "war", "car", "whiten", "none")
BAD_CHANNELS = ("warn", "refuse", "omit", "off")
_PART = re.compile(r"[\w+=@,%][\w .+=@,%-]*")


class BlockRequest(NamedTuple):
    """What a person says of a block; None means as the configuration says."""

    block: str
    omit: tuple[str, ...] = ()
    probe: str | None = None
    source: str | None = None
    target: str | None = None
    reference: str | None = None
    stream: str | None = None
    priority: int = 0
    hold: bool = False
    not_before: float | None = None
    again: bool = False
    bad_channels: str | None = None
    sorter: str | None = None


class Expanded(NamedTuple):
    """A block's job, and where its files are (for whoever wants to look before it is queued)."""

    job: JobSpec
    source: str
    target: str
    probe: str | None
    omit: tuple[str, ...] = ()
    stream: str | None = None
    bad_channels: str = "warn"
    sorter: str = KLUSTA


class Row(NamedTuple):
    """One line of the lab's file, and which."""

    block: str
    omit: tuple[str, ...]
    line: int


def check_name(block: str) -> str:
    """The block's name, if it can be one; raises BadRequest with a sentence otherwise."""
    if not block:
        raise BadRequest("a block's name is empty")
    for part in block.split("/"):
        if part in ("", ".", ".."):
            raise BadRequest(
                f"{block!r} is not a block's name: it may not start or end with /, nor have a part {part!r}"
            )
        if not _PART.fullmatch(part) or part != part.strip():
            raise BadRequest(
                f"{block!r} is not a block's name: it may have letters, digits, spaces and . _ - + = @ , % "
                "and / between parts that start with none of dot, minus and space"
            )
    return block


def parse_omit(values: tuple[str, ...]) -> tuple[str, ...]:
    """Labels from comma-separated lists, in order, each once."""
    labels = [label.strip() for value in values for label in value.split(",")]
    return tuple(dict.fromkeys(label for label in labels if label))


def expand(request: BlockRequest, settings: Mapping[str, Any], python: str, env: Mapping[str, str]) -> Expanded:
    """A block as a job of two stages, `denoise` and the one that is named after its sorter.

    `settings` is the configuration's [sort], with absolute patterns; `python` the interpreter that has labsched;
    `env` what the stages inherit. Raises BadRequest where the request makes no sense.
    """
    block = check_name(request.block)
    name = block.rpartition("/")[2]
    source = _fill(request.source or settings["source"], block, name)
    target = _fill(request.target or settings["target"], block, name)
    reference = request.reference or settings["reference"]
    if reference not in REFERENCES:
        raise BadRequest(f"there is no reference {reference!r}; known are {', '.join(REFERENCES)}")
    sorter = request.sorter or settings.get("sorter", KLUSTA)
    if sorter not in SORTERS:
        raise BadRequest(f"there is no sorter {sorter!r}; known are {', '.join(SORTERS)}")
    bad_channels = request.bad_channels or settings.get("bad_channels", "warn")
    probe = request.probe or settings["probe"]
    ephys = (python, "-m", "labsched.ephys")
    folders = ("--target", target, "--name", name)
    sorting = second(sorter, settings, folders, request.again)
    denoise = StageSpec(
        name="denoise",
        argv=(
            *(*ephys, "denoise", "--source", source, *folders),
            *(("--omit", ",".join(request.omit)) if request.omit else ()),
            *(("--probe", probe) if probe else ()),
            *(("--stream", request.stream) if request.stream else ()),
            *("--reference", reference, "--format", settings["format"]),
            *("--bad-channels", bad_channels),
            *("--threads", str(settings["denoise_threads"])),
            *options(settings["klusta"]),
        ),
        needs=dict(settings["denoise_needs"]),
        cwd="/",
        outputs=(f"{target}/{name}.denoise.json",),
        time_limit=settings["denoise_time_limit"],
        retry=_retry(settings["denoise_retry"]),
        memory=_memory(settings["denoise_memory"]),
        env=_threads(settings["denoise_threads"]),
    )
    sort = StageSpec(
        name=sorter,
        argv=(*ephys, *sorting.words),
        needs=sorting.needs,
        up_to=sorting.up_to,
        cwd="/",
        outputs=(f"{target}/{name}.kwik", f"{target}/{name}.sorting.json"),
        time_limit=settings["klusta_time_limit"],
        retry=_retry(settings["klusta_retry"]),
        memory=_memory(settings["klusta_memory"]),
        env=_threads(sorting.needs.get("CPU", 1)),
    )
    job = JobSpec(
        name=block,
        recipe=RECIPE,
        key=f"block {block}",
        stages=(denoise, sort),
        env=dict(env),
        priority=request.priority,
        hold=request.hold,
        not_before=request.not_before,
        again=request.again,
    )
    return Expanded(job, source, target, probe, request.omit, request.stream, bad_channels, sorter)


def _retry(times: int) -> Retry | None:
    return Retry(times, codes=KILLED) if times else None


def _memory(said: str | None) -> int | None:
    if said is None:
        return None
    from labsched.recipes.command import parse_memory  # few limit it

    return parse_memory(said)


def read_table(lines: list[str]) -> list[Row]:
    """The lab's file: one block a line, a tab, a comma-separated list of channels to omit.

    Blank lines and lines that start with # do not count. Raises BadRequest that names every bad line by its number.
    """
    rows: list[Row] = []
    bad: list[str] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        block, *rest = text.split("\t")
        block = block.strip()
        try:
            check_name(block)
            if len(rest) > 1:
                raise BadRequest(f"{len(rest)} tabs where one is expected: BLOCK<TAB>CHANNEL,CHANNEL")
            if not rest and "," in block:
                raise BadRequest("no tab between the block and its channels")
            if block in seen:
                raise BadRequest(f"block {block} stands in line {seen[block]} already")
        except BadRequest as error:
            bad.append(f"line {number}: {error}")
            continue
        seen[block] = number
        rows.append(Row(block, parse_omit(tuple(rest)), number))
    if bad:
        raise BadRequest("\n".join(bad))
    return rows


def _fill(pattern: str, block: str, name: str) -> str:
    return pattern.replace("{block}", block).replace("{name}", name)


def _threads(count: int) -> dict[str, str]:
    """klusta, numpy and scipy take every core unless told."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return dict.fromkeys(names, str(count))
