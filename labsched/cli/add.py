"""labsched add: any command, in any pools."""

import os
from dataclasses import replace

import click

from labsched.cli import queueing
from labsched.cli.context import client, json_option, quiet_option, socket_option
from labsched.cli.types import JOB, MEMORY, MOMENT, PRIORITY, TIME, TIMES
from labsched.client.programs import missing
from labsched.core.spec import JobSpec, Retry
from labsched.errors import BadRequest
from labsched.recipes import command, environ


# The command's own options are not ours: what follows its first word is taken as it is.
@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--need",
    "needs",
    multiple=True,
    metavar="POOL=N,...",
    help="Slots that it takes; CPU=1..8: one, or more if spare. Default: CPU=1.",
)
@click.option("--after", multiple=True, type=JOB, metavar="JOB", help="Start once JOB has succeeded (repeatable).")
@click.option("--name", metavar="NAME", help="What to call it. Default: its command line.")
@click.option("--time", "time_limit", type=TIME, metavar="TIME", help="End it after 90 (seconds), 15m, 8h, 2d, 1h30m.")
@click.option("--memory", type=MEMORY, metavar="SIZE", help="End it where it takes more than 500M, 12G, 1.5T, 12GiB.")
@click.option("--retry", "times", type=TIMES, default=0, metavar="N", help="Where it fails, try N more times.")
@click.option("--retry-wait", "wait", type=TIME, metavar="TIME", help="Until the next try; it doubles. Default: 10s.")
@click.option("--retry-on", "codes", metavar="CODE,...", help="Only for these exit codes (128 + N: signal N).")
@click.option(
    "--priority", type=PRIORITY, default=0, metavar="N", help="Higher goes first; above 0 as [limits] lets. Default: 0."
)
@click.option("--not-before", type=MOMENT, metavar="WHEN", help="Not to start before 18:00, 2026-11-25, 2h from now.")
@click.option("--cwd", metavar="DIR", help="Run it in DIR. Default: this folder.")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="Set a variable for it (repeatable).")
@click.option("--hold", is_flag=True, help="Queue it, but do not let it start before: labsched release.")
@click.option("--from", "file", metavar="FILE", help="Queue many: a JSON object a line, all or none; - for stdin.")
@click.option("--no-check", is_flag=True, help="Do not look whether the command exists.")
@json_option
@quiet_option
@socket_option
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND...")
def add(
    needs: tuple[str, ...],
    after: tuple[str, ...],
    name: str | None,
    time_limit: float | None,
    memory: int | None,
    times: int,
    wait: float | None,
    codes: str | None,
    priority: int,
    not_before: float | None,
    cwd: str | None,
    variables: tuple[str, ...],
    hold: bool,
    file: str | None,
    no_check: bool,
    as_json: bool,
    quiet: bool,
    argv: tuple[str, ...],
) -> None:
    """Queue any command. It runs in this folder and with this environment, once its pools have room. Prints its number.

    The words of COMMAND are taken as they are; for pipes and redirections give a shell: -- sh -c 'a | b > c'. A
    file for --from has lines such as {"argv": ["python", "a.py"], "needs": {"GPU": 1}, "name": "a", "after": "b"};
    also known are up_to (slots), cwd, env, time, memory, retry, priority and hold. "after" is a number, a name in the
    same file, or a list.

    Without --need it takes one slot of CPU. With CPU=1..8 it gets what is spare when it starts, and LABSCHED_SLOTS_CPU
    says how many it has.

    A command that exits with 75 asks to be tried later, and is, however often; with --retry, one that the kernel killed
    for want of memory is tried again with its pools for itself.

    \b
    Example:
      labsched add --need CPU=4,GPU=1 --time 8h -- python train.py --seed 1
      labsched add --after last -- python evaluate.py
      labsched add --from jobs.jsonl
    """
    env, left_out = environ.full(os.environ)
    folder = os.path.join(_folder(), os.path.expanduser(cwd)) if cwd else _folder()
    if file is not None:
        if any((argv, needs, after, name, time_limit, memory, times, priority, hold, not_before, variables)):
            raise click.UsageError("with --from the file says it all: give no command and no --need, --after, --name …")
        found = queueing.parse_file(file, lambda lines: command.read_jobs(lines, folder))
        if not no_check:
            _check_all(file, found, env)
        queueing.warn_left_out(left_out)
        order = [number for number, _ in found]
        queueing.send(client(), [job for _, job in found], env, as_json, quiet, order)
        return
    slots = command.parse_needs(needs) if needs else None
    job = command.expand(
        argv,
        cwd=folder,
        needs=slots.needs if slots else None,
        up_to=slots.up_to if slots else None,
        name=name,
        after=after,
        time_limit=time_limit,
        retry=_retry(times, wait, codes),
        memory=memory,
        priority=priority,
        hold=hold,
        not_before=not_before,
        extra=_variables(variables),
    )
    if not no_check and (trouble := missing(argv[0], folder, env.get("PATH", os.defpath))):
        raise BadRequest(trouble)
    queueing.warn_left_out(left_out)
    queueing.send(client(), [job], env, as_json, quiet)


def _variables(words: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise BadRequest(f"--env {word!r} sets nothing: it is NAME=VALUE")
        found[name] = value
    return found


def _retry(times: int, wait: float | None, codes: str | None) -> Retry | None:
    if not times:
        if wait is not None or codes:
            raise click.UsageError("--retry-wait and --retry-on go with --retry N: say how many times")
        return None
    policy = Retry(times, codes=command.parse_codes(codes) if codes else ())
    return command.check_retry(policy if wait is None else replace(policy, wait=wait))


def _check_all(file: str, found: list[tuple[int, JobSpec]], env: dict[str, str]) -> None:
    known: dict[tuple[str, str, str], str | None] = {}  # thousands of lines run the same few programs
    bad = []
    for number, job in sorted(found, key=lambda pair: pair[0]):
        stage = job.stages[0]
        path = stage.env.get("PATH", env.get("PATH", os.defpath))
        key = (stage.argv[0], stage.cwd, path)
        if key not in known:
            known[key] = missing(stage.argv[0], stage.cwd, path)
        if known[key]:
            bad.append(f"{file}, line {number}: {known[key]}")
    if bad:
        queueing.report_bad(bad)


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        raise BadRequest("this folder is gone: go to another one first") from None
