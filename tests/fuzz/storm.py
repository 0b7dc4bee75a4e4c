"""The storm: processes of two users and an admin send requests at once; and what must be true afterwards."""

import contextlib
import json
import os
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, Phase, given, seed, settings

from labsched.errors import Refused
from labsched.store import backup
from tests.fuzz import requests
from tests.fuzz.requests import RARE, Asked
from tests.fuzz.sender import Sender
from tests.people.users import User
from tests.worlds import World, eventually

MIB = 1024**2
MALFORMED = 3  # likewise, as HTTP
MUTANTS = 12  # of each request that hypothesis makes
# SQLite keeps a closed connection's descriptor for the next one while another connection of the process has a lock.
SPARE = Counter({backup.QUEUE: 8, "socket:[N]": 2})
WARM = 0.1  # of all requests, before memory is looked at for the first time
LIMITS = """[limits]
queued_jobs_per_user = 60
connections_per_user = 64
streams_per_user = 16
request_size = 4194304
patience = 1.0
"""


@dataclass
class Report:
    """What came of it. Memory in bytes."""

    requests: int
    seconds: float
    seen: Counter[str]
    answers_in: float  # seconds, a status afterwards
    memory: tuple[int, int]  # at first, afterwards
    descriptors: tuple[int, int]

    def __str__(self) -> str:
        seen = ", ".join(f"{what} {count}" for what, count in sorted(self.seen.items()))
        before, after = (round(size / MIB) for size in self.memory)
        return (
            f"{self.requests} requests in {self.seconds:.0f} s ({self.requests / self.seconds:.0f} a second): {seen}\n"
            f"afterwards: status in {self.answers_in * 1000:.0f} ms; memory {before} -> {after} MiB; "
            f"descriptors {self.descriptors[0]} -> {self.descriptors[1]}"
        )


def storm(it: World, crowd: tuple[User, User, User], count: int, start: int) -> Report:
    """Send `count` requests, from the seed `start` on, and look at the daemon afterwards; raises AssertionError."""
    one, two, boss = crowd
    secrets = {one.name: f"s3cret-{start}-one", two.name: f"s3cret-{start}-two", boss.name: f"s3cret-{start}-boss"}
    for who in crowd:  # each has something to hide
        _hide(it, who, secrets[who.name])
    before = _open(it)
    started = time.monotonic()
    seen: Counter[str] = Counter()
    memory: list[int] = []
    for part, first in ((count * WARM, 0), (count * (1 - WARM), 1_000)):
        people = [one, two, one, two, boss]
        shares = [round(part * share) for share in (0.24, 0.24, 0.24, 0.24, 0.04)]
        foreign = {who.name: [secrets[other.name].encode() for other in crowd if other is not who] for who in crowd}
        foreign[boss.name] = []  # an admin sees all
        work = [
            partial(_send, it, who, share, start + first + n, secrets[who.name], foreign[who.name])
            for n, (who, share) in enumerate(zip(people, shares, strict=True))
        ]
        found = _together(work, people)
        seen.update(found)
        _settle(it)
        memory.append(resident(it))
    seconds = time.monotonic() - started
    try:
        eventually(lambda: _open(it) - before <= SPARE)
    except AssertionError:
        raise AssertionError(f"there are more descriptors than before: {_open(it) - before}") from None
    asked = time.monotonic()
    two.asks(it).status()
    report = Report(
        seen.pop("requests"),
        seconds,
        seen,
        time.monotonic() - asked,
        (memory[0], memory[1]),
        (before.total(), _open(it).total()),
    )
    log = it.log
    assert "Traceback" not in log, log[-5_000:]
    assert not [word for word in secrets.values() if word in log], "a secret is in the daemon's log"
    assert len(log) < 200_000, "the log of the daemon grows with the requests"
    assert report.answers_in < 0.5, report  # a fork and a connection included; see also `quick`
    assert memory[1] - memory[0] < 48 * MIB, report
    return report


