"""labsched add: any command, in any pools."""

import os
from pathlib import Path

import click

from labsched.cli import queueing
from labsched.cli.context import client, json_option, quiet_option, socket_option
from labsched.cli.types import JOB, PRIORITY, TIME
from labsched.errors import BadRequest
from labsched.recipes import command, environ


# The command's own options are not ours: what follows its first word is taken as it is.
@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--need", "needs", multiple=True, metavar="POOL=N,...", help="Slots that it takes. Default: CPU=1.")
@click.option("--after", multiple=True, type=JOB, metavar="JOB", help="Start once JOB has succeeded (repeatable).")
@click.option("--name", metavar="NAME", help="What to call it. Default: its command line.")
@click.option("--time", "time_limit", type=TIME, metavar="TIME", help="End it after 90 (seconds), 15m, 8h, 2d, 1h30m.")
@click.option("--priority", type=PRIORITY, default=0, metavar="N", help="Higher goes first. Default: 0.")
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
    priority: int,
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
    also known are cwd, env, time, priority and hold. "after" is a number, a name in the same file, or a list.

    \b
    Example:
      labsched add --need CPU=4,GPU=1 --time 8h -- python train.py --seed 1
      labsched add --after last -- python evaluate.py
      labsched add --from jobs.jsonl
    """
    env, left_out = environ.full(os.environ)
    folder = _folder()
    if file is not None:
        if argv or needs or after or name or time_limit or priority or hold:
            raise click.UsageError("with --from the file says it all: give no command and no --need, --after, --name …")
        found = queueing.parse_file(file, lambda lines: command.read_jobs(lines, folder))
        if not no_check:
            bad = [
                f"{file}, line {number}: {trouble}"
                for number, job in sorted(found, key=lambda pair: pair[0])
                if (trouble := _missing(job.stages[0].argv[0], Path(job.stages[0].cwd), {**env, **job.stages[0].env}))
            ]
            if bad:
                queueing.report_bad(bad)
        queueing.warn_left_out(left_out)
        order = [number for number, _ in found]
        queueing.send(client(), [job for _, job in found], env, as_json, quiet, order)
        return
    job = command.expand(
        argv,
        cwd=str(folder),
        needs=command.parse_needs(needs) if needs else None,
        name=name,
        after=after,
        time_limit=time_limit,
        priority=priority,
        hold=hold,
    )
    if not no_check and (trouble := _missing(argv[0], folder, env)):
        raise BadRequest(trouble)
    queueing.warn_left_out(left_out)
    queueing.send(client(), [job], env, as_json, quiet)


def _folder() -> Path:
    try:
        return Path.cwd()
    except OSError:
        raise BadRequest("this folder is gone: go to another one first") from None


def _missing(program: str, folder: Path, env: dict[str, str]) -> str | None:
    """Why `program` cannot be run from `folder`, in words; None where it can."""
    import shutil

    if not folder.is_dir():
        return f"there is no folder {folder} to run it in"
    if "/" in program:
        path = folder / program
        if not path.exists():
            return f"there is no program {path}: check its name (or give --no-check)"
        if path.is_dir() or not os.access(path, os.X_OK):
            return f"{path} is not a program that you may run: chmod +x it, or name the program that reads it"
        return None
    if shutil.which(program, path=env.get("PATH", os.defpath)) is None:
        return f"there is no command {program!r} on your PATH: check its name (or give --no-check)"
    return None
