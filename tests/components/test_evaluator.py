"""The evaluator compared with TFMA on Beam: same metrics and validation; and its errors."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from google.protobuf import json_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.utils.keras_lib import tf_keras
from tfx_bsl.tfxio import tf_example_record

from components.contract.artifacts import Examples, Model, ModelBlessing, Schema
from components.contract.errors import DataError, UserError
from components.data.examples import TF_EXAMPLE, SplitWriter, describe
from components.user_code import eval_configs, metric_classes
from tests.conftest import run_stage_in

# TFMA divides by zero where a slice has no positives.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:tensorflow_model_analysis")

ROWS = 600
FEATURES = {name: tf.io.FixedLenFeature([1], tf.float32) for name in ("x", "y")}


@dataclass(frozen=True)
class World:
    """Rows in both payload formats, and models to evaluate on them."""

    folder: Path
    parquet: Examples
    records: Examples

    def model(self, name: str) -> Model:
        return Model(self.folder / name)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("evaluator")
    save(Binary(1.5, -0.5), folder / "binary")
    save(Binary(0.3, 0.9), folder / "baseline")
    save(Classes(), folder / "classes")
    save(Plain(), folder / "plain")
    return World(folder, examples(folder / "parquet", rows()), examples(folder / "records", rows(), TF_EXAMPLE))


def rows(count: int = ROWS, **replaced: pa.Array) -> pa.RecordBatch:
    random = np.random.default_rng(7)
    x, y = random.normal(size=(2, count)).astype(np.float32)
    number = random.integers(0, count, count)
    columns = {
        "x": one_each(x),
        "y": one_each(y),
        "label": one_each((x + 0.5 * random.normal(size=count) > 0).astype(np.int64)),
        "share": one_each(random.random(count).astype(np.float32)),
        "class": one_each(np.abs(x * 2).astype(np.int64) % 4),
        "amount": one_each((3 * x + y + random.normal(size=count)).astype(np.float32)),
        "weight": one_each(random.random(count).astype(np.float32)),
        "hour": one_each(number % 6),
        "city": lists([None if n % 11 == 0 else [b"ab"[n % 2 : n % 2 + 1]] for n in number], pa.large_binary()),
        "tags": lists([[b"u", b"v", b"u"][: n % 4] for n in number], pa.large_binary()),
        **replaced,
    }
    return pa.RecordBatch.from_pydict({name: column for name, column in columns.items() if column is not None})


def one_each(values: np.ndarray) -> pa.Array:
    return lists([[value] for value in values.tolist()], pa.int64() if values.dtype == np.int64 else pa.float32())


def lists(values: list[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.large_list(kind))


def examples(folder: Path, batch: pa.RecordBatch, payload: str = "parquet") -> Examples:
    artifact = Examples(folder)
    with SplitWriter(artifact, "eval", payload) as writer:
        writer.write(batch)
    describe(artifact, ["eval"], payload)
    return artifact


SERIALIZED = [tf.TensorSpec([None], tf.string)]


class Binary(tf.Module):
    """A logistic model on serialized examples, with a transform that computes another label."""

    def __init__(self, a: float, b: float) -> None:
        super().__init__()
        self.weights = tf.Variable([a, b], dtype=tf.float32)

    @tf.function(input_signature=SERIALIZED)
    def serve(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(serialized, FEATURES)
        return {"score": tf.sigmoid(parsed["x"] * self.weights[0] + parsed["y"] * self.weights[1])}

    @tf.function(input_signature=SERIALIZED)
    def transform(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(serialized, FEATURES)
        positive = tf.cast(parsed["x"] > 0.2, tf.int64)
        return {"label_xf": positive, "side": tf.cast(parsed["y"] > 0, tf.int64)}


class Classes(tf.Module):
    """Probabilities of four classes, and with them the logits in a second signature."""

    @tf.function(input_signature=SERIALIZED)
    def serve(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.abs(tf.io.parse_example(serialized, FEATURES)["x"]) * 2
        return {"probabilities": tf.nn.softmax(-tf.abs(x - tf.range(4.0)), axis=1)}

    @tf.function(input_signature=SERIALIZED)
    def both(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(serialized, FEATURES)
        return {"first": tf.sigmoid(parsed["x"]), "second": tf.sigmoid(parsed["y"])}


class Plain(tf.Module):
    """A regression on columns."""

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, "x"), tf.TensorSpec([None, 1], tf.float32, "y")])
    def serve(self, x: tf.Tensor, y: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"amount": 2.5 * x + 1.2 * y}


def save(module: tf.Module, folder: Path) -> None:
    signatures = {"serving_default": module.serve}
    for name, attribute in {"transform_features": "transform", "both": "both"}.items():
        if hasattr(module, attribute):
            signatures[name] = getattr(module, attribute)
    tf.saved_model.save(module, str(folder / "Format-Serving"), signatures=signatures)


def metric(class_name: str, module: str = "", **config: Any) -> dict[str, Any]:
    settings = {"class_name": class_name, "config": json.dumps(config)}
    return {**settings, "module": module} if module else settings


SLICES: list[dict[str, Any]] = [
    {},
    {"feature_keys": ["hour"]},
    {"feature_keys": ["city"]},
    {"feature_keys": ["tags", "city"]},
    {"feature_values": {"hour": "3"}, "feature_keys": ["tags"]},
    {"feature_values": {"hour": "2"}},
    {"feature_values": {"city": "a", "hour": "1"}},
]

BINARY: dict[str, Any] = {
    "model_specs": [{"label_key": "label", "example_weight_key": "weight"}],
    "slicing_specs": SLICES,
    "metrics_specs": [
        {
            "metrics": [
                metric(name)
                for name in (
                    *("ExampleCount", "WeightedExampleCount", "AUC", "AUCPrecisionRecall", "BinaryAccuracy"),
                    *("Precision", "Recall", "F1Score", "Calibration", "MeanLabel", "MeanPrediction", "FallOut"),
                    *("BinaryCrossEntropy", "BinaryCrossentropy", "ConfusionMatrixPlot", "CalibrationPlot"),
                    *("MeanAbsoluteError", "SquaredPearsonCorrelation", "BalancedAccuracy"),
                )
            ]
            + [
                metric("ConfusionMatrixAtThresholds", thresholds=[0.1, 0.5, 0.9]),
                metric("Precision", name="precision_high", thresholds=[0.9, 0.2]),
                metric("SensitivityAtSpecificity", specificity=0.8),
                metric("AUC", "tf_keras.metrics", name="keras_auc"),
                metric("RootMeanSquaredError"),
            ]
        },
        {"metrics": [metric("BinaryAccuracy"), metric("ExampleCount")], "example_weights": {"unweighted": True}},
    ],
}

REGRESSION: dict[str, Any] = {
    "model_specs": [{"label_key": "amount", "example_weight_key": "weight"}],
    "slicing_specs": [{}, {"feature_keys": ["city"]}],
    "metrics_specs": [
        {
            "metrics": [
                metric(name)
                for name in (
                    *("ExampleCount", "MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError"),
                    *("SquaredPearsonCorrelation", "RootMeanSquaredError", "LogCoshError", "Calibration"),
                    *("MeanLabel", "MeanPrediction", "CosineSimilarity"),
                )
            ]
            + [metric("CalibrationPlot", left=-5.0, right=5.0)]
        }
    ],
}

CLASSES: dict[str, Any] = {
    "model_specs": [{"label_key": "class"}],
    "slicing_specs": [{}, {"feature_keys": ["hour"]}],
    "metrics_specs": [
        {
            "metrics": [
                metric(name)
                for name in (
                    *("ExampleCount", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy"),
                    *("MultiClassConfusionMatrixPlot", "MultiClassConfusionMatrixAtThresholds", "AUC"),
                )
            ]
            + [metric("SparseTopKCategoricalAccuracy", k=2)]
        },
        {"metrics": [metric("Precision"), metric("AUC")], "binarize": {"class_ids": {"values": [0, 2]}}},
        {
            "metrics": [metric("Recall"), metric("BinaryCrossentropy"), metric("MeanSquaredLogarithmicError")],
            "aggregate": {"micro_average": True},
        },
        {
            "metrics": [metric("F1Score")],
            "aggregate": {"macro_average": True, "class_weights": {"0": 1.0, "1": 1.0, "2": 1.0}},
        },
    ],
}

CHANGE = {"direction": "HIGHER_IS_BETTER", "absolute": 0.001, "relative": 0.01}
COMPARED: dict[str, Any] = {
    "model_specs": [
        {
            "signature_name": "serving_default",
            "label_key": "label_xf",
            "preprocessing_function_names": ["transform_features"],
        }
    ],
    "slicing_specs": [{}, {"feature_keys": ["side"]}, {"feature_keys": ["hour"]}],
    "options": {"min_slice_size": 100},
    "metrics_specs": [
        {
            "metrics": [
                {
                    **metric("BinaryAccuracy"),
                    "threshold": {"value_threshold": {"lower_bound": 0.6}, "change_threshold": CHANGE},
                    "per_slice_thresholds": [
                        {
                            "slicing_specs": [{"feature_keys": ["side"]}, {"feature_values": {"hour": "77"}}],
                            "threshold": {"value_threshold": {"lower_bound": 0.85, "upper_bound": 0.99}},
                        }
                    ],
                },
                {**metric("AUC"), "threshold": {"change_threshold": CHANGE}},
                metric("ConfusionMatrixAtThresholds", thresholds=[0.5]),
            ]
        }
    ],
}


def evaluate(
    folder: Path,
    config: Mapping[str, Any],
    model: Model,
    rows: Examples,
    baseline: Model | None = None,
    **settings: Any,
) -> dict[str, Any]:
    inputs = {"examples": rows, "model": model}
    if baseline is not None:
        inputs["baseline_model"] = baseline
    return run_stage_in("evaluator", folder, inputs, {"eval_config": config, **settings})


def tfma_on_beam(
    folder: Path, config: Mapping[str, Any], model: Model, rows: Examples, baseline: Model | None = None
) -> Path:
    """What TFX's Evaluator does with the same files."""
    settings = tfma.utils.update_eval_config_with_defaults(
        json_format.ParseDict(config, config_pb2.EvalConfig()), has_baseline=baseline is not None, rubber_stamp=True
    )
    found = {spec.name: baseline if spec.is_baseline else model for spec in settings.model_specs}
    models = [
        tfma.default_eval_shared_model(str(it.path / "Format-Serving"), model_name=name, eval_config=settings)
        for name, it in found.items()
        if it is not None
    ]
    source = tf_example_record.TFExampleRecord(
        str(rows.path / "Split-eval" / "*"), raw_record_column_name=tfma.ARROW_INPUT_COLUMN
    )
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        (
            pipeline
            | source.BeamSource(batch_size=500)
            | tfma.ExtractEvaluateAndWriteResults(
                eval_shared_model=models if len(models) > 1 else models[0],
                eval_config=settings,
                output_path=str(folder),
            )
        )
    return folder


