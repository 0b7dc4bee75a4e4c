"""One of many clients: queues no-op jobs, a request each, once it is told to; prints their numbers.

python -m benchmarks.scheduler.submitter SOCKET COUNT
"""

import sys
from pathlib import Path

from benchmarks.scheduler.ours import ENV, job
from benchmarks.scheduler.sides.base import NOOP
from labsched.wire.client import Client
from labsched.wire.messages import Submitted
from labsched.wire.requests import Submit


def main(path: str, count: str) -> None:
    client, body = Client(Path(path), timeout=120), Submit((job([(NOOP, {"CPU": 1})]),), ENV)
    print("ready", flush=True)
    sys.stdin.readline()
    numbers = [client.post("jobs", body, Submitted).jobs[0].id for _ in range(int(count))]
    print(*numbers)


if __name__ == "__main__":
    main(*sys.argv[1:])
