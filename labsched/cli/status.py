"""labsched status: what runs, what waits and why, and what failed."""

import textwrap
from collections.abc import Sequence
from datetime import datetime

import click

from labsched import __version__
from labsched.cli import jobs, table, words
from labsched.cli.context import client, json_option, print_json, print_numbers, quiet_option, socket_option
from labsched.cli.types import POSITIVE
from labsched.core import units
from labsched.core.states import Outcome
from labsched.wire.messages import JobRow, Pool, Status

PLAIN_CELLS = 100  # how far apart the two ends of a line are where there is no terminal to fit
BAR_CELLS = 16
FRAME_LINES = 10  # of the screen that are not jobs, the shell's own next line included
LEAST_ROWS = 8
HINTS = "-a all · -w watch · --json"
BAD = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST)


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="All jobs, also those that ended long ago.")
@click.option("-w", "--watch", is_flag=True, help="Stay, and show each change as it comes (end with Ctrl-C).")
@click.option("-n", "--limit", type=POSITIVE, metavar="N", help="At most N jobs.")
@json_option
@quiet_option
@socket_option
def status(everything: bool, watch: bool, limit: int | None, as_json: bool, quiet: bool) -> int | None:
    """Show what runs, what waits and why, and what failed.

    Marks of stages: ▶ runs, · waits, ✓ done, ✗ failed, ⊘ cancelled, – skipped. WHY says for a running job how far it
    is, for a waiting one what it waits for (~ is an estimate), for a failed one what went wrong. With -q only the
    jobs' numbers.

    \b
    Example:
      labsched status
      labsched status -w
      labsched status --json | jq '.jobs[] | select(.state == "running")'
    """
    ask = client()
    query: dict[str, bool | int | None] = {"all": everything, "limit": limit}
    if watch:
        from labsched.cli import watching

        return watching.watch(ask, query, as_json, quiet)
    if not (as_json or quiet):
        query["limit"] = limit or _rows_that_fit()
    answer = ask.get("status", Status, **query)
    if as_json:
        print_json(answer)
    elif quiet:
        print_numbers(row.id for row in answer.jobs)
    else:
        table.write(render(answer, table.terminal_width(), table.use_colour()))
    return None


def _rows_that_fit() -> int | None:
    """On a terminal as many jobs as leave the header in sight; the daemon's own number elsewhere."""
    return max(table.terminal_size()[1] - FRAME_LINES, LEAST_ROWS) if table.terminal_width() else None


def render(answer: Status, cells: int | None, colour: bool = False) -> list[str]:
    """The lines of `labsched status`, for a terminal of so many `cells` (None: nothing is cut)."""
    lines = jobs.render_rows(answer.jobs, cells, colour)
    natural = max(PLAIN_CELLS, *(table.width(text) for text in jobs.render_rows(answer.jobs, cells, False)))
    across = natural if cells is None else min(natural, cells)
    result = [*header(answer, across, colour), "", *pool_lines(answer.pools, answer.now, across, colour), ""]
    result += lines if answer.jobs else [" nothing runs, nothing waits: labsched submit BLOCK queues a block"]
    if answer.more:
        result.append(f" … {answer.more:,} more: -n {len(answer.jobs) + answer.more} shows them all")
    return [*result, "", *footer(answer.jobs, across, colour)]


def header(answer: Status, cells: int, colour: bool) -> list[str]:
    """Whose daemon, since when, how many jobs, and what time it is."""
    counts = answer.counts
    parts = [
        f"labsched on {table.clean(answer.host)}",
        f"up {units.duration(answer.uptime)}",
        f"{counts.running:,} running",
        f"{counts.waiting:,} waiting",
        *([f"{counts.failed_today:,} failed today"] if counts.failed_today else []),
        *(["going down"] if answer.draining else []),
    ]
    right = words.clock(answer.now)
    while table.width(" · ".join(parts)) + 2 + len(right) > cells and len(right) > 5:
        right = right[-5:]
    left = table.cut(" · ".join(parts), max(cells - len(right) - 2, 20))
    lines = [table.spread(left, right, cells).replace(parts[0], table.paint(parts[0], "bold", colour), 1)]
    if answer.version != __version__:
        lines.append(f"the daemon is labsched {answer.version}, this command {__version__}: restart the daemon")
    for trouble in answer.troubles:
        said = f"{table.clean(trouble)} (labsched doctor)"
        lines += [table.paint(line, "red", colour) for line in textwrap.wrap(said, max(cells, 20))]
    return lines


def pool_lines(pools: Sequence[Pool], now: datetime, cells: int, colour: bool) -> list[str]:
    """The pools with their bars, as many on a line as fit. A pool without slots that nobody asks for is left out."""
    shown = [p for p in pools if p.slots or p.used or p.waiting or p.paused_by]
    texts = [_pool(pool, now, colour) for pool in shown]
    lines: list[str] = []
    gap = 7 if sum(n for _, n in texts) + 7 * (len(texts) - 1) <= cells else 3
    at = 0
    for text, taken in texts:
        if lines and at + gap + taken <= cells:
            lines[-1] += " " * gap + text
            at += gap + taken
        else:
            lines.append(text)
            at = taken
    return lines


def _pool(pool: Pool, now: datetime, colour: bool) -> tuple[str, int]:
    size = min(max(pool.slots, 1), BAR_CELLS)
    filled = size if pool.used >= pool.slots > 0 else pool.used * size // max(pool.slots, 1)
    if pool.used and pool.slots:
        filled = max(filled, 1)
    name = table.clean(pool.name)
    if pool.paused_by:
        when = f" {words.moment(pool.paused_at, now)}" if pool.paused_at else ""
        note = f"paused by {table.clean(pool.paused_by)}{when}"
    else:
        note = f"{pool.waiting:,} waiting"
    bar = "█" * filled + "░" * (size - filled)
    use = f"{pool.used}/{pool.slots}"
    taken = table.width(f"{name}  {bar} {use}   {note}")
    hue = "yellow" if pool.paused_by else "dim" if not pool.waiting else None
    return f"{name}  {table.paint(bar, 'cyan', colour)} {use}   {table.paint(note, hue, colour)}", taken


def footer(rows: Sequence[JobRow], cells: int, colour: bool) -> list[str]:
    """What to type about the latest failure, and what else there is."""
    failed = [row for row in rows if row.outcome in BAD]
    if not failed:
        return [table.paint(table.spread("", HINTS, cells), "dim", colour)]
    last = max(failed, key=lambda row: (row.ended.timestamp() if row.ended else 0.0, row.id))
    word = words.state_word(last.state, last.outcome)
    ready = f"{last.id} {word}: labsched logs {last.id} · labsched retry {last.id}"
    if table.width(ready) + 2 + len(HINTS) > cells:
        return [ready, table.paint(HINTS, "dim", colour)]
    return [table.spread(ready, HINTS, cells)]
