"""The stage makes the same artifacts on both engines; workers read and write the files themselves."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from components.contract.artifacts import Artifact, Examples, split_path
from components.contract.digests import file_digests
from components.contract.errors import DataError, UserError
from components.data.examples import describe, split_files
from tests.components.equal_statistics import assert_equal
from tests.components.transform.test_transform import (
    PLAIN,
    SCHEMA,
    Inputs,
    assert_nothing_is_left,
    module,
    read_statistics,
    rows,
    schema_artifact,
    small_batch,
    written,
)
from tests.conftest import StageRun, run_stage_in

SHARDS = 3
ROWS = {"train": 90, "eval": 33}
ENGINES = ("direct", "beam")
NESTED = """
import tensorflow as tf
import tensorflow_transform as tft

def preprocessing_fn(inputs):
    words = tf.RaggedTensor.from_sparse(inputs["word"])
    return {
        "x_scaled": tft.scale_to_0_1(inputs["x"]),
        "word_id": tft.compute_and_apply_vocabulary(inputs["word"], vocab_filename="words"),
        "letters": tf.strings.unicode_split(words, "UTF-8"),
    }
"""


@pytest.fixture(scope="module", params=["parquet", pytest.param("tf_example", marks=pytest.mark.slow)])
def engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The stage's outputs by engine, from splits of several files."""
    folder = tmp_path_factory.mktemp("engines")
    inputs = {"examples": sharded(folder, request.param), "schema": schema_artifact(folder / "schema", SCHEMA)}
    parameters = {"module": module(folder, NESTED), "analyze_splits": ["train", "eval"]}
    return {
        engine: run_stage_in("transform", folder / engine, inputs, {**parameters, "engine": engine})
        for engine in ENGINES
    }


