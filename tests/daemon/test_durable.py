"""What was answered is on the disk: no answer leaves the daemon before the kernel has said so of what it promises."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from labsched.wire.messages import Daemon
from tests.worlds import World, command, eventually

ANSWER = re.compile(r"HTTP/1.[01] 201")  # to a submit
QUEUE = "queue.db-wal>"


class Traced(World):
    """A world whose daemon's calls are written down by strace, in `calls`."""

    def start(self) -> None:
        words = ["-f", "-y", "-s", "64", "-e", "trace=fsync,fdatasync,sendto,sendmsg,write,pwrite64", "-o", "calls"]
        super().start()
        self.stop()
        daemon = [sys.executable, "-m", "labsched", "daemon", "--state", "state", "--socket", "s"]
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(["strace", *words, *daemon], cwd=self.folder, stdout=log, stderr=log)
        eventually(lambda: "state in" in self.log.rpartition("stopping")[2], 60)

    def stop(self) -> int:
        """TERM to the daemon itself: strace keeps it from nobody but itself."""
        assert self.process is not None
        os.kill(self.client.get("daemon", Daemon).pid, signal.SIGTERM)
        return self.process.wait(30)


def test_a_submit_is_answered_after_the_disk_has_it() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    with TemporaryDirectory(prefix="ls-") as folder:
        if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode != 0:
            pytest.skip("nobody may trace processes here")
        it = Traced(Path(folder))
        it.start()
        try:
            for number in range(5):
                it.submit(command("true", name=f"job{number}", hold=True))
        finally:
            it.stop()
        calls = (it.folder / "calls").read_text().splitlines()
    answers = [i for i, call in enumerate(calls) if ANSWER.search(call)]
    assert len(answers) == 5
    for i in answers:
        before = calls[:i]
        written = max(n for n, call in enumerate(before) if "pwrite64" in call and QUEUE in call)
        synced = [n for n, call in enumerate(before) if re.search(r"f(data)?sync\(", call) and QUEUE in call]
        done = [n for n, call in enumerate(before) if re.search(r"f(data)?sync.* = 0$", call)]
        assert synced and synced[-1] > written, "the answer went out before the queue was synced"
        assert done and done[-1] >= synced[-1], "the answer went out before the sync was done"
