"""The taxi model that the pipeline trained on the real trips: its predictions, and training that continues from it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from components.contract.artifacts import Artifact, Examples, Model, Schema, TransformGraph
from components.data.examples import PARQUET, describe, to_tfxio_form
from pipelines.chicago_taxi.eval_config import EVAL_CONFIG
from tests.conftest import run_stage_in
from tests.pipelines.conftest import Taxi

OURS = "pipelines.chicago_taxi.model"
TFX = "tfx.examples.chicago_taxi_pipeline.taxi_utils_native_keras"

Inputs = dict[str, Artifact]


@pytest.fixture(scope="module")
def raw(taxi: Taxi) -> Inputs:
    """The trips in two splits, and their schema."""
    return {"examples": _examples(taxi.run.path("example-gen", "examples")), "schema": _schema(taxi)}


def _examples(path: Path) -> Examples:
    examples = Examples(path)
    describe(examples, ["train", "eval"], PARQUET)
    return examples


def _schema(taxi: Taxi) -> Schema:
    return Schema(taxi.run.path("schema-gen", "schema"))


def transformed(raw: Inputs, module: str, folder: Path) -> Inputs:
    outputs = run_stage_in("transform", folder, raw, {"module": module, "disable_statistics": True})
    return {"examples": outputs["transformed_examples"], "transform_graph": outputs["transform_graph"]}


def trained(inputs: Inputs, module: str, folder: Path, **parameters: Any) -> dict[str, Any]:
    return run_stage_in("trainer", folder, inputs, {"module": module, **parameters})


def load(model: Artifact) -> Any:
    return tf.saved_model.load(str(model.path / "Format-Serving"))


def evaluate(loaded: Any, trips: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predicted probabilities, from a model's signatures only."""
    serialized = tf.constant(RecordBatchToExamplesEncoder().encode(trips))
    signatures = loaded.signatures
    (predicted,) = signatures["serving_default"](serialized).values()
    return signatures["transform_features"](serialized)["tips_xf"].numpy().ravel(), predicted.numpy().ravel()


def auc(labels: np.ndarray, predicted: np.ndarray) -> float:
    metric = tf.keras.metrics.AUC()
    metric.update_state(labels, predicted)
    return float(metric.result())


@pytest.fixture(scope="module")
def inputs(taxi: Taxi) -> Inputs:
    graph = TransformGraph(taxi.run.path("transform", "transform_graph"))
    return {"examples": _examples(taxi.run.path("transform", "transformed_examples")), "transform_graph": graph}


@pytest.fixture(scope="module")
def model(taxi: Taxi) -> Model:
    return Model(taxi.run.path("trainer", "model"))


@pytest.fixture(scope="module")
def loaded(model: Model) -> Any:
    return load(model)


@pytest.fixture(scope="module")
def held_out(raw: Inputs) -> pa.RecordBatch:
    """The raw trips that the model was not trained on."""
    return to_tfxio_form(pq.read_table(raw["examples"].path / "Split-eval").combine_chunks().to_batches()[0])


def test_it_predicts_big_tips(loaded: Any, held_out: pa.RecordBatch) -> None:
    labels, predicted = evaluate(loaded, held_out)
    tips, fare = (pa.compute.list_flatten(held_out[name]).to_numpy() for name in ("tips", "fare"))
    np.testing.assert_array_equal(labels, tips > 0.2 * fare.astype(np.float32))
    assert auc(labels, predicted) > 0.94
    assert np.mean((predicted > 0.5) == labels) > 0.88


def test_plain_columns_and_tf_examples_have_the_same_predictions(loaded: Any, held_out: pa.RecordBatch) -> None:
    rows = held_out.slice(0, 100)
    columns = {}
    for name in set(rows.schema.names) - {"tips"}:
        empty = b"" if rows.schema.field(name).type.value_type == pa.large_binary() else 0
        columns[name] = tf.constant([row[0] if row else empty for row in rows[name].to_pylist()])
    predict = loaded.signatures["predict_columns"]
    by_columns = predict(
        **{name: tf.cast(columns[name], spec.dtype) for name, spec in predict.structured_input_signature[1].items()}
    )
    np.testing.assert_allclose(by_columns["probability"].numpy().ravel(), evaluate(loaded, rows)[1], rtol=1e-5)


def test_training_logs_for_tensorboard(taxi: Taxi) -> None:
    logged = {path.parent.name for path in taxi.run.path("trainer", "model_run").rglob("events.out.tfevents.*")}
    assert {"train", "validation"} <= logged


def weights(model: Artifact) -> list[np.ndarray]:
    return [variable.numpy() for variable in load(model).model.trainable_variables]


# test_trainer_determinism.py tests a smaller model.
@pytest.mark.slow
def test_the_same_data_give_the_same_weights(inputs: Inputs, tmp_path: Path) -> None:
    one, same = (
        weights(trained(inputs, OURS, tmp_path / name, train_steps=20, eval_steps=1)["model"])
        for name in ("one", "same")
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))


# test_trainer.py tests it with a small module.
@pytest.mark.slow
def test_a_warm_start_continues_from_the_model(
    inputs: Inputs, model: Model, held_out: pa.RecordBatch, tmp_path: Path
) -> None:
    warm = {**inputs, "base_model": model}
    settings = {"train_steps": 1, "eval_steps": 1, "custom_config": {"learning_rate": 1e-9}}
    assert auc(*evaluate(load(trained(warm, OURS, tmp_path, **settings)["model"]), held_out)) > 0.94


# test_chicago_taxi.py runs it in a pipeline.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Exception encountered when calling layer|Input dict contained keys:UserWarning")
def test_tfxs_own_module_runs_unmodified_in_its_place(raw: Inputs, held_out: pa.RecordBatch, tmp_path: Path) -> None:
    spec = importlib.util.find_spec(TFX)
    assert spec
    module = str(spec.origin)
    inputs = {**transformed(raw, module, tmp_path / "transform"), "schema": raw["schema"]}
    outputs = trained(inputs, module, tmp_path / "trainer", train_steps=200, eval_steps=10)
    assert auc(*evaluate(load(outputs["model"]), held_out)) > 0.8
    assert list(outputs["model_run"].path.rglob("events.out.tfevents.*"))


def test_evaluation_settings_are_an_eval_config() -> None:
    from google.protobuf import json_format
    from tensorflow_model_analysis.proto import config_pb2

    config = json_format.ParseDict(EVAL_CONFIG, config_pb2.EvalConfig())
    assert config.model_specs[0].label_key == "tips_xf"
    accuracy = next(m for m in config.metrics_specs[0].metrics if m.class_name == "BinaryAccuracy")
    assert accuracy.per_slice_thresholds[0].threshold.value_threshold.lower_bound.value == 0.6


def test_model_artifact_is_a_saved_model(loaded: Any) -> None:
    assert set(loaded.signatures) == {"serving_default", "predict_columns", "transform_features"}
