"""Windows under Evidently's defaults, in its own environment: `PYTHON evidently_windows.py FOLDER OUTPUT`.

FOLDER has folders of their own for references, each with reference.csv, kinds.json (`number` or `category` by column)
and window_NUMBER_CHANGE.csv. Writes a list of objects with change, drifted (the number of columns) and seconds.
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
    found = []
    for own in sorted(path.parent for path in folder.glob("*/reference.csv")):
        kinds = json.loads((own / "kinds.json").read_text())
        categories = {name: str for name, kind in kinds.items() if kind == "category"}
        definition = DataDefinition(
            numerical_columns=[name for name in kinds if name not in categories], categorical_columns=list(categories)
        )
        reference = Dataset.from_pandas(pd.read_csv(own / "reference.csv", dtype=categories), definition)
        for path in sorted(own.glob("window_*.csv")):
            window = pd.read_csv(path, dtype=categories)
            begin = time.perf_counter()
            result = Report([DataDriftPreset()]).run(Dataset.from_pandas(window, definition), reference).dict()
            seconds = time.perf_counter() - begin
            drifted = next(
                each["value"]["count"] for each in result["metrics"] if "DriftedColumns" in each["metric_name"]
            )
            found.append({"change": path.stem.split("_", 2)[2], "drifted": int(drifted), "seconds": seconds})
    output.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
