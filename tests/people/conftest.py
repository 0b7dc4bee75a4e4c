"""A daemon of root's, and three people: two strangers and an admin."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.people.users import User, admin_group, people
from tests.worlds import QUICK, World, world


@pytest.fixture(scope="session")
def crowd() -> Iterator[tuple[User, User, User]]:
    if os.getuid() != 0:
        pytest.skip("only root can make users, and become them")
    with TemporaryDirectory(prefix="ls-homes-") as folder:
        Path(folder).chmod(0o755)
        with people(Path(folder)) as made:
            yield made


@pytest.fixture(scope="session")
def one(crowd: tuple[User, User, User]) -> User:
    return crowd[0]


@pytest.fixture(scope="session")
def two(crowd: tuple[User, User, User]) -> User:
    return crowd[1]


@pytest.fixture(scope="session")
def boss(crowd: tuple[User, User, User]) -> User:
    """A member of the group of admins."""
    return crowd[2]


@pytest.fixture(scope="module")
def it(boss: User) -> Iterator[World]:
    """A daemon of root's whom all may ask."""
    with world(config(boss), kind=OpenWorld) as made:
        yield made


class OpenWorld(World):
    """A world whose socket everybody can reach."""

    def start(self) -> None:
        self.folder.chmod(0o755)
        super().start()


def config(boss: User, more: str = "") -> str:
    return f'{QUICK}socket_mode = "0666"\nadmin_group = "{admin_group(boss)}"\n{more}[pools]\nCPU = 4\n'