def sharded(folder: Path, payload_format: str) -> Examples:
    examples = Examples(folder / "examples")
    for (split, count), number in itertools.product(ROWS.items(), range(SHARDS)):
        part = small_batch(count).slice(number * count // SHARDS, count // SHARDS)
        (file,) = split_files(written(folder / f"{split}-{number}", {split: part}, payload_format), split)
        target = split_path(examples, split)
        target.mkdir(parents=True, exist_ok=True)
        file.rename(target / file.name.replace("00000-of-00001", f"{number:05d}-of-{SHARDS:05d}"))
    describe(examples, list(ROWS), payload_format)
    return examples


def in_order(table: pa.Table) -> list[Any]:
    """The rows in an order that does not depend on the order in which workers write them."""
    return sorted(table.select(sorted(table.column_names)).to_pylist(), key=repr)


def graph_digests(graph: Artifact) -> dict[str, str]:
    """The content of the transform graph and its metadata, without statistics."""
    parts = ("metadata", "transform_fn", "transformed_metadata")
    return {f"{part}/{name}": digest for part in parts for name, digest in file_digests(graph.path / part).items()}


def test_graphs_are_byte_identical(engines: dict[str, dict[str, Any]]) -> None:
    direct, beam = (graph_digests(engines[engine]["transform_graph"]) for engine in ENGINES)
    assert "transform_fn/assets/words" in direct
    assert direct == beam
    assert [engines[engine]["transform_graph"].metadata["analysis"] for engine in ENGINES] == ["direct", "beam"]


def test_transformed_rows_are_equal(engines: dict[str, dict[str, Any]]) -> None:
    direct, beam = (engines[engine]["transformed_examples"] for engine in ENGINES)
    own = ("payload_format", "split_names", "file_format")
    assert [direct.metadata[name] for name in own] == [beam.metadata[name] for name in own]
    for split, count in ROWS.items():
        ours, theirs = rows(direct, split), rows(beam, split)
        assert ours.num_rows == count
        assert sorted(map(str, ours.schema)) == sorted(map(str, theirs.schema))
        assert in_order(ours) == in_order(theirs)


@pytest.mark.parametrize("kind", ["pre", "post"])
def test_statistics_are_equal(engines: dict[str, dict[str, Any]], kind: str) -> None:
    folders = [engines[engine]["transform_graph"].path / f"{kind}_transform_feature_stats" for engine in ENGINES]
    ours, theirs = (read_statistics(folder / "FeatureStats.pb") for folder in folders)
    assert ours.datasets[0].num_examples == sum(ROWS.values())
    assert_equal(ours, theirs)
    beside = [{name: digest for name, digest in file_digests(f).items() if "Feature" not in name} for f in folders]
    assert beside[0] == beside[1]


def test_temporary_files_are_removed(engines: dict[str, dict[str, Any]]) -> None:
    folder = engines["beam"]["transform_graph"].path.parent
    assert {path.name for path in folder.iterdir()} == {
        "executor_output.json",
        "transform_graph",
        "transformed_examples",
    }
    kept = {"data_parquet-00000-of-00001.parquet", "data_tfrecord-00000-of-00001.gz", "provenance.json"}
    assert {path.name for path in (folder / "transformed_examples").rglob("*") if path.is_file()} <= kept


@pytest.fixture
def small(tmp_path: Path) -> Inputs:
    examples = written(tmp_path / "examples", {split: small_batch(rows) for split, rows in ROWS.items()})
    return {"examples": examples, "schema": schema_artifact(tmp_path / "schema", SCHEMA)}


@pytest.mark.slow
def test_workers_are_separate_processes(run_stage: StageRun, small: Inputs, tmp_path: Path) -> None:
    arguments = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    parameters = {"module": module(tmp_path, PLAIN), "engine": "beam", "beam_pipeline_args": arguments}
    outputs = run_stage("transform", small, parameters)
    x = rows(outputs["transformed_examples"], "train")["x_scaled"]
    assert sorted(x.to_pylist()) == [[pytest.approx(row / 89)] for row in range(90)]


def test_settings_are_applied_with_an_analyzer_that_only_beam_has(
    run_stage: StageRun, small: Inputs, tmp_path: Path
) -> None:
    source = """
import apache_beam as beam
import tensorflow as tf
import tensorflow_transform as tft

class Largest(beam.PTransform):
    def expand(self, batches):
        return batches | beam.Map(lambda batch: batch[0].max()) | beam.CombineGlobally(max)

def preprocessing_fn(inputs, custom_config):
    largest, = tft.experimental.ptransform_analyzer([inputs["x"]], Largest(), [tf.float32], [[]])
    return {"share": custom_config["scale"] * inputs["x"] / largest}
"""
    parameters = {
        "module": module(tmp_path, source),
        "analyze_splits": ["eval"],
        "transform_splits": ["train"],
        "custom_config": {"scale": 2.0},
        "payload_format": "tf_example",
        "disable_statistics": True,
        "engine": "beam",
    }
    outputs = run_stage("transform", small, parameters)
    transformed, graph = outputs["transformed_examples"], outputs["transform_graph"].path
    assert [folder.name for folder in transformed.path.glob("Split-*")] == ["Split-train"]
    assert transformed.metadata["payload_format"] == "FORMAT_TF_EXAMPLE"
    assert max(rows(transformed, "train")["share"].to_pylist()) == [pytest.approx(2 * 89 / 32)]
    assert not list(graph.glob("*_feature_stats"))


BAD_SETTINGS: dict[str, tuple[dict[str, Any], str, str]] = {
    "options for the direct engine": (
        {"beam_pipeline_args": ["--runner=FlinkRunner"]},
        "beam_pipeline_args ['--runner=FlinkRunner'] are given, but the engine is 'direct'",
        'add engine="beam"',
    ),
    "another engine": ({"engine": "spark"}, "engine 'spark' is unknown", 'write engine="direct" or engine="beam"'),
    "another option": (
        {"engine": "beam", "beam_pipeline_args": ["--direct_num_worker=2"]},
        "Beam has no option --direct_num_worker",
        "did you mean --direct_num_workers?",
    ),
}


@pytest.mark.parametrize("setting", BAD_SETTINGS)
def test_an_invalid_setting_is_refused(run_stage: StageRun, small: Inputs, tmp_path: Path, setting: str) -> None:
    parameters, *message = BAD_SETTINGS[setting]
    with pytest.raises(UserError) as error:
        run_stage("transform", small, {"module": module(tmp_path, PLAIN), **parameters})
    for part in message:
        assert part in str(error.value)
    assert_nothing_is_left(tmp_path)


@pytest.mark.slow
def test_a_damaged_file_is_refused(run_stage: StageRun, small: Inputs, tmp_path: Path) -> None:
    (file,) = split_files(small["examples"], "eval")
    good = file.read_bytes()
    # The footer is intact, but a column's pages are damaged.
    file.write_bytes(good[:4] + bytes(200) + good[204:])
    with pytest.raises(DataError) as error:
        run_stage("transform", small, {"module": module(tmp_path, PLAIN), "engine": "beam"})
    assert f"{file} is not a readable Parquet file" in str(error.value)
    assert_nothing_is_left(tmp_path)


def test_an_operation_that_fails_on_the_rows_is_reported(run_stage: StageRun, small: Inputs, tmp_path: Path) -> None:
    source = """
import tensorflow as tf

def preprocessing_fn(inputs):
    return {"number": tf.strings.to_number(tf.sparse.to_dense(inputs["word"])[:, 0])}
"""
    parameters = {"module": module(tmp_path, source), "engine": "beam", "disable_statistics": True}
    with pytest.raises(DataError) as error:
        run_stage("transform", small, parameters)
    assert "the transform on Beam" in str(error.value)
    assert "StringToNumberOp could not correctly convert string: w0" in str(error.value)
    assert_nothing_is_left(tmp_path)
