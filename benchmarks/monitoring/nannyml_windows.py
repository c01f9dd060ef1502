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
    kinds = json.loads((folder / "kinds.json").read_text())
    categories = {name: str for name, kind in kinds.items() if kind == "category"}
    reference = _read(folder / "reference.csv", categories)
    found = []
    for path in sorted(folder.glob("window_*.csv")):
        window = _read(path, categories)
        calculator = nannyml.UnivariateDriftCalculator(column_names=list(kinds), chunk_size=len(window))
        calculator.fit(reference)
        begin = time.perf_counter()
        table = calculator.calculate(window).filter(period="analysis").to_df()
        alerts = [column for column in table.columns if column[-1] == "alert"]
        drifted = int(table[alerts].iloc[0].sum())
        found.append({"window": path.stem, "drifted": drifted, "seconds": time.perf_counter() - begin})
    output.write_text(json.dumps(found))


def _read(path: Path, categories: dict) -> pd.DataFrame:
    # NannyML takes no missing categories.
    table = pd.read_csv(path, dtype=categories)
    return table.assign(**{name: table[name].fillna("").astype("category") for name in categories})


if __name__ == "__main__":
    main()
