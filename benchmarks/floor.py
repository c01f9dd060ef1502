"""A lower bound for a run: the library calls that its stages need, each on its own, for one size of data.

    python -m benchmarks.floor [--rows 15002]

Runs the taxi pipeline once, then calls the libraries directly on its artifacts. Prints a table and writes
`benchmarks/out/floor.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import bench, settings
from benchmarks.data import write_trips


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=15002)
    rows = parser.parse_args().rows
    bench.OUTPUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="taxiway-floor-", dir=bench.OUTPUT.parent) as work:
        folder = Path(work)
        data = write_trips(folder / "data", rows)
        module = bench.write_module(folder / "taxi_module.py")
        bench.taxiway(data, module, folder / "taxiway")
        figures = [*_imports(), *_calls(data / "trips.csv", folder / "taxiway" / "home" / "artifacts")]
    (bench.OUTPUT / "floor.json").write_text(json.dumps({"rows": rows, "figures": figures}, indent=1))
    table = Table("bare call", "s", box=None, pad_edge=False, title=f"{rows:,} rows")
    for figure in figures:
        table.add_row(figure["call"], f"{figure['wall_s']:.2f}")
    Console(width=100).print(table)


def _imports() -> list[dict[str, Any]]:
    modules = ("kfp.dsl", "tensorflow", "tensorflow_data_validation", "tensorflow_model_analysis")
    return [_timed(f"import {name}, a new process", lambda name=name: _import(name)) for name in modules]


def _import(name: str) -> None:
    environment = {**os.environ, **settings.ENVIRONMENT}
    subprocess.run([sys.executable, "-c", f"import {name}"], check=True, stderr=subprocess.DEVNULL, env=environment)


def _calls(csv: Path, artifacts: Path) -> list[dict[str, Any]]:
    """Each library call on the run's critical path, without Taxiway."""
    import pyarrow.csv
    import pyarrow.parquet as pq
    import tensorflow as tf
    import tensorflow_data_validation as tfdv
    import tensorflow_transform as tft
    from tensorflow_data_validation.statistics import stats_impl

    from components.contract.artifacts import Examples
    from components.data.examples import encode_tf_examples, read_batches

    table = pyarrow.csv.read_csv(csv)
    found = [
        _timed("pyarrow.csv.read_csv", lambda: pyarrow.csv.read_csv(csv)),
        _timed("pyarrow.parquet.write_table", lambda: pq.write_table(table, artifacts / "floor.parquet")),
    ]
    (examples_path,) = artifacts.glob("*/example-gen/*/examples")
    examples = Examples(examples_path, {"payload_format": "FORMAT_PARQUET", "split_names": '["train", "eval"]'})
    train, evaluated = (list(read_batches(examples, split, batch_rows=100_000)) for split in ("train", "eval"))
    options = tfdv.StatsOptions()
    found.append(
        _timed(
            "TFDV generate_statistics_in_memory, both splits",
            lambda: [stats_impl.generate_statistics_in_memory(batch, options) for batch in [*train, *evaluated]],
        )
    )
    (graph,) = artifacts.glob("*/transform/*/transform_graph")
    (model_path,) = artifacts.glob("*/trainer/*/model/Format-Serving")
    output = tft.TFTransformOutput(str(graph))
    found.append(_timed("load the transform graph", output.transform_features_layer))
    loaded: list[Any] = []
    found.append(_timed("load the model", lambda: loaded.append(tf.saved_model.load(str(model_path)))))
    model = loaded[0]
    batches: list[list[bytes]] = []
    found.append(
        _timed("encode the eval split as tf.Examples", lambda: batches.extend(map(encode_tf_examples, evaluated)))
    )
    for name in ("transform_features", "serving_default"):
        call = model.signatures[name]
        (argument,) = call.structured_input_signature[1]
        found.append(
            _timed(
                f"model.signatures[{name!r}] on the eval split",
                lambda call=call, argument=argument: [call(**{argument: tf.constant(part)}) for part in batches],
            )
        )
    return found


def _timed(name: str, call: Callable[[], Any]) -> dict[str, Any]:
    began = time.monotonic()
    call()
    return {"call": name, "wall_s": round(time.monotonic() - began, 3)}


if __name__ == "__main__":
    main()
