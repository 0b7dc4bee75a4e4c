"""Starting an attempt's command: the few steps up to its first instruction.

Where the command runs as somebody else, in a group, or with other limits than the shim's, a fork of the shim becomes
all that first. It becomes the submitter before it looks at anything that the submitter named (working folder, command),
so that neither it nor its words tell anybody what the daemon alone may see. Where there is nothing of the kind to
become (one account, as in a lab that shares one), the command is spawned at a third of the cost.

Standard library only: the shim imports this.
"""

import contextlib
import ctypes
import errno
import functools
import json
import os
import resource
import signal
from typing import Any, NoReturn

from labsched.engines import account as accounts
from labsched.engines.account import Account
from labsched.engines.cgroups import Group
from labsched.faults import point

PR_SET_PDEATHSIG = 1
FULL = (errno.ENOSPC, errno.EDQUOT)
PASSES = (*FULL, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE)  # what is no fault of the stage's, and passes
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)  # by Python, and what is ignored stays so across exec
_SOFT = (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE, resource.RLIMIT_STACK)  # the shim may have another for a moment
_getrlimit = functools.cache(resource.getrlimit)  # ours do not change
MAX_WORDS = 65_536  # bytes of what a child says


class CannotStart(Exception):
    """Why a command could not be started, in a sentence."""


class NoGroup(Exception):
    """Why a command could not be started in its group, in words."""


def start(
    libc: ctypes.CDLL, spec: dict[str, Any], account: Account | None, output: int, group: Group | None = None
) -> int:
    """Start the command with `output` as its stdout and stderr; returns its pid. Raises CannotStart, or NoGroup."""
    if group is None and _is_plain(spec, account):
        return _spawn(spec, account, output)
    shim = os.getpid()
    reader, writer = os.pipe()
    try:
        pid = os.fork() if group is None else group.fork()
    except OSError as error:
        os.close(reader)
        os.close(writer)
        if group is None:
            raise
        raise NoGroup(f"its cgroup could not be entered: {error.strerror}") from None
    if pid == 0:
        _child(libc, spec, account, output, writer, shim)
    os.close(writer)
    with open(reader, "rb") as pipe:
        words = pipe.read(MAX_WORDS)
    if words:
        os.waitpid(pid, 0)
        raise CannotStart(words.decode(errors="replace"))
    return pid


def _is_plain(spec: dict[str, Any], account: Account | None) -> bool:
    """Whether the command needs to become nothing that we are not."""
    if account is not None and not _is_ours(account):
        return False
    if account is None and os.getuid() != 0 and _has_capabilities():
        return False
    return all(number in _SOFT and had[1] == wanted[1] for number, wanted, had in _other_limits(spec))


def _other_limits(spec: dict[str, Any]) -> list[tuple[int, list[int], tuple[int, int]]]:
    """The resource limits that the command has otherwise than we do: which, its own, ours."""
    each = ((number, wanted, _getrlimit(number)) for number, wanted in spec["limits"])
    return [(number, wanted, had) for number, wanted, had in each if had != tuple(wanted)]


def _is_ours(account: Account) -> bool:
    mine = (os.getresuid(), os.getresgid(), {os.getgid(), *os.getgroups()})
    return account.uid == 0 and mine == ((0,) * 3, (account.gid,) * 3, {account.gid, *account.groups})


@functools.cache
def _has_capabilities() -> bool:
    """Whether a command of ours would have rights that its user has not."""
    try:
        with open("/proc/self/status") as file:
            sets = dict(line.rstrip().split(":\t", 1) for line in file if line.startswith("Cap"))
    except OSError:
        return True
    return any(int(sets[name], 16) for name in ("CapInh", "CapPrm", "CapAmb"))


def _spawn(spec: dict[str, Any], account: Account | None, output: int) -> int:
    env = _environment(spec, account)
    ours = os.umask(spec["umask"])
    limits = _other_limits(spec)
    try:
        for number, wanted, _ in limits:
            resource.setrlimit(number, (wanted[0], wanted[1]))
        os.chdir(spec["cwd"])
        pid = _spawn_first(spec["argv"], env, output)
    except (OSError, ValueError) as error:
        raise CannotStart(_why(error, spec, env)) from None
    finally:
        for number, _, had in limits:
            resource.setrlimit(number, had)
        os.umask(ours)
        os.chdir("/")
    _yield(pid, spec["nice"])
    return pid


