"""Completion as people have it: in bash, zsh and fish themselves, with a daemon that knows some jobs."""

import contextlib
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worlds import World, command, world

BASH = """
source <(labsched completion bash)
COMP_WORDS=($1) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
[[ $1 == *' ' ]] && COMP_WORDS+=("") COMP_CWORD=$((COMP_CWORD + 1))
_labsched_completion labsched
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = """
labsched completion fish | source
complete -C $argv[1]
"""
# As after the line in ~/.zshrc that the help names; ^X^B writes down what stands in the line by then.
ZSHRC = """
autoload -Uz compinit && compinit -u -D
eval "$(labsched completion zsh)"
setopt NO_BEEP; PROMPT='READY> '; LISTMAX=0 COLUMNS=250
show() { print -r -- "$BUFFER" > $ZDOTDIR/buffer.new; mv $ZDOTDIR/buffer.new $ZDOTDIR/buffer }
zle -N show; bindkey '^X^B' show
"""


@pytest.fixture(scope="module")
def it() -> Iterator[World]:
    with world() as made:
        made.submit(
            *(command("true", name=name, hold=True) for name in ("rat12/2024-03-10", "rat12/2024-03-12", "mouse"))
        )
        (made.folder / "bin").mkdir()
        program = made.folder / "bin/labsched"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m labsched "$@"\n')
        program.chmod(0o755)
        yield made


def env(it: World) -> dict[str, str]:
    return {
        "PATH": f"{it.folder}/bin:{os.environ['PATH']}",
        "HOME": str(it.folder),
        "ZDOTDIR": str(it.folder),
        "LABSCHED_SOCKET": str(it.folder / "s"),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }


def needs(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"there is no {shell}")
    return found


def offered(it: World, shell: str, line: str) -> list[str]:
    """What this shell offers to complete a line with, in its order."""
    if shell == "zsh":
        return in_zsh(it, line)
    words = [needs("bash"), "-c", BASH, "bash"] if shell == "bash" else [needs("fish"), "--no-config", "-c", FISH]
    done = subprocess.run([*words, line], env=env(it), capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return [each.partition("\t")[0] for each in done.stdout.splitlines() if each]


def in_zsh(it: World, line: str) -> list[str]:
    """What stands in the line after a TAB, if that has completed a word; else what is listed below it."""
    (it.folder / ".zshrc").write_text(ZSHRC)
    (it.folder / "buffer").unlink(missing_ok=True)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(needs("zsh"), ["zsh", "-i"], env(it))
    try:
        read(terminal, "READY> ")
        os.write(terminal, f"{line}\t\x18\x02".encode())
        said = read(terminal, "", it.folder / "buffer")
        buffer = (it.folder / "buffer").read_text().rstrip("\n")
        if buffer.endswith(" ") and buffer != line:
            return [buffer.split()[-1]]
        rows = [row.partition(" -- ")[0] for row in said.splitlines()[1:] if "READY>" not in row]
        return [word for row in rows for word in row.split()]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def read(terminal: int, until: str, file: Path | None = None) -> str:
    """What comes from a terminal, until this is among it, and this file is there."""
    said, deadline = "", time.monotonic() + 30
    while until not in said or (file is not None and not file.exists()):
        assert time.monotonic() < deadline, said
        if select.select([terminal], [], [], 0.02)[0]:
            said += os.read(terminal, 65_536).decode(errors="replace")
    return said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("labsched sta", ["status"]),
        ("labsched pool ", ["pause", "resume", "set"]),
        ("labsched add --prio", ["--priority"]),
        ("labsched add --retry-", ["--retry-on", "--retry-wait"]),
        ("labsched show mou", ["mouse"]),
        ("labsched logs rat12/2024-03-1", ["rat12/2024-03-10", "rat12/2024-03-12"]),
        ("labsched pool pause RA", ["RAM"]),
    ],
)
def test_verbs_options_jobs_and_pools_are_completed(it: World, shell: str, line: str, words: list[str]) -> None:
    needs(shell)
    assert sorted(offered(it, shell, line)) == words
