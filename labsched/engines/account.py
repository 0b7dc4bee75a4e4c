"""Whom a stage runs as: found by its shim, and taken on between fork and exec, never to be given back.

Standard library only, and little of it: the shim imports this.
"""

import ctypes
import functools
import grp
import os
import pwd
import time
from typing import Any, NamedTuple

PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITIES = 0x20080522  # version 3 of the call: two words for each of three sets


class Account(NamedTuple):
    """A user of this machine, as its databases have them now."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    env: dict[str, str]


def find(uid: int, name: str) -> Account:
    """The account `uid`; raises LookupError with a sentence unless it is still that of `name`.

    What other databases than this machine's files say may be a second old.
    """
    return _find(uid, name, _changed("/etc/passwd"), _changed("/etc/group"), int(time.monotonic()))


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=8)
def _find(uid: int, name: str, *_of: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise LookupError(f"{name}, who submitted it, has no account (uid {uid}) on this machine any more") from None
    if entry.pw_name != name:
        raise LookupError(f"uid {uid} was {name}'s when it was submitted, and is {entry.pw_name}'s now: submit it anew")
    shell = entry.pw_shell or "/bin/sh"
    env = {"HOME": entry.pw_dir or "/", "USER": entry.pw_name, "LOGNAME": entry.pw_name, "SHELL": shell}
    return Account(uid, entry.pw_gid, tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)), env)


def warm() -> None:
    """Load what looking up takes, so that those forked from here on need not."""
    try:
        os.getgrouplist(pwd.getpwuid(0).pw_name, 0)
        grp.getgrgid(0)
    except (KeyError, OSError):
        pass


def become(account: Account, libc: ctypes.CDLL) -> None:
    """Be that user and nobody else, with all of their groups. For good; raises OSError."""
    os.setgroups(account.groups)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    forgo(libc)


def forgo(libc: ctypes.CDLL) -> None:
    """Give up every capability, also those that would be handed on; root keeps what it is. Raises OSError.

    A change of user takes them from root alone: a daemon that has them otherwise would give them to its stages.
    """
    if os.getuid() == 0:
        return
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    nothing: Any = (ctypes.c_uint32 * 6)()
    if libc.capset((ctypes.c_uint32 * 2)(_CAPABILITIES, 0), nothing) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