def _spawn_first(argv: list[str], env: dict[str, str], output: int) -> int:
    """Spawn the first program that has this name, as execvpe finds it. Raises OSError, ValueError."""
    paths = [argv[0]]
    if "/" not in argv[0]:
        found = [os.path.join(folder, argv[0]) for folder in os.get_exec_path(env)]
        paths = [path for path in found if os.path.exists(path)] or found[-1:] or paths
    actions = [(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
    refused: OSError | None = None
    absent: OSError | None = None
    for path in paths:
        try:
            return os.posix_spawn(
                *(path, argv, env), file_actions=actions, setsid=True, setsigmask=(), setsigdef=_IGNORED
            )
        except (FileNotFoundError, NotADirectoryError) as error:
            absent = error
        except OSError as error:
            refused = refused or error
    raise refused or absent or OSError(errno.ENOENT, os.strerror(errno.ENOENT))


def _environment(spec: dict[str, Any], account: Account | None) -> dict[str, str]:
    """The command's: what the account says of itself goes before what was not asked for by name."""
    if account is None:
        return spec["env"]  # type: ignore[no-any-return]
    said = spec.get("said", ())
    return {**spec["env"], **{name: value for name, value in account.env.items() if name not in said}}


@functools.cache
def become_nice(nice: int) -> None:
    """Be so much nicer than the daemon, as the commands are to be from their first moment on. Not to be taken back:
    `shims.Shims.renew` makes others."""
    os.nice(nice)


def missing(libc: ctypes.CDLL, spec: dict[str, Any], account: Account | None) -> list[str]:
    """The expected outputs that are not there, or not for the submitter to see."""
    paths = [os.path.join(spec["cwd"], path) for path in spec["outputs"]]
    if account is None:
        return [path for path in paths if not os.path.exists(path)]
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            accounts.become(account, libc)
            with open(writer, "w") as pipe:
                json.dump([number for number, path in enumerate(paths) if not os.path.exists(path)], pipe)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    try:
        return [paths[number] for number in json.loads(said)]
    except (ValueError, IndexError, TypeError):  # the submitter has killed it
        return paths


def _child(
    libc: ctypes.CDLL, spec: dict[str, Any], account: Account | None, output: int, writer: int, shim: int
) -> NoReturn:
    try:
        point("stage.forked", spec["env"])
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _yield("self", spec["nice"])
        for number, limits in spec["limits"]:
            _limit(number, *limits)
        env = _environment(spec, account)
        if account is None:
            accounts.forgo(libc)
        else:
            _become(account, libc)
        # Only now: a change of user clears it.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != shim:
            os._exit(127)
        os.umask(spec["umask"])
        try:
            os.chdir(spec["cwd"])
            os.execvpe(spec["argv"][0], spec["argv"], env)
        except OSError as error:
            os.write(writer, _why(error, spec, env).encode())
    except CannotStart as error:
        os.write(writer, str(error).encode())
    except BaseException as error:
        os.write(writer, f"the command {spec['argv'][0]} could not be started: {error}".encode())
    finally:
        os._exit(127)


def _limit(number: int, soft: int, hard: int) -> None:
    """Set a resource limit, or what comes nearest of what we may: our own may be lower."""
    with contextlib.suppress(ValueError, OSError):
        ours = resource.getrlimit(number)[1]
        try:
            resource.setrlimit(number, (soft, hard))
        except (ValueError, OSError):
            resource.setrlimit(number, (ours if soft == -1 else min(soft, ours), ours))


def _become(account: Account, libc: ctypes.CDLL) -> None:
    try:
        accounts.become(account, libc)
    except OSError as error:
        raise CannotStart(f"it could not be started as {account.env['USER']}: {error.strerror}") from None


def _yield(pid: int | str, nice: int) -> None:
    """Have a command's session leave the processor to others: where sessions are scheduled as groups (autogroup), a
    niceness counts within one only."""
    with contextlib.suppress(OSError):
        fd = os.open(f"/proc/{pid}/autogroup", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, str(nice).encode())
        finally:
            os.close(fd)


def _why(error: OSError | ValueError, spec: dict[str, Any], env: dict[str, str]) -> str:
    command, cwd = spec["argv"][0], spec["cwd"]
    if isinstance(error, ValueError):
        return f"the command {command} could not be started: {error}"
    try:
        os.stat(os.path.join(cwd, "."))
    except PermissionError:
        who = env.get("USER") or f"user {os.getuid()}"
        return f"{who} may not enter its working folder {cwd}"
    except OSError:
        return f"its working folder {cwd} does not exist"
    if error.errno == errno.ENOENT and (script := _found(spec, env)):
        return f"{script} is there, but not the program that runs it, which its first line (#!) names"
    if error.errno == errno.ENOEXEC:
        return f"{command} is not a program: a script needs a first line such as #!/bin/sh"
    if error.errno == errno.ENOENT:
        return f"there is no command {command} (looked in {env.get('PATH') or 'no PATH'})"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"the command {command} may not be run from {cwd}: {os.strerror(error.errno)}"
    if error.errno == errno.E2BIG:
        return "its arguments and environment are too long for the kernel"
    return f"the command {command} could not be started: {os.strerror(error.errno or 0)}"


def _found(spec: dict[str, Any], env: dict[str, str]) -> str | None:
    """The file that a command's name means, for one that the kernel could not find a way to run."""
    command = spec["argv"][0]
    folders = [""] if "/" in command else os.get_exec_path(env)
    paths = [os.path.join(spec["cwd"], folder, command) for folder in folders]
    return next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), None)
