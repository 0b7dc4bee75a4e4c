"""Why klusta failed, in a sentence."""

import pytest

from labsched.ephys.klusta.failure import sentence


@pytest.mark.parametrize(
    ("code", "tail", "said"),
    [
        (-9, ["working"], "killed by SIGKILL .* ran out of memory"),
        (-11, ["working"], "killed by SIGSEGV"),
        (-99, ["working"], "killed by signal 99"),
        (1, ["MemoryError"], "ran out of memory"),
        (1, ["numpy._core._exceptions._ArrayMemoryError: Unable to allocate 9 GiB"], "ran out of memory"),
        (1, ["OSError: [Errno 28] No space left on device"], "disk .* is full"),
        (1, ["OSError: Can't write data (file write failed: errno = 28, error message = 'x')"], "disk .* is full"),
        (1, ["OSError: [Errno 122] Disk quota exceeded"], "quota"),
        (1, ["OSError: 160000 requested and 41952 written"], "disk .* is full"),
        (1, ["PermissionError: [Errno 13] Permission denied: 'b.kwik'"], "may not read or write"),
        (1, ["Traceback", "  File", "ValueError: no good", "closing"], r"exit code 1 \(ValueError: no good\)"),
        (3, [], "exit code 3"),
    ],
)
def test_each_end_has_its_sentence(code, tail, said):
    import re

    assert re.search(said, sentence("b", code, tail))


def test_a_missing_klusta_says_how_to_install_it():
    line = "klusta cannot be imported: No module named 'klustakwik2'"
    said = sentence("b", 69, [line], missing=True)
    assert line in said
    assert "klustakwik2==0.2.6" in said
