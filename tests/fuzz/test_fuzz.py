"""A short run of the fuzzer; `make fuzz` is the long one."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.fuzz.storm import LIMITS, quick, storm
from tests.people.conftest import OpenWorld, config
from tests.people.users import User, people
from tests.worlds import world

Crowd = tuple[User, User, User]


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    with TemporaryDirectory(prefix="ls-homes-") as folder:
        Path(folder).chmod(0o755)
        with people(Path(folder)) as made:
            yield made


def test_thousands_of_requests_leave_the_daemon_as_it_was(crowd: Crowd) -> None:
    with world(config(crowd[2], LIMITS), kind=OpenWorld) as it:
        report = storm(it, crowd, 3_000, 1)
        assert quick(it) < 0.1
        assert {"200", "201", "400", "403", "404", "409"} <= set(report.seen), report
