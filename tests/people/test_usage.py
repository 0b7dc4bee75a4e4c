"""What others used is for admins, unless the configuration says otherwise."""

import pytest

from labsched.errors import Forbidden
from labsched.wire.messages import Reloaded, Usage
from labsched.wire.requests import Reload
from tests.people.conftest import config
from tests.people.users import User
from tests.worlds import World, command


def users(it: World, who: User, **query: str) -> tuple[list[str | None], bool]:
    answer = who.does(lambda: it.client.get("usage", Usage, by="user", **query))
    return [row.user for row in answer.rows], answer.mine


def test_people_see_their_own_and_admins_everybodys(it: World, one: User, two: User, boss: User) -> None:
    for who in (one, two):
        (number,) = who.asks(it).submit(command("true", cwd="/tmp"))
        who.asks(it).wait(number)
    assert users(it, one) == ([one.name], True)
    assert users(it, boss) == (sorted([one.name, two.name]), False)
    assert users(it, boss, user=two.name) == ([two.name], False)
    assert users(it, one, user=one.name) == ([one.name], True)
    with pytest.raises(Forbidden, match=r"to admins \(\[limits\] usage_of_others\)"):
        users(it, one, user=two.name)
    text = config(boss, "[limits]\nusage_of_others = true\n")
    (it.folder / "config.toml").write_text(text)
    it.client.post("config/reload", Reload(), Reloaded)
    assert users(it, one) == (sorted([one.name, two.name]), False)
