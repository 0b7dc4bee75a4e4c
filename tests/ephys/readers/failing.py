"""A folder as a network would give it, whose reads fail from some byte on: a small FUSE server, for root.

``failing.py SOURCE MOUNT BYTE ERRNO`` serves the files of SOURCE, read-only, until it is ended. It speaks the kernel's
protocol (include/uapi/linux/fuse.h) itself: nothing needs to be installed.
"""

import ctypes
import os
import struct
import sys
from pathlib import Path

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH, INIT = 1, 2, 3, 14, 15, 17, 18, 25, 26
OPENDIR, READDIR, RELEASEDIR, ACCESS, INTERRUPT, DESTROY, BATCH_FORGET = 27, 28, 29, 34, 36, 38, 42
ENOENT, ENOSYS = 2, 38


class Server:
    def __init__(self, source: Path, fail_from: int, error: int) -> None:
        self.paths = {1: source}
        self.numbers = {source: 1}
        self.fail_from, self.error = fail_from, error

    def attributes(self, path: Path) -> bytes:
        state = path.stat()
        number = self.numbers.setdefault(path, len(self.numbers) + 1)
        self.paths[number] = path
        times = [int(state.st_atime), int(state.st_mtime), int(state.st_ctime)]
        return struct.pack(
            "<6Q10I", number, state.st_size, (state.st_size + 511) // 512, *times, 0, 0, 0, state.st_mode, 1, 0, 0, 0,
            4096, 0,
        )  # fmt: skip

    def answer(self, code: int, node: int, body: bytes) -> bytes | int:
        path = self.paths.get(node)
        if code == INIT:
            return struct.pack("<4I2H2I2HI7I", 7, 31, 1 << 16, 0, 12, 9, 1 << 16, 1, 16, 0, 0, *(0,) * 7)
        if path is None:
            return -ENOENT
        if code == LOOKUP:
            inner = path / body.rstrip(b"\0").decode()
            if not inner.exists():
                return -ENOENT
            attributes = self.attributes(inner)
            return struct.pack("<4Q2I", self.numbers[inner], 0, 1, 1, 0, 0) + attributes
        if code == GETATTR:
            return struct.pack("<Q2I", 1, 0, 0) + self.attributes(path)
        if code in (OPEN, OPENDIR):
            return struct.pack("<Q2I", node, 0, 0)
        if code == STATFS:
            return struct.pack("<5Q4I6I", *(1 << 20,) * 5, 4096, 255, 4096, 0, *(0,) * 6)
        if code in (READ, READDIR):
            _, offset, size = struct.unpack_from("<QQI", body)
            return self.read(path, offset, size) if code == READ else self.listing(path, offset, size)
        if code in (RELEASE, RELEASEDIR, FLUSH, ACCESS, DESTROY):
            return b""
        return -ENOSYS

    def read(self, path: Path, offset: int, size: int) -> bytes | int:
        if offset + size > self.fail_from and path.stat().st_size > self.fail_from:
            return -self.error
        with path.open("rb") as file:
            return os.pread(file.fileno(), size, offset)

    def listing(self, path: Path, offset: int, size: int) -> bytes:
        found = b""
        for index, entry in enumerate(sorted(path.iterdir())):
            self.attributes(entry)
            name = entry.name.encode()
            row = struct.pack("<QQII", self.numbers[entry], index + 1, len(name), 4 if entry.is_dir() else 8) + name
            row = row.ljust(-(-len(row) // 8) * 8, b"\0")
            if index >= offset and len(found) + len(row) <= size:
                found += row
        return found


def main(source: Path, place: str, fail_from: int, error: int) -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"failing", place.encode(), b"fuse", 0, options):
        sys.exit(os.strerror(ctypes.get_errno()))
    server = Server(source, fail_from, error)
    while True:
        try:
            request = os.read(device, 1 << 18)
        except OSError:
            return  # it was unmounted
        _, code, unique, node = struct.unpack_from("<IIQQ", request)
        if code in (FORGET, BATCH_FORGET, INTERRUPT):
            continue
        made = server.answer(code, node, request[40:])
        data = made if isinstance(made, bytes) else b""
        os.write(device, struct.pack("<IiQ", 16 + len(data), made if isinstance(made, int) else 0, unique) + data)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
