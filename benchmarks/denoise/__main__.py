"""``make bench-denoise``: how fast stage 1 is, and what memory it takes, beside its peers and a plain copy.

python -m benchmarks.denoise [--seconds 1200] [--rounds 1] [--quick] [--page FILE]
"""

import argparse
import os
import sys
import tempfile
from datetime import date
from pathlib import Path

from benchmarks import page
from benchmarks.scheduler import machine
from benchmarks.scheduler.processes import guarded

from . import recordings, report, sides


def main() -> int:
    """Measure, print the tables, write them into the page unless it is but a look; 1 where a side fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.denoise", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1200.0, help="length of the recording (default: 1200)")
    parser.add_argument("--rounds", type=int, default=1, help="how often the slow sides run (default: 1)")
    parser.add_argument("--quick", action="store_true", help="a look: 60 s; the page is not written")
    parser.add_argument("--bench", type=Path, default=Path(".bench"), help="where recordings and peers are")
    parser.add_argument("--page", type=Path, default=page.PAGE, help="the page to write")
    given = parser.parse_args()
    seconds = 60.0 if given.quick else given.seconds
    home, peers = (given.bench / "denoise").absolute(), (given.bench / "peers/bin/python").absolute()
    print("recordings …", file=sys.stderr, flush=True)
    flat, mat = recordings.dat(home, seconds, 32), recordings.mat(home, seconds, 32)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="out-", dir=home, ignore_cleanup_errors=True) as folder, guarded():
        out = Path(folder)
        quick, slow = _quick(flat, mat, out), _slow(peers, flat, out)
        found: dict[str, list[sides.Run]] = {each.name: [] for each in (*quick, *slow)}
        # The quick ones run beside each slow one, so that each ratio is of the same minutes.
        for number, each in enumerate([None, *(slow * given.rounds)]):
            for side in (*quick[number % len(quick) :], *quick[: number % len(quick)], *([each] if each else [])):
                found[side.name].append(one := sides.run(side))
                print(f"{side.name}: {side.n_bytes / 1e6 / one.wall:.0f} MB/s", file=sys.stderr, flush=True)
        memory = [] if given.quick else _memory(home, out)
    if not peers.exists():
        print(f"no peers: {peers} is not there (make bench-peers)", file=sys.stderr)
    where = f"{date.today()} · {machine.machine(home)} · load {load:.1f} before the start · {machine.versions()}"
    text = report.section(found, {each.name: each.n_bytes for each in (*quick, *slow)}, memory, seconds, where)
    print(text)
    if not given.quick:
        page.write(given.page, "", (), {"denoise": text})
    return 0


def _quick(flat: recordings.Recording, mat: recordings.Recording, out: Path) -> list[sides.Side]:
    dat = ("--format", "dat")
    threads = len(os.sched_getaffinity(0))
    made = [
        sides.copy(report.COPY, flat, out),
        sides.copy("plain copy, and fsync", flat, out, "fsync"),
        sides.labsched("labsched, 1 thread", flat, out / "1", *dat),
        sides.labsched(report.OURS, flat, out / "2", *dat, "--threads", "2"),
        sides.labsched("labsched, 2 threads, as .raw.kwd", flat, out / "3", "--threads", "2"),
        sides.labsched(report.BAND, flat, out / "4", *dat, "--threads", "2", "--band", "300,6000"),
        sides.labsched(report.MATLAB, mat, out / "5", *dat, "--threads", "2"),
    ]
    more = [count for count in (4, 8, 16) if count <= threads]
    made += [sides.labsched(f"labsched, {n} threads", flat, out / "6", *dat, "--threads", str(n)) for n in more]
    return made


def _slow(peers: Path, flat: recordings.Recording, out: Path) -> list[sides.Side]:
    if not peers.exists():
        return []
    return [
        sides.foreign(report.SI.format(1), peers, flat, out, "plain", "1"),
        sides.foreign(report.SI.format(2), peers, flat, out, "plain", "2"),
        sides.foreign(report.SHIFTED, peers, flat, out, "shifted", "2"),
        sides.foreign("IBL destripe", peers, flat, out, "ibl"),
    ]


def _memory(home: Path, out: Path) -> list[report.Held]:
    """Peak memory at two lengths and numbers of channels, from both kinds of file."""
    held = []
    for channels, lengths in ((32, (120.0, 1200.0)), (128, (60.0, 300.0))):
        for kind, make in (("dat", recordings.dat), ("mat", recordings.mat)):
            found = []
            for seconds in lengths:
                recording = make(home, seconds, channels)
                side = sides.labsched("", recording, out / "m", "--threads", "2", "--band", "300,6000")
                found.append((seconds, sides.run(side).rss))
            held.append(report.Held(channels, kind, found))
    return held


if __name__ == "__main__":
    sys.exit(main())
