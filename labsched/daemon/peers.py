"""Who is asking: what the kernel says of the other end of the socket, never what a message says."""

import grp
import os
import pwd
import socket
import struct
from dataclasses import dataclass

from labsched.errors import Forbidden

_UCRED = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Peer:
    """A person. An admin may touch everybody's jobs, and the pools."""

    uid: int
    name: str
    admin: bool


def peer(connection: socket.socket) -> Peer:
    """The person at the other end of a unix socket."""
    _, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(uid, user_name(uid), uid in (0, os.getuid()))


def user_name(uid: int) -> str:
    """A user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def admit(person: Peer, shared_account: bool) -> None:
    """Raise Forbidden unless this daemon serves this person: its own user and root, else all if the lab says so."""
    if not (shared_account or person.admin):
        raise Forbidden(
            f"this daemon serves {user_name(os.getuid())} alone: run one of your own (labsched daemon), or have "
            "[daemon] shared_account = true set in its configuration if the lab shares its account"
        )


def may_touch(person: Peer, uid: int, what: str) -> None:
    """Raise Forbidden unless this is the owner, or an admin."""
    if not (person.admin or person.uid == uid):
        raise Forbidden(f"{what} belongs to {user_name(uid)}: ask them, or an admin")


def group_id(name: str) -> int:
    """A group's number; raises KeyError where there is none."""
    return grp.getgrnam(name).gr_gid
