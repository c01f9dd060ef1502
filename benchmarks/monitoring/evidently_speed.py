"""Evidently's summary and drift of a window, in its own environment: `PYTHON evidently_speed.py FOLDER OUTPUT`.

FOLDER has training.parquet and window.parquet. Writes an object with seconds, rows_per_s and peak_mb.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import pandas as pd


def main() -> None:
    """Writes how long it took."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

    warnings.simplefilter("ignore")
    folder, output = Path(sys.argv[1]), Path(sys.argv[2])
    training = pd.read_parquet(folder / "training.parquet")
    texts = [name for name in training if not pd.api.types.is_numeric_dtype(training[name])]
    numbers = [name for name in training if name not in texts]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
    reference = Dataset.from_pandas(training, definition)
    begin = time.perf_counter()
    window = pd.read_parquet(folder / "window.parquet")
    Report([DataSummaryPreset(), DataDriftPreset()]).run(Dataset.from_pandas(window, definition), reference).dict()
    seconds = time.perf_counter() - begin
    status = Path("/proc/self/status").read_text()
    found = {
        "seconds": round(seconds, 2),
        "rows_per_s": round(len(window) / seconds),
        "peak_mb": round(int(status.partition("VmHWM:")[2].split()[0]) / 1024),
    }
    output.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
