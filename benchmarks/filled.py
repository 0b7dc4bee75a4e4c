"""A queue as it may be after years: so many jobs that wait, and so many that have ended.

python -m benchmarks.filled FILE [--waiting 100000] [--ended 1000000] [--people 20]
"""

import argparse
import json
import os
import pwd
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from labsched.store import tallies
from labsched.store.engine import open_engine
from labsched.store.prepared import driver
from labsched.store.upgrade import upgrade
from labsched.store.verbs import declare_pools

POOLS = {"RAM": 2, "CPU": 4, "GPU": 1}
LENGTH_S = 3.0  # from one submit to the next
# As a lab's: most jobs of one stage, each with an attempt and its events, one in fifty failed.
ROWS = (
    """WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < :total)
    INSERT INTO jobs (id, name, recipe, user, uid, priority, submitted_at, environment_id, ended_at, outcome)
    SELECT i, 'job ' || i, 'command', coalesce(:me, 'user' || (i % :people)), coalesce(:uid, 20000 + i % :people),
        iif(:me IS NULL, 0, -(i % :people)), :now - (:total - i) * :length, 1,
        CASE WHEN i <= :ended THEN :now - (:total - i) * :length + 1 END,
        CASE WHEN i <= :ended THEN iif(i % 50, 'succeeded', 'failed') END FROM n""",
    """INSERT INTO stages (id, job_id, position, name, argv, cwd, env, outputs, needs, state, outcome, ended_at, line)
    SELECT id, id, 0, 'run', :argv, '/', '{}', '[]', '{"CPU":1}', iif(outcome IS NULL, 'waiting', 'ended'),
        outcome, ended_at, iif(outcome IS NULL, '[' || priority || ',"' || user || '",[["CPU",1]]]', NULL) FROM jobs""",
    """INSERT INTO attempts (stage_id, number, folder, boot_id, created_at, started_at, ended_at, outcome, exit_code,
        peak_memory, cpu_time)
    SELECT id, 1, job_id || '/run.1', 'another', ended_at - 1, ended_at - 1, ended_at, outcome, outcome = 'failed',
        1000000, 0.5 FROM stages WHERE state = 'ended'""",
    """INSERT INTO events (at, kind, job_id, user, data)
    SELECT submitted_at, 'job.submitted', id, user, '{}' FROM jobs""",
    *(
        f"""INSERT INTO events (at, kind, job_id, stage_id, data)
        SELECT ended_at - {before}, {kind}, job_id, id, '{{"move":"{move}"}}' FROM stages WHERE state = 'ended'"""
        for before, kind, move in (
            (1, "'stage.starting'", "a"),
            (1, "'stage.running'", "b"),
            (0, "'stage.' || outcome", "c"),
        )
    ),
)


def fill(
    path: Path,
    waiting: int,
    ended: int,
    people: int = 20,
    command: Sequence[str] = ("/bin/true",),
    own: bool = False,
) -> None:
    """Make the queue at `path`. What waits is held back by a pause of all pools.

    `command`: of each job; it needs one CPU. `own`: all are the caller's own, so that they may run; then it is their
    priorities that make as many lines of them as there would be `people`.
    """
    upgrade(path)
    values: dict[str, object] = {
        "total": waiting + ended,
        "ended": ended,
        "people": people,
        "now": time.time(),
        "length": LENGTH_S,
        "argv": json.dumps(list(command)),
        "uid": None,
        "me": None,
    }
    if own:
        values |= {"uid": os.getuid(), "me": pwd.getpwuid(os.getuid()).pw_name}
    with closing(open_engine(path, synchronous="OFF").connect()) as connection:
        raw = driver(connection)
        raw.execute("BEGIN IMMEDIATE")
        declare_pools(connection, POOLS, 0.0)
        raw.execute("UPDATE pools SET paused_by = 'benchmark', paused_at = 0.0")
        variables = json.dumps({f"VARIABLE_{i}": "x" * 40 for i in range(40)})
        raw.execute("INSERT INTO environments (digest, variables) VALUES ('x', ?)", (variables,))
        tallies.suspend(connection)
        if values["total"]:
            for statement in ROWS:
                raw.execute(statement, values)
        tallies.install(connection)
        raw.execute("COMMIT")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--waiting", type=int, default=100_000)
    parser.add_argument("--ended", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=20)
    given = parser.parse_args()
    fill(given.file, given.waiting, given.ended, given.people)
