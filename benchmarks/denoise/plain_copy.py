"""``plain_copy.py FROM TO [fsync]``: a plain copy, read and written in blocks of 8 MB."""

import os
import sys
from pathlib import Path

source, target, *rest = sys.argv[1:]
Path(target).parent.mkdir(parents=True, exist_ok=True)
with Path(source).open("rb", buffering=0) as one, Path(target).open("wb", buffering=0) as two:
    while block := one.read(8_000_000):
        view = memoryview(block)
        while view:
            view = view[two.write(view) :]
    if rest:
        os.fsync(two.fileno())
