"""What is measured: labsched, its peers, and the floors below which nothing can be."""

from benchmarks.scheduler.sides import floors, gflow, labsched, runners, slurm, spooler
from benchmarks.scheduler.sides.base import Side

SIDES: tuple[Side, ...] = (
    *(labsched.SIDE, spooler.SIDE, runners.DASK, runners.HYPERQUEUE, gflow.SIDE, slurm.SIDE),
    *(floors.XARGS, floors.MAKE),
)
