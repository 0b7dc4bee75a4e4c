"""Run by an interpreter that has `hyperqueue`: no-op jobs, or pairs, through a local cluster; prints the seconds.

python hyperqueue_runner.py batch|each|pairs COUNT CORES FOLDER COMMAND...
"""

import sys
import time

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig
from hyperqueue.ffi.protocol import ResourceRequest


def main(what: str, count: str, cores: str, folder: str, *argv: str) -> None:
    number, words = int(count), list(argv)
    quiet = {"stdout": None, "stderr": None, "cwd": folder}
    with LocalCluster(server_dir=folder, worker_config=WorkerConfig(cores=int(cores))) as cluster:
        client = cluster.client()
        first = Job()
        first.program(["/bin/true"], **quiet)
        client.wait_for_jobs([client.submit(first)])  # it has worked before
        began = time.perf_counter()
        jobs = [Job() for _ in range(number if what == "each" else 1)]
        for i in range(number):
            job = jobs[i if what == "each" else 0]
            if what == "pairs":  # of four cores a first stage takes two: so there are two of them at most
                before = job.program(words, resources=ResourceRequest(cpus=2), **quiet)
                job.program(words, deps=[before], resources=ResourceRequest(cpus=1), **quiet)
            else:
                job.program(words, **quiet)
        client.wait_for_jobs([client.submit(job) for job in jobs])
        seconds = time.perf_counter() - began
    print(seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
