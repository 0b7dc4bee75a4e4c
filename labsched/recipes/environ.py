"""What a job takes along of the environment of the person who asks."""

import os
from collections.abc import Mapping

UMASK = "LABSCHED_UMASK"  # which a stage is started with; it has no such variable itself

#: Facts about a shell or about an attempt that a job is asked from; a job gets its own, or none.
DROPPED = frozenset({"_", "OLDPWD", "PWD", "SHLVL", "COLUMNS", "LINES"})
KEPT = frozenset({"LABSCHED_SOCKET", "LABSCHED_STATE", "LABSCHED_CONFIG"})
#: All that the stages of a recipe get: who and where one is, the language, and where programs and files are.
SMALL = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"}
)
SMALL_PREFIXES = ("LC_", "XDG_")


def full(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The environment of a command: the caller's, less `DROPPED` and what labsched tells its own stages.

    Also the names of the variables left out because they are not text (JSON has no place for other bytes).
    """
    wanted = {
        key: value
        for key, value in environ.items()
        if key not in DROPPED and (key in KEPT or not key.startswith("LABSCHED_"))
    }
    return _only_text(wanted)


def small(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The environment of a recipe's stages, so that what comes out does not depend on who asked; as `full`."""
    wanted = {key: value for key, value in environ.items() if key in SMALL or key.startswith(SMALL_PREFIXES)}
    return _only_text(wanted)


def umask() -> str:
    """The umask of whoever asks, octal: what their jobs make is as closed as what they make themselves."""
    # os.umask only tells it by changing it, for other threads, too
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("Umask:"):
                return f"{int(line.split()[1], 8):03o}"
    mask = os.umask(0o077)
    os.umask(mask)
    return f"{mask:03o}"


def is_text(value: str) -> bool:
    """Whether it can be written as UTF-8: bytes that cannot come from the system as lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _only_text(wanted: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    kept = {key: value for key, value in wanted.items() if is_text(key) and is_text(value)}
    return kept, sorted(set(wanted) - set(kept))
