"""labsched export: a sorted block in another program's format."""

import click

from labsched.cli import results
from labsched.cli.context import client, socket_option
from labsched.cli.types import ABOUT_JOB, JOB
from labsched.wire.messages import Job

FORMATS = ("phy", "nwb", "spikeinterface")


@click.command(epilog=ABOUT_JOB)
@click.argument("name", type=JOB, metavar="JOB")
@click.option("--to", type=click.Choice(FORMATS), required=True, help="Which format.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier export, with what was done in it.")
@socket_option
def export(name: str, to: str, overwrite: bool) -> None:
    """Write a sorted block in another program's format, beside its results, and say what opens it.

    phy: a folder for phy's template-gui, which may be moved. nwb: a file of Neurodata Without Borders (with the extra
    labsched[nwb]). spikeinterface: a folder that spikeinterface.load reads.

    \b
    Example:
      labsched export rat12/2024-03-10 --to phy
      labsched export 430 --to nwb --overwrite
    """
    job = client().get("job", Job, ref=name)
    found = results.of(job)
    words = ["export", str(found.folder), "--name", found.name, "--to", to, *(["--overwrite"] if overwrite else [])]
    click.echo(results.ephys(job.name, *words), nl=False)
