"""Windows under Evidently's defaults, in its own environment: `PYTHON evidently_windows.py FOLDER OUTPUT`.

FOLDER has reference.csv, kinds.json (`number` or `category` by column) and windows as CSV files. Writes a list of
objects with window, drifted (the number of columns) and seconds.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import pandas as pd


def main() -> None:
    """Writes what Evidently finds."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    warnings.simplefilter("ignore")
    folder, output = Path(sys.argv[1]), Path(sys.argv[2])
    kinds = json.loads((folder / "kinds.json").read_text())
    categories = {name: str for name, kind in kinds.items() if kind == "category"}
    definition = DataDefinition(
        numerical_columns=[name for name in kinds if name not in categories], categorical_columns=list(categories)
    )
    reference = Dataset.from_pandas(pd.read_csv(folder / "reference.csv", dtype=categories), definition)
    found = []
    for path in sorted(folder.glob("window_*.csv")):
        window = pd.read_csv(path, dtype=categories)
        begin = time.perf_counter()
        result = Report([DataDriftPreset()]).run(Dataset.from_pandas(window, definition), reference).dict()
        drifted = next(each["value"]["count"] for each in result["metrics"] if "DriftedColumns" in each["metric_name"])
        found.append({"window": path.stem, "drifted": int(drifted), "seconds": time.perf_counter() - begin})
    output.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
