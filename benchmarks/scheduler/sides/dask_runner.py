"""Run by an interpreter that has `distributed`: no-op jobs, or pairs, through a local cluster; prints the seconds.

python dask_runner.py noops|pairs COUNT SLOTS COMMAND...      SLOTS: 2, or RAM=2,CPU=4
"""

import subprocess
import sys
import time

from distributed import Client, LocalCluster, wait


def run(_number: object, argv: list[str]) -> None:
    """A job: what counts is that it succeeds."""
    subprocess.run(argv, check=True)


def main(what: str, count: str, slots: str, *argv: str) -> None:
    number, words = int(count), list(argv)
    pools = {name: int(n) for name, n in (pool.split("=") for pool in slots.split(","))} if "=" in slots else {}
    threads = sum(pools.values()) or int(slots)
    cluster = LocalCluster(
        n_workers=1, threads_per_worker=threads, resources=pools or None, dashboard_address=None, host="127.0.0.1"
    )
    with cluster, Client(cluster) as client:
        first, second = ({"RAM": 1}, {"CPU": 1}) if pools else (None, None)
        wait(
            client.map(run, range(-threads, 0), argv=["/bin/true"], pure=False, resources=first)
        )  # it has worked before
        began = time.perf_counter()
        done = client.map(run, range(number), argv=words, pure=False, resources=first)
        if what == "pairs":
            done = client.map(run, done, argv=words, pure=False, resources=second)
        wait(done)
        seconds = time.perf_counter() - began
        if bad := [future for future in done if future.status != "finished"]:
            raise SystemExit(f"{len(bad)} jobs failed")
    print(seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
