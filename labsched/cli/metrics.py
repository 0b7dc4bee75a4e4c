"""labsched metrics: figures for Prometheus."""

import os
import sys

import click

from labsched.cli.context import client, socket_option


@click.command()
@click.option("-o", "--output", metavar="FILE", help="Into this file, at one stroke: for node_exporter.")
@socket_option
def metrics(output: str | None) -> None:
    """Print the daemon's figures in the text format of Prometheus: pools, stages, waits, the daemon itself.

    With -o, for the textfile collector of node_exporter, whoever reads FILE sees the old figures or the new ones. Where
    no daemon answers, FILE is left as it is.

    \b
    Example:
      labsched metrics
      labsched metrics -o /var/lib/prometheus/node-exporter/labsched.prom
    """
    data = b"".join(client().stream("metrics", timeout=30.0))
    if output is None:
        sys.stdout.write(data.decode())
        return
    part = f"{output}.{os.getpid()}.part"  # which the collector passes over, for it does not end in .prom
    try:
        with open(part, "wb") as file:
            file.write(data)
        os.chmod(part, 0o644)
        os.replace(part, output)
    except OSError:
        if os.path.exists(part):
            os.unlink(part)
        raise
