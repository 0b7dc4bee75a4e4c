"""SpikeGLX: NAME.ap.bin of int16 with its .meta (Metadata_30 of SpikeGLX's own help), of a Neuropixels 1.0."""

from pathlib import Path

import numpy as np

GAIN = 500
#: µV a bit: the range of ±0.6 V over 10 bits, divided by the amplifier's gain.
MICROVOLTS = 0.6 / 512 / GAIN * 1e6


def write(
    folder: Path, data: np.ndarray, rate: float = 30000.0, kind: str = "ap", probe: int = 0, trigger: int = 0,
    first: int = 0,
) -> Path:  # fmt: skip
    count = len(data)
    name = f"run_g0_t{trigger}.imec{probe}.{kind}"
    folder.mkdir(parents=True, exist_ok=True)
    samples = np.vstack([data, np.zeros((1, data.shape[1]), np.int16)]).T.astype("<i2")
    (folder / f"{name}.bin").write_bytes(samples.tobytes())
    letters = kind.upper()
    table = "".join(f"({c} 0 0 {GAIN} 250 1)" for c in range(384))
    order = "".join(f"({letters}{c};{c}:{c})" for c in range(count))
    saved = f"{count},0,1" if kind == "ap" else f"0,{count},1"
    lines = {
        "acqApLfSy": "384,384,1", "appVersion": "20230815", "fileName": f"D:/data/{name}.bin",
        "fileSizeBytes": str(samples.nbytes), "fileTimeSecs": str(data.shape[1] / rate), "firstSample": str(first),
        "imAiRangeMax": "0.6", "imAiRangeMin": "-0.6", "imDatPrb_pn": "NP1000", "imDatPrb_type": "0",
        "imDatPrb_sn": "18194809132", "imDatPrb_slot": "2", "imDatPrb_port": "1", "imMaxInt": "512",
        "imSampRate": str(rate), "nSavedChans": str(count + 1), "snsApLfSy": saved,
        "snsSaveChanSubset": (f"0:{count - 1},768" if kind == "ap" else f"384:{383 + count},768"),
        "typeThis": "imec", "~imroTbl": f"(0,384){table}",
        "~snsChanMap": f"(384,384,1){order}(SY0;{count}:{count})",
        "~snsGeomMap": "(NP1000,1,0,70)" + "".join(f"(0:{27 + 32 * (c % 2)}:{20 * (c // 2)}:1)" for c in range(count)),
        "~snsShankMap": "(1,2,480)" + "".join(f"(0:{c % 2}:{c // 2}:1)" for c in range(count)),
    }  # fmt: skip
    (folder / f"{name}.meta").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    return folder
