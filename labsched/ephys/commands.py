"""The verbs `denoise` and `check` of ``python -m labsched.ephys``."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType


def _labels(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def block_parser(verb: str, says: str, example: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m labsched.ephys {verb}", description=says, epilog=f"example: {example}", allow_abbrev=False
    )
    parser.add_argument("--source", required=True, type=Path, help="the block's folder, or its one file")
    parser.add_argument(
        "--omit", action="append", default=[], type=_labels, metavar="A,B", help="labels of channels to leave out"
    )
    parser.add_argument("--probe", help="rig (.toml), probe (.prb, .json) or the name of a built-in probe")
    parser.add_argument(
        "--stream", default="", metavar="NAME", help="which group of channels, where the format has several"
    )
    return parser


def denoise(argv: Sequence[str]) -> int:
    """Stage 1; prints what was found and done. Exit codes: 0, 2 for wrong usage, 143 or 130 when told to end."""
    parser = block_parser(
        "denoise",
        "De-noise a block and write what klusta reads: NAME.raw.kwd (or .dat), .prb, .prm and .denoise.json.",
        "python -m labsched.ephys denoise --source data/mat/B1 --target data/phy/B1 --name B1 --omit Port_3,Port_7",
    )
    parser.add_argument("--target", required=True, type=Path, help="the folder for the results; made where missing")
    parser.add_argument("--name", required=True, help="what the results are called")
    parser.add_argument(
        "--reference",
        default=None,
        help="ridge (a regression on the others, shrunk; default), war (not shrunk), car (their mean), whiten, none",
    )
    parser.add_argument(
        "--band", default="none", metavar="LOW,HIGH", help="a zero-phase band-pass before it, Hz, or none (default)"
    )
    parser.add_argument(
        "--format",
        default="kwd",
        choices=("kwd", "dat", "spikeinterface"),
        help="of the samples (default: kwd); spikeinterface: .dat, and a folder that SpikeInterface loads",
    )
    parser.add_argument("--threads", default=1, type=_count, help="how many threads may work (default: 1)")
    parser.add_argument("--chunk", default=0, type=int, help="samples to read at once (default: one block)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="a parameter of klusta's, for the .prm"
    )
    parser.add_argument(
        "--bad-channels", default="warn", choices=("warn", "refuse", "omit", "off"),
        help="what to do about channels that look bad: warn (default), refuse, omit them, or off: do not look",
    )  # fmt: skip
    given = parser.parse_args(argv)
    # Our own threads work on blocks; those of the linear algebra would only come on top. It reads this on import.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"

    from labsched.ephys.band import parse
    from labsched.ephys.denoise import denoise as run
    from labsched.ephys.klusta.params import parse_settings
    from labsched.ephys.readers.rawio import mapped
    from labsched.ephys.reference import DEFAULT
    from labsched.ephys.writers.target import abandon

    mapped.last.append(abandon)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    run(
        given.source,
        given.target,
        given.name,
        omit=[label for each in given.omit for label in each],
        probe=given.probe,
        stream=given.stream,
        reference=given.reference or DEFAULT,
        band=parse(given.band),
        format=given.format,
        params=parse_settings(given.set),
        chunk=given.chunk,
        threads=given.threads,
        bad_channels=given.bad_channels,
        told=lambda line: print(line, flush=True),
    )
    return 0


def _end(number: int, frame: FrameType | None) -> None:
    """Remove every partial file and end at once.

    No exception does that: raised while HDF5 or a weak reference calls back into Python, it is lost or turned into
    another, and the run goes on. Nor is stderr's buffer touched, in whose middle the signal may have come.
    """
    from labsched.ephys.writers import target

    target.abandon()
    os.write(sys.stderr.fileno(), b"stopped: partial results removed\n")
    os._exit(128 + number)


def check(argv: Sequence[str]) -> int:
    """Look at a block's headers and its probe; prints a summary, or JSON with --json."""
    parser = block_parser(
        "check",
        "Check a block, its channels and its probe without reading a sample.",
        "python -m labsched.ephys check --source data/mat/B1 --omit Port_3 --probe rigs/left.toml",
    )
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    given = parser.parse_args(argv)

    from labsched.ephys.check import check as look

    found = look(given.source, [label for each in given.omit for label in each], given.probe, given.stream)
    if given.json:
        import json
        from dataclasses import asdict

        print(json.dumps(asdict(found), default=str, ensure_ascii=False))
        return 0
    print(
        f"{given.source}: {found.format}, {len(found.labels)} channels at {found.rate:g} Hz, "
        f"{found.duration_s:.1f} s in {len(found.files)} file(s), {found.n_bytes / 1e6:.1f} MB"
    )
    print(f"channels: {', '.join(found.labels)}")
    if found.omitted:
        print(f"omitted: {', '.join(found.omitted)}")
    for number, labels in found.groups.items():
        print(f"group {number}: {', '.join(labels)}")
    for note in found.notes:
        print(f"note: {note}")
    return 0
