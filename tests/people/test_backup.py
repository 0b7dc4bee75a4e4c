"""A backup holds everybody's environments."""

import pytest

from labsched import errors
from labsched.store.backup import copy
from tests.people.users import User
from tests.worlds import World


def test_a_backup_is_for_admins_alone(it: World, one: User, boss: User) -> None:
    with pytest.raises(errors.Forbidden, match="ask an admin"):
        one.does(lambda: b"".join(it.client.stream("backup", timeout=30)))
    with pytest.raises(errors.Refused, match="you may not read"):
        one.does(lambda: copy(it.folder / "state/queue.db", one.home / "b.db"))
    assert boss.does(lambda: b"".join(it.client.stream("backup", timeout=30))).startswith(b"SQLite format 3\0")
