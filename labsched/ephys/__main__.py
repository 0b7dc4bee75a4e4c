"""``python -m labsched.ephys VERB ...``: the science from the command line, one module a verb, imported when called."""

import importlib
import sys
from collections.abc import Sequence

from labsched.ephys.errors import EphysError

#: What can be asked, and the function that answers: it takes the words after the verb and returns the exit code.
VERBS = {
    "check": "labsched.ephys.commands:check",
    "denoise": "labsched.ephys.commands:denoise",
    "inspect": "labsched.ephys.inspect.command:main",
    "evaluate": "labsched.ephys.evaluate:main",
    "export": "labsched.ephys.export.command:main",
    "klusta": "labsched.ephys.klusta.command:main",
    "metrics": "labsched.ephys.qc.command:main",
    "report": "labsched.ephys.report.command:main",
    "sort": "labsched.ephys.sorters.command:main",
    "sorters": "labsched.ephys.sorters.command:environments",
    "synth": "labsched.ephys.synth:main",
}

USAGE = f"usage: python -m labsched.ephys {{{','.join(VERBS)}}} ...   (VERB --help says more)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; exit codes: 0 it worked, 1 not (``error: SENTENCE`` ends stderr), 137 not since klusta was killed,
    2 wrong usage, 130 Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        print(USAGE, file=sys.stderr)
        return 2
    verb, rest = words[0], words[1:]
    if verb in ("-h", "--help"):
        print(USAGE)
        return 0
    if verb not in VERBS:
        print(f"{USAGE}\nerror: there is no verb {verb!r}: it is one of {', '.join(VERBS)}", file=sys.stderr)
        return 2
    module, function = VERBS[verb].split(":")
    try:
        return int(getattr(importlib.import_module(module), function)(rest) or 0)
    except EphysError as error:
        sys.stdout.flush()
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
