"""Who is asking: what the kernel says of the other end of the socket, never what a message says."""

import asyncio
import contextlib
import grp
import os
import pwd
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from labsched.core.model import Limits
from labsched.daemon.privileges import Mode
from labsched.errors import Forbidden

_UCRED = struct.Struct("3i")
FRESH_S = 10.0  # that what the user database said of somebody holds
MANY = 10_000


@dataclass(frozen=True, slots=True)
class Peer:
    """A person. An admin may touch everybody's jobs, and the pools."""

    uid: int
    name: str
    admin: bool
    account: bool = True  # whether the machine knows more of them than the number

    def sees(self, uid: int) -> bool:
        """Whether they may know all about that user's jobs: arguments, environment, logs."""
        return self.admin or self.uid == uid


class Peers:
    """Looks people up: members of `admin_group`, root and the daemon's own user are admins."""

    def __init__(self, mode: Mode, admin_group: str) -> None:
        self.mode = mode
        self.admin_group = admin_group
        self._known: dict[int, tuple[Peer, float]] = {}

    async def peer(self, connection: socket.socket) -> Peer:
        """The person at the other end of a unix socket; raises Forbidden where this daemon does not serve them."""
        uid = peer_uid(connection)
        person, until = self._known.get(uid, (None, 0.0))
        if person is None or time.monotonic() > until:
            person = await asyncio.to_thread(_look_up, uid, self.admin_group)  # the database may be far away
            if len(self._known) >= MANY:
                self._known.clear()
            self._known[uid] = person, time.monotonic() + FRESH_S
        admit(person, self.mode)
        return person


def peer_uid(connection: socket.socket) -> int:
    """Whose process connected, as the kernel has it."""
    _, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)


def session_limits(connection: socket.socket) -> Limits | None:
    """The resource limits of the process that connected; None where it is gone, or has become somebody else.

    A number that was given again is that of a process of the same user, who has its limits too.
    """
    pid, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    try:
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
        if os.stat(f"/proc/{pid}").st_uid != uid:  # noqa: PTH116
            return None
    except OSError:
        return None
    columns = [line[26:].split() for line in lines]  # in the order of their numbers
    return [(_limit(soft), _limit(hard)) for soft, hard, *_ in columns]


def _limit(word: str) -> int:
    return -1 if word == "unlimited" else int(word)


def _look_up(uid: int, admin_group: str) -> Peer:
    admin = uid in (0, os.getuid())
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Peer(uid, str(uid), admin, account=False)
    with contextlib.suppress(KeyError, OSError):  # there may be no such group
        admin = admin or group_id(admin_group) in os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Peer(uid, entry.pw_name, admin)


def user_name(uid: int) -> str:
    """A user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def admit(person: Peer, mode: Mode) -> None:
    """Raise Forbidden unless this daemon serves this person: its own user and root, else all who reach it."""
    if mode is Mode.OWN and person.uid not in (0, os.getuid()):
        raise Forbidden(
            f"this daemon serves {user_name(os.getuid())} alone: run one of your own (labsched daemon), or have "
            "[daemon] shared_account = true set in its configuration if the lab shares its account"
        )


def may_submit(person: Peer, mode: Mode) -> None:
    """Raise Forbidden where nothing could run as this person."""
    if mode is Mode.EACH and not person.account:
        raise Forbidden(f"uid {person.uid} has no account on this machine, so nothing can run as it")


def may_rank(person: Peer, name: str, priority: int, highest: int) -> None:
    """Raise Forbidden where this person may not give the job of this name such a priority."""
    if priority > highest and not person.admin:
        raise Forbidden(
            f"{name}: a priority of {priority} is for admins, for it goes before everybody else's jobs: ask for "
            f"{highest} or less ([limits] priority), or ask an admin"
        )


def may_touch(person: Peer, uid: int, what: str) -> None:
    """Raise Forbidden unless this is the owner, or an admin."""
    if not person.sees(uid):
        raise Forbidden(f"{what} belongs to {user_name(uid)}: ask them, or an admin")


def group_id(name: str) -> int:
    """A group's number; raises KeyError where there is none."""
    return grp.getgrnam(name).gr_gid
