"""The profile of the training data is kept as a table."""

from pathlib import Path

import pyarrow as pa

from components.monitoring.reference.build import build
from components.monitoring.reference.training import record
from components.monitoring.store import Store
from components.monitoring.tables import TRAINING


def test_a_version_s_training_data_is_written_once(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "taxi"))
    batch = pa.RecordBatch.from_pydict({"miles": [1.0, 2.0, 3.0, None], "company": ["a", "b", "a", "a"]})
    for version in (7, 8, 8):
        record(store, "taxi", build(version, "sha256:0", [batch], None))
    found = store.read(TRAINING).sort_by([("version", "ascending"), ("column", "ascending")]).to_pylist()
    assert [(row["version"], row["column"], row["kind"]) for row in found] == [
        *((7, "company", "category"), (7, "miles", "number")),
        *((8, "company", "category"), (8, "miles", "number")),
    ]
    assert (found[1]["rows"], found[1]["missing"], found[1]["mean"], found[1]["slice"]) == (4, 1, 2.0, "")
    assert found[0]["window_start"] is None
