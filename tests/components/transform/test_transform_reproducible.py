"""Equal inputs give byte-identical transform graphs, which can be loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow.core.protobuf import fingerprint_pb2, saved_model_pb2

from components.contract.artifacts import Artifact, Examples, TransformGraph
from components.contract.digests import file_digests, tree_digest
from tests.components.transform.test_transform import (
    SCHEMA,
    Inputs,
    module,
    rows,
    schema_artifact,
    small_batch,
    written,
)
from tests.conftest import run_stage_in

SOURCE = """
import tensorflow as tf
import tensorflow_transform as tft

TOKENS = ["w0", "w1"]


def preprocessing_fn(inputs):
    x, word = inputs["x"], inputs["word"]
    with tf.init_scope():
        pairs = tf.lookup.KeyValueTensorInitializer(TOKENS, tf.constant([10, 20], tf.int64))
        table = tf.lookup.StaticHashTable(pairs, -1)
    mean = tft.mean(x)
    counter = tft.make_and_track_object(lambda: tf.Variable(3.0), name="counter")
    ids = tft.compute_and_apply_vocabulary(word, vocab_filename="words")
    return {
        "scaled": tft.scale_to_0_1(x) * counter,
        "bucket": tft.bucketize(x, 4),
        "word_id": ids,
        "word_id_again": tft.compute_and_apply_vocabulary(word, default_value=-7),
        "by_record": tft.compute_and_apply_vocabulary(word, file_format="tfrecord_gzip", vocab_filename="records"),
        "known": tf.sparse.map_values(table.lookup, word),
        "clipped": tf.cond(tf.reduce_max(x) > 5.0, lambda: tf.minimum(x, mean), lambda: x),
        "doubled": doubled(x),
    }


@tf.custom_gradient
def doubled(x):
    return 2 * x, lambda upstream: 2 * upstream
"""
IN_ANOTHER_PROCESS = """
import sys
from components.contract.artifacts import Examples, Schema, TransformGraph
from components.transform.stage import transform
import tensorflow as tf
for number in range(7):
    tf.function(lambda x: x + 1)(tf.constant(number))
examples, schema, graph, transformed, module = sys.argv[1:]
transform(Examples(examples), Schema(schema), TransformGraph(graph), Examples(transformed), module)
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("inputs")
    examples = written(folder / "examples", {"train": small_batch(30)})
    return {"examples": examples, "schema": schema_artifact(folder / "schema", SCHEMA)}