def quick(it: World) -> float:
    """Seconds that the quickest of some answers to `status` takes."""

    def once() -> float:
        started = time.perf_counter()
        it.status()
        return time.perf_counter() - started

    return min(once() for _ in range(10))


def resident(it: World) -> int:
    """The daemon's memory, in bytes."""
    assert it.process is not None
    status = Path(f"/proc/{it.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def _open(it: World) -> Counter[str]:
    """What the daemon's descriptors are of."""
    assert it.process is not None
    found = []
    for path in Path(f"/proc/{it.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            found.append(os.readlink(path))  # noqa: PTH115
    return Counter(backup.QUEUE if what.endswith(backup.QUEUE) else re.sub(r"\d+", "N", what) for what in found)


def _hide(it: World, who: User, secret: str) -> None:
    from labsched.recipes.command import expand

    made = expand(["sh", "-c", f"echo {secret}; exit 3", secret], cwd="/", extra={"TOKEN": secret})
    [number] = who.asks(it).submit(made)
    who.asks(it).wait(number)


def _send(it: World, who: User, count: int, start: int, secret: str, foreign: list[bytes]) -> Counter[str]:
    """Be one user, and send so many requests."""
    sender, random = Sender(it.folder / "s", foreign), Random(start)
    sent = 0

    def each(one: Asked) -> None:
        nonlocal sent
        if random.random() > RARE.get(one.route.path, 1):
            return
        real = requests.whole(one, sender.numbers, secret, random)
        for asked in (one, real, *(requests.spoil(real, random) for _ in range(MUTANTS))):
            sender.whole(requests.encode(asked, random))
            sent += 1
        data = requests.encode(real, random)
        for _ in range(MALFORMED):
            sender.broken(requests.malform(data, random), read=random.random() < 0.7)
            sent += 1
        if random.random() < 0.1:
            sender.several([data, requests.encode(one, random)] * random.randrange(1, 20))
            sent += 1
        if sender.numbers and random.random() < 0.05:  # so that there is room for more
            body = json.dumps({"jobs": [str(number) for number in sender.numbers]}).encode()
            sender.whole(b"POST /v1/jobs/cancel HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            sent += 1

    while sent < count:
        examples = max((count - sent) // (MUTANTS + MALFORMED + 2), 1)
        quietly = settings(
            max_examples=min(examples, 500),
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        start += 1
        seed(start)(quietly(given(requests.anything)(each)))()
    sender.close()
    return sender.seen + Counter(requests=sent)


def _together(work: Sequence[Callable[[], Counter[str]]], people: list[User]) -> Counter[str]:
    """Do it all at once, each in a process of its user's."""
    readers = []
    for what, who in zip(work, people, strict=True):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(reader)
                os.initgroups(who.name, who.gid)
                os.setgid(who.gid)
                os.setuid(who.uid)
                os.chdir(who.home)  # hypothesis keeps things in the working folder
                os.environ["HOME"] = str(who.home)
                with os.fdopen(writer, "w") as pipe:
                    json.dump(what(), pipe)
                code = 0
            except BaseException as error:
                print(f"{who.name}: {error!r}", file=sys.stderr)
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(writer)
        readers.append((pid, reader))
    seen: Counter[str] = Counter()
    codes = []
    for pid, reader in readers:
        with os.fdopen(reader) as pipe:
            said = pipe.read()
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        seen.update(json.loads(said or "{}"))
    assert codes == [0] * len(codes), "a process found something: see above"
    return seen


def _settle(it: World) -> None:
    """Have the pools as they were, and nothing run or wait."""
    from labsched.wire.messages import Pools
    from labsched.wire.requests import PoolSet

    for pool in it.client.get("pools", Pools).pools:
        it.client.post(f"pools/{pool.name}", PoolSet(slots=4, paused=False), Pools)
    while live := [row.id for row in it.status(limit=1000).jobs if row.state != "ended"]:
        with suppress(Refused):  # one has ended by itself meanwhile
            it.verb("cancel", *live)
