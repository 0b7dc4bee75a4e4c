"""What phylib and phy read of a folder of ours, as JSON: run by the Python that has phy (`make bench-phy`)."""

import json
import logging
import sys
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)


def main(params: str) -> None:
    import numpy as np
    from phylib.io.model import load_model

    model = load_model(params)
    clusters = {}
    for k in model.cluster_ids:
        spikes = np.flatnonzero(model.spike_clusters == k)
        template = model.get_template(int(k))
        some = spikes[:5]
        waveforms = model.get_waveforms(some, template.channel_ids)
        features = model.get_features(some, template.channel_ids)
        clusters[int(k)] = {
            "samples": model.spike_samples[spikes].tolist(),
            "best": int(template.channel_ids[0]),
            "shape": list(waveforms.shape),
            "features": np.asarray(features)[0].ravel().tolist(),
            "channels": template.channel_ids.tolist(),
            "amplitude": float(np.median(model.amplitudes[spikes])),
        }
    print(
        json.dumps(
            {
                "clusters": clusters,
                "duration": model.duration,
                "positions": model.channel_positions.tolist(),
                "shanks": model.channel_shanks.tolist(),
                "metadata": {
                    key: {int(k): str(v) for k, v in values.items()} for key, values in model.metadata.items()
                },
                "trace": np.asarray(model.traces[1000:1003]).tolist(),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