@pytest.fixture(scope="module")
def first(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("first")
    return run_stage_in("transform", folder, inputs, {"module": module(folder, SOURCE)})


@pytest.fixture(scope="module")
def other(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outputs for fewer rows, with another vocabulary in a file of the same name."""
    folder = tmp_path_factory.mktemp("other")
    batch = small_batch(30)
    kept = batch.filter(pa.array([word != [b"w0"] for word in batch["word"].to_pylist()]))
    fewer = {**inputs, "examples": written(folder / "fewer", {"train": kept})}
    return run_stage_in("transform", folder, fewer, {"module": module(folder, SOURCE), "disable_statistics": True})


def test_two_runs_in_one_process_are_identical(inputs: Inputs, first: dict[str, Any], tmp_path: Path) -> None:
    second = run_stage_in("transform", tmp_path / "second", inputs, {"module": module(tmp_path, SOURCE)})
    for name in ("transform_graph", "transformed_examples"):
        assert differing(first[name], second[name]) == set()
        assert first[name].metadata["digest"] == second[name].metadata["digest"]
        assert tree_digest(first[name].path) == tree_digest(second[name].path)


@pytest.mark.slow
def test_runs_in_two_processes_are_identical(inputs: Inputs, first: dict[str, Any], tmp_path: Path) -> None:
    graph, transformed = TransformGraph(tmp_path / "graph"), Examples(tmp_path / "transformed")
    paths = [inputs["examples"].path, inputs["schema"].path, graph.path, transformed.path, module(tmp_path, SOURCE)]
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, *map(str, paths)]
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run(command, check=True, cwd=Path(__file__).parents[3], capture_output=True, env=environment)
    assert differing(graph, first["transform_graph"]) == set()
    assert tree_digest(graph.path) == tree_digest(first["transform_graph"].path)


def differing(one: Artifact, two: Artifact) -> set[str]:
    ours, theirs = (file_digests(artifact.path).items() for artifact in (one, two))
    return {name for name, _ in ours ^ theirs} - {"provenance.json"}


def test_other_rows_give_another_graph(first: dict[str, Any], other: dict[str, Any]) -> None:
    graphs = first["transform_graph"], other["transform_graph"]
    changed = differing(*graphs)
    assert {"transform_fn/saved_model.pb", "transform_fn/fingerprint.pb", "transform_fn/assets/words"} <= changed
    ours, theirs = (fingerprint(graph) for graph in graphs)
    assert ours.uuid != theirs.uuid
    assert ours.saved_model_checksum != theirs.saved_model_checksum


def fingerprint(graph: Artifact) -> fingerprint_pb2.FingerprintDef:
    content = (graph.path / "transform_fn/fingerprint.pb").read_bytes()
    return fingerprint_pb2.FingerprintDef.FromString(content)


def table_names(graph: Artifact) -> list[bytes]:
    """The names of the tables in the main graph, including repeated ones."""
    model = saved_model_pb2.SavedModel.FromString((graph.path / "transform_fn/saved_model.pb").read_bytes())
    (meta_graph,) = model.meta_graphs
    return [n.attr["shared_name"].s for n in meta_graph.graph_def.node if n.op == "HashTableV2"]


def test_names_of_tables_are_unique_and_depend_on_the_content(first: dict[str, Any], other: dict[str, Any]) -> None:
    ours, theirs = (set(table_names(each["transform_graph"])) for each in (first, other))
    # Two vocabularies in text form, and the table that the function creates.
    assert len(ours) >= 3
    assert not ours & theirs
    for name in ours | theirs:
        assert b"/tmp" not in name


def test_the_graph_has_nothing_specific_to_the_process(first: dict[str, Any]) -> None:
    content = (first["transform_graph"].path / "transform_fn/saved_model.pb").read_bytes()
    assert b"/transform-" not in content
    assert b"tmp/" not in content


def transformed_by(layer: Any) -> dict[str, Any]:
    word = tf.sparse.from_dense(np.array([["w0"], ["w1"], ["w2"]]))
    outputs = layer({"x": tf.constant([0.0, 1.0, 29.0]), "word": word})
    return {
        name: tf.sparse.to_dense(value, -9).numpy() if isinstance(value, tf.SparseTensor) else value.numpy()
        for name, value in outputs.items()
    }


def test_tft_loads_the_graph(first: dict[str, Any], other: dict[str, Any]) -> None:
    # Both at the same time: neither uses the other's tables.
    outputs = [tft.TFTransformOutput(str(each["transform_graph"].path)) for each in (first, other)]
    ours, theirs = (transformed_by(output.transform_features_layer()) for output in outputs)
    vocabularies = [
        (each["transform_graph"].path / "transform_fn/assets/words").read_bytes().split() for each in (first, other)
    ]
    assert vocabularies[0] != vocabularies[1]
    for found, vocabulary in zip((ours, theirs), vocabularies, strict=True):
        ids = [vocabulary.index(word) if word in vocabulary else -1 for word in (b"w0", b"w1", b"w2")]
        assert found["word_id"].ravel().tolist() == ids
        assert found["by_record"].ravel().tolist() == ids
        assert found["known"].ravel().tolist() == [10, 20, -1]
    expected = rows(first["transformed_examples"], "train")
    assert ours["scaled"].ravel().tolist() == [expected["scaled"][row].as_py()[0] for row in (0, 1, 29)]
    assert ours["bucket"].ravel().tolist() == [expected["bucket"][row].as_py()[0] for row in (0, 1, 29)]
    assert ours["doubled"].ravel().tolist() == [0.0, 2.0, 58.0]


def test_tensorflow_loads_the_graph(first: dict[str, Any]) -> None:
    loaded = tf.saved_model.load(str(first["transform_graph"].path / "transform_fn"))
    assert set(loaded.signatures) == {"serving_default"}
    assert set(loaded.signatures["serving_default"].structured_outputs) >= {"scaled", "bucket"}


def test_a_model_that_contains_the_transform_can_be_saved_and_loaded(inputs: Inputs, tmp_path: Path) -> None:
    # TensorFlow cannot save a table from a vocabulary of records again.
    source = SOURCE.replace(', file_format="tfrecord_gzip"', "")
    parameters = {"module": module(tmp_path, source), "disable_statistics": True}
    graph = run_stage_in("transform", tmp_path / "transform", inputs, parameters)["transform_graph"].path
    served = tf.Module()
    served.layer = tft.TFTransformOutput(str(graph)).transform_features_layer()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32), tf.TensorSpec([None], tf.string)])
    def word_id(x: tf.Tensor, word: tf.Tensor) -> tf.Tensor:
        features = {"x": x, "word": tf.sparse.from_dense(word[:, tf.newaxis])}
        return served.layer(features)["word_id"].values

    tf.saved_model.save(served, str(tmp_path / "model"), signatures=word_id)
    again = tf.saved_model.load(str(tmp_path / "model"))
    (ids,) = again.signatures["serving_default"](x=tf.constant([1.0]), word=tf.constant(["w1"])).values()
    words = (graph / "transform_fn/assets/words").read_bytes().split()
    assert ids.numpy().tolist() == [words.index(b"w1")]


def test_tensorflow_1_loads_two_graphs_side_by_side(inputs: Inputs, tmp_path: Path) -> None:
    source = """
import tensorflow_transform as tft

def preprocessing_fn(inputs):
    return {"id": tft.compute_and_apply_vocabulary(inputs["word"], vocab_filename="words", frequency_threshold=%d)}
"""
    graphs = []
    for threshold in (2, 9):
        folder = tmp_path / str(threshold)
        folder.mkdir()
        parameters = {"module": module(folder, source % threshold), "disable_statistics": True}
        graphs.append(run_stage_in("transform", folder, inputs, parameters)["transform_graph"])
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for number, graph in enumerate(graphs):
            saved_model = str(graph.path / "transform_fn")
            tf.compat.v1.saved_model.load(session, ["serve"], saved_model, import_scope=f"graph_{number}")
    names = [set(table_names(graph)) for graph in graphs]
    assert not names[0] & names[1]
