"""What SpikeInterface reads of our files, as JSON: run by the Python of the peers (`make bench-peers`)."""

import json
import sys
import warnings

warnings.simplefilter("ignore")


def main(*words: str) -> None:
    import spikeinterface as si
    import spikeinterface.extractors as se

    readers = {"load": si.load, "read_phy": se.read_phy, "read_klusta": se.read_klusta}
    seen = {}
    for how, path in zip(words[::2], words[1::2], strict=True):
        sorting = readers[how](path)
        keys = sorting.get_property_keys()
        seen[path] = {
            "rate": sorting.sampling_frequency,
            "units": [str(unit) for unit in sorting.unit_ids],
            "trains": [sorting.get_unit_spike_train(unit).tolist() for unit in sorting.unit_ids],
            "properties": {key: [str(value) for value in sorting.get_property(key)] for key in keys},
        }
    print("\n" + json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
