"""Each removes their own old jobs; an admin everybody's."""

from labsched.wire.messages import Pruned
from labsched.wire.requests import Prune
from tests.people.users import User
from tests.worlds import World, command

ALL = Prune(before=0.0)


def prune(it: World, who: User, asked: Prune = ALL) -> Pruned:
    return who.does(lambda: list(it.client.post_lines("prune", asked, Pruned))[-1])


def test_others_jobs_stay_whoever_asks_but_an_admin(it: World, one: User, two: User, boss: User) -> None:
    mine = one.asks(it).submit(command("sh", "-c", "ln -s /etc ${LABSCHED_PROGRESS%/*}/link; echo mine", cwd="/tmp"))
    theirs = two.asks(it).submit(command("echo", "theirs", cwd="/tmp"), command("echo", "too", cwd="/tmp"))
    one.asks(it).wait(*mine, *theirs)
    attempts = it.folder / "state/attempts"
    assert prune(it, one, Prune(before=0.0, dry_run=True)).jobs == 1
    assert prune(it, one, Prune(logs_over=0)).jobs == 1
    assert sorted(int(path.name) for path in attempts.iterdir()) == theirs
    assert prune(it, one).jobs == 0
    assert prune(it, two, Prune(keep=1)).jobs == 1
    assert prune(it, boss).jobs == 1
    assert list(attempts.iterdir()) == []
