"""labsched open: a sorted block in the program that people look at it with."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click

from labsched.cli import results
from labsched.cli.context import client, socket_option
from labsched.cli.types import ABOUT_JOB, COUNT, JOB
from labsched.errors import LabschedError, Refused
from labsched.wire.messages import Job

INSTALL = "python3 -m venv ~/phy && ~/phy/bin/pip install 'setuptools<81' phy PyQt5 PyQtWebEngine"
SHOWS = ("DISPLAY", "WAYLAND_DISPLAY")


@click.command("open", epilog=ABOUT_JOB)
@click.argument("name", type=JOB, metavar="JOB")
@click.option(
    "--with", "program", type=click.Choice(("phy", "kwik")), default="phy", show_default=True,
    help="phy's template-gui on a copy for it, or phy's kwik-gui on the .kwik itself.",
)  # fmt: skip
@click.option("--shank", type=COUNT, metavar="N", help="Which shank, for --with kwik. Default: the first.")
@click.option("--print", "only_print", is_flag=True, help="Print the command; start nothing.")
@socket_option
def open_(name: str, program: str, shank: int | None, only_print: bool) -> int:
    """Look at a sorted block in phy: starts it where there is a display, and else prints the command that does.

    phy is taken from $LABSCHED_PHY (the folder of its virtual environment), ~/phy, or the PATH. The first time, the
    block is exported for it; what is done in phy is kept there. With --with kwik it works on the .kwik itself.

    \b
    Example:
      labsched open rat12/2024-03-10
      labsched open 430 --with kwik --shank 2
      labsched open last --print
    """
    if shank is not None and program != "kwik":
        raise click.UsageError("--shank goes with --with kwik: phy's template-gui shows all shanks at once")
    job = client().get("job", Job, ref=name)
    found = results.of(job)
    phy = _phy()
    if program == "phy":
        folder = found.folder / f"{found.name}.phy"
        if not folder.exists():
            if not only_print:
                click.echo(f"exporting {job.name} for phy", err=True)
            results.ephys(job.name, "export", str(found.folder), "--name", found.name, "--to", "phy")
        command = [str(phy / "phy") if phy else "phy", "template-gui", str(folder / "params.py")]
    else:
        shim = Path(__file__).parents[1] / "ephys" / "export" / "kwik_gui.py"
        command = [str(phy / "python") if phy else "python", str(shim), str(found.folder / f"{found.name}.kwik")]
        command += [] if shank is None else ["--shank", str(shank)]
    if only_print or phy is None or not any(os.environ.get(each) for each in SHOWS):
        click.echo(shlex.join(command))
        if phy is None:
            raise Refused(f"phy is not installed here: {INSTALL}; then the command above opens the block")
        if not only_print:
            click.echo("note: there is no display here: run it where there is one (ssh -X)", err=True)
        return 0
    try:
        done = subprocess.run(command, check=False)
    except OSError as error:
        raise LabschedError(f"{command[0]} cannot be started: {error.strerror}") from None
    if done.returncode:
        raise LabschedError(f"phy ended with exit code {done.returncode}: what it printed says why")
    return 0


def _phy() -> Path | None:
    """The folder with phy's programs, or None."""
    named = os.environ.get("LABSCHED_PHY")
    if named:
        for folder in (Path(named).expanduser() / "bin", Path(named).expanduser(), Path(named).expanduser().parent):
            if (folder / "phy").is_file():
                return folder
        raise Refused(
            f"$LABSCHED_PHY is {named}, and there is no phy in it: give the folder of its virtual environment"
        )
    beside = [Path("~/phy/bin").expanduser(), Path(sys.executable).parent]
    found = shutil.which("phy")
    beside += [Path(found).parent] if found else []
    return next((folder for folder in beside if (folder / "phy").is_file()), None)
