"""Windows under NannyML's defaults, in its own environment: `PYTHON nannyml_windows.py FOLDER OUTPUT`.

Input and output are those of evidently_windows.py.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import pandas as pd


def main() -> None:
    """Writes what NannyML finds."""
    warnings.simplefilter("ignore")
    import nannyml

    folder, output = Path(sys.argv[1]), Path(sys.argv[2])
    found = []
    for own in sorted(path.parent for path in folder.glob("*/reference.csv")):
        kinds = json.loads((own / "kinds.json").read_text())
        categories = {name: str for name, kind in kinds.items() if kind == "category"}
        windows = {path: _read(path, categories) for path in sorted(own.glob("window_*.csv"))}
        size = len(next(iter(windows.values())))
        calculator = nannyml.UnivariateDriftCalculator(column_names=list(kinds), chunk_size=size)
        calculator.fit(_read(own / "reference.csv", categories))
        for path, window in windows.items():
            begin = time.perf_counter()
            table = calculator.calculate(window).filter(period="analysis").to_df()
            alerts = [column for column in table.columns if column[-1] == "alert"]
            drifted, seconds = int(table[alerts].iloc[0].sum()), time.perf_counter() - begin
            found.append({"change": path.stem.split("_", 2)[2], "drifted": drifted, "seconds": seconds})
    output.write_text(json.dumps(found))


def _read(path: Path, categories: dict) -> pd.DataFrame:
    # NannyML takes no missing categories.
    table = pd.read_csv(path, dtype=categories)
    return table.assign(**{name: table[name].fillna("").astype("category") for name in categories})


if __name__ == "__main__":
    main()