def metrics_of(folder: Path) -> dict[Any, Any]:
    """Every metric and plot of every slice by names, as plain values."""
    found: dict[Any, Any] = {}
    for sliced in tfma.load_metrics(str(folder)):
        for pair in sliced.metric_keys_and_values:
            found[slice_name(sliced), str(pair.key)] = json_format.MessageToDict(pair.value)
        for name, value in sliced.metrics.items():
            found[slice_name(sliced), name] = json_format.MessageToDict(value)
    for plots in tfma.load_plots(str(folder)):
        for pair in plots.plot_keys_and_values:
            found[slice_name(plots), str(pair.key), "plot"] = json_format.MessageToDict(pair.value)
    return found


def slice_name(sliced: Any) -> str:
    return str(tfma.slicer.stringify_slice_key(tfma.slicer.deserialize_slice_key(sliced.slice_key)))


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from flat(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from flat(inner, f"{path}[{number}]")
    else:
        yield path, value


def assert_equal_results(ours: Path, theirs: Path) -> None:
    one, other = metrics_of(ours), metrics_of(theirs)
    assert set(one) == set(other)
    for key, value in other.items():
        expected, got = dict(flat(value)), dict(flat(one[key]))
        assert set(got) == set(expected), key
        for path, number in expected.items():
            if isinstance(number, float):
                assert got[path] == pytest.approx(number, rel=1e-6, abs=1e-6, nan_ok=True), (key, path)
            else:
                assert got[path] == number, (key, path)


TWO_OUTPUTS: dict[str, Any] = {
    "model_specs": [{"signature_name": "both", "label_keys": {"first": "label", "second": "share"}}],
    "metrics_specs": [
        {"metrics": [metric("AUC"), metric("BinaryCrossentropy")], "output_names": ["first"]},
        {"metrics": [metric("BinaryAccuracy"), metric("MeanLabel")], "output_names": ["second"]},
    ],
}


@pytest.mark.parametrize(
    ("config", "model"),
    [
        (BINARY, "binary"),
        (REGRESSION, "plain"),
        pytest.param(CLASSES, "classes", marks=pytest.mark.slow),
        pytest.param(TWO_OUTPUTS, "classes", marks=pytest.mark.slow),
    ],
    ids=["binary", "regression", "classes", "two outputs"],
)
def test_metrics_equal_those_of_tfma_on_beam(
    config: dict[str, Any], model: str, world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    theirs = tfma_on_beam(tmp_path / "theirs", config, world.model(model), world.records)
    ours = evaluate(tmp_path / "ours", config, world.model(model), world.parquet)
    assert "Beam" not in capfd.readouterr().out
    assert_equal_results(ours["evaluation"].path, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("baseline", ["baseline", None])
def test_thresholds_give_the_same_validation_as_tfma_on_beam(
    baseline: str | None, world: World, tmp_path: Path
) -> None:
    other = world.model(baseline) if baseline else None
    theirs = tfma_on_beam(tmp_path / "theirs", COMPARED, world.model("binary"), world.records, other)
    ours = evaluate(tmp_path / "ours", COMPARED, world.model("binary"), world.parquet, other)
    assert_equal_results(ours["evaluation"].path, theirs)
    assert validation(ours["evaluation"].path) == validation(theirs)
    assert not ours["blessed"]


def validation(folder: Path) -> dict[str, Any]:
    result = tfma.load_validation_result(str(folder))
    failed = {
        (slice_name(found), str(failure.metric_key), str(failure.metric_threshold), failure.message)
        for found in result.metric_validations_per_slice
        for failure in found.failures
    }
    details = {
        (str(detail.slicing_spec), detail.num_matching_slices) for detail in result.validation_details.slicing_details
    }
    return {"ok": result.validation_ok, "failed": failed, "details": details, "missing": str(result.missing_slices)}


def simple(*metrics: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"model_specs": [{"label_key": "label", **spec}], "metrics_specs": [{"metrics": list(metrics)}]}


def bounded(class_name: str, lower: float, **config: Any) -> dict[str, Any]:
    return {**metric(class_name, **config), "threshold": {"value_threshold": {"lower_bound": lower}}}


def test_a_model_that_meets_its_thresholds_is_blessed(world: World, tmp_path: Path) -> None:
    config = simple(bounded("BinaryAccuracy", 0.5), metric("AUC"), metric("ConfusionMatrixPlot"))
    done = evaluate(tmp_path, config, world.model("binary"), world.parquet, world.model("baseline"))
    blessing, evaluation = done["blessing"], done["evaluation"]
    assert done["blessed"] is True
    assert isinstance(blessing, ModelBlessing)
    assert sorted(file.name for file in blessing.path.iterdir()) == ["BLESSED", "provenance.json"]
    assert blessing.metadata["blessed"] == 1
    assert blessing.metadata["current_model"] == str(world.folder / "binary")
    assert blessing.metadata["baseline_model"] == str(world.folder / "baseline")
    result = tfma.load_eval_result(str(evaluation.path), model_name="candidate")
    assert [key for key, _ in result.slicing_metrics] == [()]
    accuracy = result.slicing_metrics[0][1][""][""]["binary_accuracy"]["doubleValue"]
    assert evaluation.metadata["binary_accuracy"] == pytest.approx(accuracy)
    assert evaluation.metadata["auc"] > 0.8
    assert tfma.load_validation_result(str(evaluation.path)).validation_ok


def test_a_failed_threshold_is_reported_and_is_not_an_error(
    world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    per_slice = [
        {
            "slicing_specs": [{"feature_values": {"city": "a"}}],
            "threshold": {"value_threshold": {"upper_bound": 0.25}},
        }
    ]
    config = simple({**bounded("BinaryAccuracy", 0.99), "per_slice_thresholds": per_slice})
    done = evaluate(
        tmp_path, {**config, "slicing_specs": [{}, {"feature_keys": ["city"]}]}, world.model("binary"), world.parquet
    )
    assert done["blessed"] is False
    assert (done["blessing"].path / "NOT_BLESSED").is_file()
    assert done["blessing"].metadata["blessed"] == 0
    log = capfd.readouterr().out
    assert "not blessed: slice Overall: binary_accuracy 0.8" in log
    assert "outside value_threshold {'lower_bound': 0.99}" in log
    assert "not blessed: slice city:a: binary_accuracy 0.8" in log
    assert "outside value_threshold {'upper_bound': 0.25}" in log
    reasons = done["blessing"].metadata["not_blessed"].splitlines()
    assert len(reasons) == 4
    summary = f"not blessed: {'; '.join(reasons[:3])}; and 1 more in the log"
    assert done["blessing"].summary == [("blessing", summary)]
    assert [f"evaluator: not blessed: {reason}" for reason in reasons] == [
        line for line in log.splitlines() if "not blessed" in line
    ]


def test_change_thresholds_alone_bless_nothing_without_a_baseline(
    world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = simple({**metric("AUC"), "threshold": {"change_threshold": CHANGE}})
    nothing = Model(tmp_path / "none", {"found": False})
    nothing.path.mkdir()
    assert not evaluate(tmp_path / "first", config, world.model("binary"), world.parquet, nothing)["blessed"]
    assert "change thresholds need a baseline" in capfd.readouterr().out
    compared = evaluate(tmp_path / "second", config, world.model("binary"), world.parquet, world.model("baseline"))
    assert compared["blessed"]


@pytest.mark.slow
@pytest.mark.parametrize("payload", ["parquet", "records"])
def test_the_engine_beam_gives_the_same_verdict_and_metrics(world: World, tmp_path: Path, payload: str) -> None:
    config = simple({**metric("AUC"), "threshold": {"change_threshold": CHANGE}}, metric("ExampleCount"))
    config["slicing_specs"] = SLICES[:2]
    examples = getattr(world, payload)
    done = {
        engine: evaluate(
            tmp_path / engine, config, world.model("binary"), examples, world.model("baseline"), engine=engine
        )
        for engine in ("direct", "beam")
    }
    assert done["direct"]["blessed"] == done["beam"]["blessed"]
    assert_equal_results(done["direct"]["evaluation"].path, done["beam"]["evaluation"].path)
    validated = tfma.load_validation_result(str(done["beam"]["evaluation"].path))
    assert validated.validation_ok == done["beam"]["blessed"]


def test_beam_options_need_the_engine_beam(world: World, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"beam_pipeline_args .* are given, but the engine is 'direct'"):
        evaluate(tmp_path, BINARY, world.model("binary"), world.parquet, beam_pipeline_args=["--runner=FlinkRunner"])


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (simple(metric("CoefficientOfDiscrimination")), "the metric 'tjur_discrimination' (TFMA computes it example"),
        pytest.param(
            {**simple(metric("ExampleCount")), "cross_slicing_specs": [{"baseline_spec": {}}]},
            "cross_slicing_specs needs Beam",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["metric", "cross slices"],
)
def test_unsupported_configurations_use_beam(
    config: dict[str, Any], reason: str, world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = evaluate(tmp_path, config, world.model("binary"), world.parquet)
    assert reason in capfd.readouterr().out
    assert metrics_of(done["evaluation"].path)


def test_batches_and_payload_formats_make_no_difference(world: World, tmp_path: Path) -> None:
    config = {**BINARY, "slicing_specs": SLICES[:4]}
    batch = rows()
    split = Examples(tmp_path / "split")
    for name, part in {"one": batch.slice(0, 250), "two": batch.slice(250)}.items():
        with SplitWriter(split, name) as writer:
            writer.write(part)
    describe(split, ["one", "two"], "parquet")
    whole = evaluate(tmp_path / "whole", config, world.model("binary"), world.records)
    parts = evaluate(tmp_path / "parts", config, world.model("binary"), split, splits=["one", "two"])
    assert_equal_results(parts["evaluation"].path, whole["evaluation"].path)


def test_a_schema_defines_how_columns_become_tensors(world: World, tmp_path: Path) -> None:
    schema = schema_pb2.Schema()
    for name in ("x", "y", "amount"):
        feature = schema.feature.add(name=name, type=schema_pb2.FLOAT, presence={"min_fraction": 1, "min_count": 1})
        feature.shape.dim.add(size=1)
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.pbtxt").write_text(str(schema))
    config = {**simple(metric("MeanSquaredError"), label_key="amount")}
    inputs = {"examples": world.parquet, "model": world.model("plain"), "schema": Schema(tmp_path / "schema")}
    for engine in ("direct", "beam"):
        run_stage_in("evaluator", tmp_path / engine, inputs, {"eval_config": config, "engine": engine})
    assert_equal_results(tmp_path / "direct" / "evaluation", tmp_path / "beam" / "evaluation")


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "label": (
        simple(metric("AUC"), label_key="tip"),
        "the label 'tip' (eval_config.model_specs, label_key) is neither a column of the examples nor returned by a "
        "preprocessing function\n  fix: the columns there are: amount, city, class, hour, label, share, tags, ",
    ),
    "no label": (
        simple(metric("AUC"), label_key=""),
        "eval_config.model_specs names no label_key, and the metrics need",
    ),
    "weight": (
        simple(metric("AUC"), example_weight_key="w"),
        "the example weight 'w' (eval_config.model_specs, example_w",
    ),
    "metric": (
        simple(metric("ExampleCount"), metric("BinaryAcuracy")),
        "eval_config.metrics_specs[0].metrics[1].class_name: there is no metric 'BinaryAcuracy'\n"
        "  fix: did you mean 'BinaryAccuracy'?",
    ),
    "metric's settings": (
        simple(metric("AUC", num_treshold=3)),
        'eval_config.metrics_specs[0].metrics[0]: AUC cannot be created from {"num_treshold": 3}',
    ),
    "field": (
        {"model_specs": [{"label_kee": "label"}]},
        "eval_config has no field eval_config.model_specs[0].label_kee\n  fix: did you mean 'label_key'?",
    ),
    "deep field": (
        simple({**metric("AUC"), "threshold": {"value_threshold": {"lower": 1}}}),
        "no field eval_config.metrics_specs[0].metrics[0].threshold.value_threshold.lower\n"
        "  fix: did you mean 'lower_bound'?",
    ),
    "wrapped value": (
        {"options": {"min_slice_size": {"value": 2}}},
        "eval_config.options.min_slice_size is {'value': 2}\n  fix: write the bare value: 2",
    ),
    "type": ({"model_specs": [{"label_key": 3}]}, "eval_config.model_specs[0].label_key is 3: expected string"),
    "several": (
        {"model_specs": [{"label_kee": "a", "name": 3}], "slicing_spec": []},
        "eval_config has 3 mistakes:\n- eval_config has no field eval_config.model_specs[0].label_kee (did you mean",
    ),
    "several metrics": (
        simple(metric("AUCC"), metric("AUC", num_treshold=3)),
        "eval_config has 2 mistakes:\n- eval_config.metrics_specs[0].metrics[0].class_name: there is no metric 'AUCC'",
    ),
    "slice": (
        {**simple(metric("AUC")), "slicing_specs": [{"feature_keys": ["citi"]}]},
        "eval_config.slicing_specs: there is no column 'citi' to slice by\n  fix: did you mean 'city'?",
    ),
    "signature": (
        simple(metric("AUC"), signature_name="serve"),
        "has no signature 'serve'\n  fix: its signatures: serving_default, transform_features",
    ),
    "preprocessing function": (
        simple(metric("AUC"), preprocessing_function_names=["transform"]),
        "has no signature 'transform'\n  fix: its signatures: serving_default, transform_features",
    ),
    "not a class": (
        {**simple(metric("AUC"), label_key="amount")},
        "binary metrics take labels from 0 to 1\n  fix: name another label_key",
    ),
    "two specs": (simple(metric("AUC"), label_keys={"a": "b"}), "only one of label_key or label_keys should be used"),
}


@pytest.mark.parametrize(("config", "text"), MISTAKES.values(), ids=MISTAKES)
def test_an_invalid_setting_is_refused(config: dict[str, Any], text: str, world: World, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        evaluate(tmp_path, config, world.model("binary"), world.parquet)
    assert text in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_list_of_metrics_equals_that_of_tfma() -> None:
    registered = metric_types.registered_metrics()
    keras = {name: getattr(tf_keras.metrics, name) for name in dir(tf_keras.metrics) if name[0].isupper()}
    classes = {**keras, **registered}
    assert metric_classes.known().keys() == classes.keys()
    for name, cls in classes.items():
        if not inspect.isclass(cls):
            continue
        taken = inspect.signature(cls.__init__).parameters
        open_ended = any(parameter.kind == parameter.VAR_KEYWORD for parameter in taken.values())
        assert metric_classes.settings(name) in (None, set(taken) - {"self"} if not open_ended else None), name
    assert metric_classes.settings("AUC") is not None


@pytest.mark.parametrize("config", [BINARY, REGRESSION, CLASSES, TWO_OUTPUTS, COMPARED])
def test_a_config_that_tfma_accepts_is_accepted(config: dict[str, Any]) -> None:
    assert eval_configs.faults(config) == []
    assert list(eval_configs.metric_faults(config)) == []


@pytest.mark.parametrize("payload", ["parquet", TF_EXAMPLE])
def test_rows_without_a_label_are_refused(payload: str, world: World, tmp_path: Path) -> None:
    labels = lists([[1], None, *([[0]] * 8)], pa.int64())
    incomplete = examples(tmp_path / "rows", rows(10, label=labels), payload)
    with pytest.raises(DataError, match=r"label is missing in 1 of 10 rows \(first: 1\)"):
        evaluate(tmp_path / "out", simple(metric("AUC")), world.model("binary"), incomplete)


def test_an_empty_split_is_refused(world: World, tmp_path: Path) -> None:
    empty = examples(tmp_path / "rows", rows(1).slice(1))
    with pytest.raises(DataError, match=r"the split 'eval' of .* has no rows to evaluate on"):
        evaluate(tmp_path / "out", simple(metric("AUC")), world.model("binary"), empty)


def test_an_unknown_split_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no split 'test'"):
        evaluate(tmp_path, simple(metric("AUC")), world.model("binary"), world.parquet, splits=["test"])


def test_a_missing_or_broken_model_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no SavedModel in .*/none/Format-Serving"):
        evaluate(tmp_path / "out", simple(metric("AUC")), Model(tmp_path / "none"), world.parquet)
    (tmp_path / "broken" / "Format-Serving").mkdir(parents=True)
    (tmp_path / "broken" / "Format-Serving" / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"the model in .*/broken/Format-Serving does not load: "):
        evaluate(tmp_path / "out", simple(metric("AUC")), Model(tmp_path / "broken"), world.parquet)


def test_a_model_that_predicts_nan_is_refused(world: World, tmp_path: Path) -> None:
    save(Binary(float("nan"), 0.0), tmp_path / "nan")
    with pytest.raises(UserError, match="the model predicts NaN for 600 of 600 values"):
        evaluate(tmp_path / "out", simple(metric("AUC")), Model(tmp_path / "nan"), world.parquet)


def test_several_outputs_need_a_prediction_key(world: World, tmp_path: Path) -> None:
    config = simple(metric("AUC"), signature_name="both")
    with pytest.raises(UserError, match=r"several outputs, and .* say which one to evaluate: first, second"):
        evaluate(tmp_path / "out", config, world.model("classes"), world.parquet)
    named = simple(metric("AUC"), signature_name="both", prediction_key="first")
    assert (
        evaluate(tmp_path / "named", named, world.model("classes"), world.parquet)["evaluation"].metadata["auc"] > 0.5
    )


def test_a_model_whose_inputs_are_not_columns_is_refused(world: World, tmp_path: Path) -> None:
    without = examples(tmp_path / "rows", rows(y=None))
    with pytest.raises(UserError, match="the candidate cannot be called on the examples"):
        evaluate(tmp_path / "out", simple(metric("MeanSquaredError")), world.model("plain"), without)
    assert list((tmp_path / "out").iterdir()) == []


# A baseline that fails


class Wide(tf.Module):
    """An old model with a column that no longer exists."""

    @tf.function(input_signature=SERIALIZED)
    def serve(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(serialized, {"gone": tf.io.FixedLenFeature([1], tf.float32)})
        return {"score": tf.sigmoid(parsed["gone"])}


class Three(Classes):
    """A model of three classes, where the rows have four."""

    @tf.function(input_signature=SERIALIZED)
    def serve(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.abs(tf.io.parse_example(serialized, FEATURES)["x"]) * 2
        return {"probabilities": tf.nn.softmax(-tf.abs(x - tf.range(3.0)), axis=1)}


@pytest.fixture(scope="module")
def failing(world: World) -> dict[str, Model]:
    """Baselines that the candidate cannot be compared with."""
    save(Wide(), world.folder / "wide")
    save(Three(), world.folder / "three")
    save(Binary(float("nan"), 0.0), world.folder / "nan")
    broken = world.folder / "broken" / "Format-Serving"
    broken.mkdir(parents=True)
    (broken / "saved_model.pb").write_bytes(b"no model")
    return {name: world.model(name) for name in ("wide", "three", "nan", "broken", "plain")}


GATED = simple(
    {**bounded("AUC", 0.5), "threshold": {"value_threshold": {"lower_bound": 0.5}, "change_threshold": CHANGE}}
)
CLASSIFIED = simple(bounded("AUC", 0.1), label_key="class", prediction_key="probabilities")
FAILING_BASELINES: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "does not take the columns": ("binary", "wide", GATED, "a model cannot be called on the examples: "),
    "does not load": ("binary", "broken", GATED, "broken/Format-Serving does not load: "),
    "predicts NaN": ("binary", "nan", GATED, "the model predicts NaN for 600 of 600 values in a batch"),
    "has no such preprocessing function": (
        "binary",
        "plain",
        simple(
            bounded("BinaryAccuracy", 0.1), label_key="label_xf", preprocessing_function_names=["transform_features"]
        ),
        "plain/Format-Serving has no signature 'transform_features'",
    ),
    "knows fewer classes": ("classes", "three", CLASSIFIED, "a label is 3, but the model predicts 3 classes"),
}


@pytest.mark.parametrize(("model", "baseline", "config", "why"), FAILING_BASELINES.values(), ids=FAILING_BASELINES)
def test_a_failing_baseline_is_ignored_with_a_reason(
    model: str,
    baseline: str,
    config: dict[str, Any],
    why: str,
    world: World,
    failing: dict[str, Model],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    pushed = Model(failing[baseline].path, {"pushed_destination": "s3://taxi/3", "found": 1})
    done = evaluate(tmp_path / "ignored", config, world.model(model), world.parquet, pushed)
    assert done["blessed"]
    message = done["blessing"].metadata["baseline_failure"]
    assert message.startswith("the baseline s3://taxi/3 was ignored because it fails: ")
    assert why in message
    assert done["evaluation"].metadata["baseline_failure"] == message
    assert done["blessing"].notes[0][:100] == message[:100]
    assert f"evaluator: {message[:100]}" in capfd.readouterr().out
    assert "baseline_model" not in done["blessing"].metadata
    with pytest.raises(UserError) as raised:
        evaluate(tmp_path / "out", config, world.model(model), world.parquet, pushed, on_baseline_failure="fail")
    assert str(raised.value).startswith("the baseline s3://taxi/3 fails, but the candidate does not: ")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_baseline_that_fails_on_beam_is_ignored(world: World, failing: dict[str, Model], tmp_path: Path) -> None:
    done = evaluate(tmp_path, GATED, world.model("binary"), world.records, failing["wide"], engine="beam")
    assert done["blessed"]
    assert "a model cannot be called on the examples: " in done["blessing"].notes[0]


def test_a_failing_candidate_is_reported_even_if_the_baseline_fails(
    world: World, failing: dict[str, Model], tmp_path: Path
) -> None:
    for baseline in (failing["wide"], world.model("binary")):
        with pytest.raises(UserError, match=r"^the candidate cannot be called on the examples: "):
            evaluate(tmp_path / baseline.path.name, GATED, failing["wide"], world.parquet, baseline)


def test_a_full_disk_is_not_blamed_on_the_baseline(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, *_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        evaluate(tmp_path, GATED, world.model("binary"), world.parquet, world.model("baseline"))


def test_an_invalid_baseline_setting_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="on_baseline_failure is 'skip'\n  fix: write 'ignore' or 'fail'"):
        evaluate(tmp_path, GATED, world.model("binary"), world.parquet, on_baseline_failure="skip")


# Labels that metrics do not accept

TEXTS = lists([[b"yes"], [b"no"]] * 10, pa.large_binary())
LABELS: dict[str, tuple[pa.Array, str]] = {
    "text": (
        TEXTS,
        "the label 'label' is a string, such as b'yes', but metrics need numbers\n  fix: name a numeric column",
    ),
    "two a row": (
        lists([[1, 0]] * 20, pa.int64()),
        "TFMA on Beam: unable to pair labels, predictions, and example weights: label=[1 0], prediction=",
    ),
    "one or two a row": (lists([[1, 0][: 1 + n % 2] for n in range(20)], pa.int64()), "TFMA on Beam: "),
    "none": (pa.nulls(20), "label is missing in 20 of 20 rows"),
}


# Where the direct engine hands over to Beam, the quick tests only run the direct engine.
@pytest.mark.parametrize(
    ("label", "message", "engine"),
    [
        pytest.param(*LABELS[name], engine, id=f"{name}-{engine}", marks=[pytest.mark.slow] if again else [])
        for name in LABELS
        for engine in ("direct", "beam")
        for again in [engine == "beam" and "on Beam" in LABELS[name][1]]
    ],
)
def test_labels_that_a_metric_does_not_accept_are_refused(
    label: pa.Array, message: str, engine: str, world: World, tmp_path: Path
) -> None:
    examples_artifact = examples(tmp_path / "rows", rows(20, label=label))
    with pytest.raises(UserError) as raised:
        evaluate(tmp_path / "out", simple(metric("AUC")), world.model("binary"), examples_artifact, engine=engine)
    text = str(raised.value)
    assert message in text
    assert len(text) < 1000
    if "Beam" in message:
        assert "label" in text.partition("fix")[2]


def test_string_weights_and_predictions_are_refused(world: World, tmp_path: Path) -> None:
    weighted = simple(metric("AUC"), example_weight_key="city")
    examples_artifact = examples(tmp_path / "rows", rows(20, city=TEXTS))
    with pytest.raises(UserError, match="the example weight is a string, such as b'yes'"):
        evaluate(tmp_path / "weights", weighted, world.model("binary"), examples_artifact)

    class Words(tf.Module):
        @tf.function(input_signature=SERIALIZED)
        def serve(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"word": tf.fill(tf.shape(serialized), "yes")}

    save(Words(), tmp_path / "words")
    with pytest.raises(UserError, match="what the model predicts is a string, such as b'yes'"):
        evaluate(tmp_path / "out", simple(metric("AUC")), Model(tmp_path / "words"), world.parquet)
