"""Where the daemon's socket is, when nobody says otherwise.

As text: every command needs it, and to import pathlib takes as long as to import all that labsched itself has for it.
"""

import os
from collections.abc import Mapping

SYSTEM = "/run/labsched/labsched.sock"
MAX_BYTES = 107  # of its path: sun_path holds 108 with the NUL that ends it


def users_own(environ: Mapping[str, str] = os.environ) -> str:
    """The socket of a daemon that runs for one user."""
    return os.path.join(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}", "labsched", "labsched.sock")


def of_client(given: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The socket that a command talks to: the one given, $LABSCHED_SOCKET, the system's, else the user's."""
    if named := given or environ.get("LABSCHED_SOCKET"):
        return named
    return SYSTEM if os.path.exists(SYSTEM) else users_own(environ)


def of_daemon(given: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The socket that a daemon listens on: the one given, $LABSCHED_SOCKET, the system's for root, else the user's."""
    if named := given or environ.get("LABSCHED_SOCKET"):
        return named
    return SYSTEM if os.getuid() == 0 else users_own(environ)
