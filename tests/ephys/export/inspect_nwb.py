"""What nwbinspector finds in a file, as JSON: run by the Python of the peers (`make bench-peers`)."""

import json
import sys
import warnings

warnings.simplefilter("ignore")


def main(path: str) -> None:
    from nwbinspector import inspect_nwbfile

    print("\n" + json.dumps([(each.importance.name, each.message) for each in inspect_nwbfile(nwbfile_path=path)]))


if __name__ == "__main__":
    main(sys.argv[1])
