"""The quality table: equal to the evaluator's metrics on the same rows, with differences, estimates and counts."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from components.contract.artifacts import Examples, Model
from components.contract.errors import UserError
from components.data.examples import SplitWriter, describe
from components.monitoring.labels.add import add
from components.monitoring.labels.join import labels_of
from components.monitoring.passes.references import known
from components.monitoring.passes.settings import Settings as WatchSettings
from components.monitoring.passes.trained import Trained
from components.monitoring.quality.calibrate import calibrate
from components.monitoring.quality.doubts import doubts
from components.monitoring.quality.facts import Settings, Version
from components.monitoring.quality.measure import measure
from components.monitoring.store import Store
from components.monitoring.window import Window
from tests.conftest import run_stage_in

# TFMA divides by zero where a slice has no positives.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:tensorflow_model_analysis")

START = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Window("taxi", START, START + timedelta(hours=1), "1h")
METRICS = [
    "ExampleCount", "BinaryAccuracy", "AUC", "Precision", "Recall", "F1Score",
    "BinaryCrossEntropy", "MeanLabel", "MeanPrediction", "Calibration", "MeanAbsoluteError",
]  # fmt: skip
ROWS = 500


def config(label: str = "label", **changes: Any) -> dict[str, Any]:
    return {
        "model_specs": [{"label_key": label}],
        "slicing_specs": [{}, {"feature_keys": ["hour"]}, {"feature_keys": ["hour", "city"]}],
        "metrics_specs": [{"metrics": [{"class_name": name} for name in METRICS]}],
        **changes,
    }


class Logistic(tf.Module):
    """A model on serialized examples, with a transform that computes the label."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.io.parse_example(serialized, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"]
        return {"score": tf.sigmoid(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def transform(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        kinds = {name: tf.io.FixedLenFeature([1], tf.float32) for name in ("x", "tips")}
        parsed = tf.io.parse_example(serialized, kinds)
        return {"label_xf": tf.cast(parsed["tips"] > 0, tf.int64), "side": tf.cast(parsed["x"] > 0, tf.int64)}


def inputs(count: int = ROWS) -> dict[str, Any]:
    random = np.random.default_rng(2)
    x = random.normal(size=count).astype(np.float32)
    tips = (x + random.normal(size=count)).astype(np.float32)
    number = random.integers(0, 3, count)
    return {"x": x, "tips": tips, "hour": number, "city": [b"ab"[n % 2 : n % 2 + 1] for n in range(count)]}


def served(version: int = 1, prefix: str = "r", noise: float = 0.0, **columns: Any) -> pa.Table:
    found = inputs()
    x = found["x"] + noise * np.random.default_rng(3).normal(size=ROWS).astype(np.float32)
    kept = {f"input_{name}": pa.array(found[name]) for name in ("x", "hour", "city")}
    fixed = {
        "request_id": [f"{prefix}{i}" for i in range(ROWS)],
        "row": pa.array([0] * ROWS, pa.int32()),
        "time": pa.array([START + timedelta(seconds=i) for i in range(ROWS)], pa.timestamp("us", "UTC")),
        "version": pa.array([version] * ROWS, pa.int64()),
        "status": ["OK"] * ROWS,
        "share": [1.0] * ROWS,
    }
    # As the model answers: a sigmoid in float32.
    return pa.table({**fixed, **kept, "output_score": tf.sigmoid(x).numpy(), **columns})


def outcomes(**values: Any) -> pa.Table:
    return pa.table({"request_id": [f"r{i}" for i in range(ROWS)], **values})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(str(tmp_path / "tables"))
    tips = inputs()["tips"]
    add(found, outcomes(label=(tips > 0).astype(int), tips=tips), now=START + timedelta(hours=2))
    return found


def evaluated(folder: Path, settings: dict[str, Any]) -> tuple[Path, list[dict[str, Any]]]:
    """What the stage `evaluator` gives for the same rows: `slices.json`, and where the model is."""
    saved(folder)
    examples = Examples(folder / "examples")
    with SplitWriter(examples, "eval", "parquet") as writer:
        writer.write(raw_rows())
    describe(examples, ["eval"], "parquet")
    run_stage_in(
        "evaluator", folder, {"examples": examples, "model": Model(folder / "model")}, {"eval_config": settings}
    )
    return folder / "model/Format-Serving", json.loads((folder / "evaluation/slices.json").read_text())


def saved(folder: Path) -> Path:
    """Where the model is."""
    tf.saved_model.save(
        module := Logistic(),
        str(folder / "model/Format-Serving"),
        signatures={"serving_default": module.serve, "transform_features": module.transform},
    )
    return folder / "model/Format-Serving"


def raw_rows() -> pa.RecordBatch:
    rows = inputs()
    lists = {name: pa.array([[v] for v in values], pa.large_list(kind)) for name, kind, values in (
        ("x", pa.float32(), rows["x"].tolist()), ("tips", pa.float32(), rows["tips"].tolist()),
        ("hour", pa.int64(), rows["hour"].tolist()), ("city", pa.large_binary(), rows["city"]),
        ("label", pa.int64(), (rows["tips"] > 0).astype(int).tolist()),
    )}  # fmt: skip
    return pa.RecordBatch.from_pydict(lists)


def by_slice(table: pa.Table, basis: str = "labels") -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in table.to_pylist():
        if row["basis"] == basis and row["compared_with"] is None:
            found.setdefault(row["slice"], {})[row["metric"]] = row
    return found


@pytest.mark.parametrize("label", ["label", "label_xf"])
def test_metrics_equal_those_of_the_evaluator(label: str, store: Store, tmp_path: Path) -> None:
    slices = {"slicing_specs": [{}, {"feature_keys": ["side"]}, {"feature_keys": ["hour"]}]} if label != "label" else {}
    settings = config(label, **slices)
    if label != "label":
        settings["model_specs"][0]["preprocessing_function_names"] = ["transform_features"]
    # It has no formula: its interval comes from leaving out parts of the requests.
    settings["metrics_specs"][0]["metrics"].append({"class_name": "AUCPrecisionRecall"})
    model, expected = evaluated(tmp_path / "run", settings)
    version = Version(1, settings, model=model, expected=expected)
    found = by_slice(measure(store, WINDOW, served().to_batches(), [version]))
    assert len(found) == len(expected) > 5
    for each in expected:
        mine = found[each["slice"].replace(", ", ",").replace(": ", ":")]
        assert mine.keys() >= {name for name, value in each["metrics"].items() if value is not None}
        for name, value in each["metrics"].items():
            if value is None or math.isnan(value):
                assert mine.get(name, {}).get("value") is None
                continue
            assert mine[name]["value"] == pytest.approx(value, abs=1e-9, rel=1e-9), (each["slice"], name)
            assert name == "example_count" or mine[name]["expected"] == value
            assert name == "example_count" or mine[name]["p_value"] is None or mine[name]["p_value"] > 0.9
    assert found[""]["auc"]["low"] < found[""]["auc"]["value"] < found[""]["auc"]["high"]
    assert all(row["low"] is not None for name, row in found[""].items() if name != "example_count")


def test_rows_without_labels_count_as_rows(store: Store, tmp_path: Path) -> None:
    more = served(prefix="unknown")
    table = measure(store, WINDOW, [*served().to_batches(), *more.to_batches()], [Version(1, config())])
    row = by_slice(table)[""]["auc"]
    assert (row["rows"], row["labelled"]) == (2 * ROWS, ROWS)


def test_slices_are_compared_with_all_rows_for_all_slices_together(store: Store) -> None:
    table = measure(store, WINDOW, served().to_batches(), [Version(1, config())])
    rows = [row for row in table.to_pylist() if row["compared_with"] == "all rows" and row["metric"] == "auc"]
    whole = by_slice(table)[""]["auc"]["value"]
    assert len(rows) == len(by_slice(table)) - 1
    for row in rows:
        assert row["difference"] == pytest.approx(row["value"] - whole)
        assert row["difference_low"] < row["difference"] < row["difference_high"]


def test_versions_are_compared_on_all_rows_and_on_the_same_requests(store: Store) -> None:
    champion, challenger = served(1), served(2, noise=2.0)
    batches = [*champion.to_batches(), *challenger.slice(0, 300).to_batches()]
    table = measure(store, WINDOW, batches, [Version(1, config()), Version(2, config())])
    rows = {
        row["compared_with"]: row
        for row in table.to_pylist()
        if row["version"] == 2 and row["metric"] == "auc" and not row["slice"] and row["compared_with"]
    }
    assert rows.keys() == {"version 1", "version 1, same requests"}
    assert rows["version 1, same requests"]["labelled"] == 300
    assert all(row["difference_high"] < 0 for row in rows.values())


def test_rows_that_were_recorded_with_a_smaller_share_weigh_more(store: Store) -> None:
    share = np.where(inputs()["hour"] == 0, 0.1, 1.0)
    table = served(share=share)
    rows = by_slice(measure(store, WINDOW, table.to_batches(), [Version(1, config())]))
    label, answer = inputs()["tips"] > 0, table["output_score"].to_numpy() > 0.5
    assert rows[""]["binary_accuracy"]["value"] == pytest.approx(np.average(label == answer, weights=1 / share))
    assert rows[""]["binary_accuracy"]["low"] is not None
    same = by_slice(measure(store, WINDOW, served().to_batches(), [Version(1, config())]))
    assert rows["hour:1"]["auc"]["value"] == pytest.approx(same["hour:1"]["auc"]["value"])


def test_before_labels_the_quality_is_estimated(store: Store) -> None:
    version = Version(1, config())
    labels = labels_of(store, START, START + timedelta(hours=1))
    calibrated = calibrate(version, served().to_batches(), labels)
    assert calibrated is not None and calibrated.kind == "binary"
    new = served(prefix="new")
    table = measure(store, WINDOW, new.to_batches(), [Version(1, config(), calibrated=calibrated)])
    assert by_slice(table) == {}
    found = by_slice(table, "estimate")
    assert found.keys() == by_slice(measure(store, WINDOW, served().to_batches(), [version])).keys()
    assert found[""]["auc"]["low"] < found[""]["auc"]["value"] < found[""]["auc"]["high"]
    assert (found["hour:1"]["auc"]["labelled"], found[""]["auc"]["rows"]) == (0, ROWS)
    off = measure(
        store, WINDOW, new.to_batches(), [Version(1, config(), calibrated=calibrated)], Settings(estimate=False)
    )
    assert off.num_rows == 0


def test_the_quality_is_estimated_for_a_label_that_preprocessing_computes(store: Store, tmp_path: Path) -> None:
    """As in the taxi example: no column of the examples has the label's name."""
    settings = config("label_xf")
    settings["model_specs"][0]["preprocessing_function_names"] = ["transform_features"]
    model, examples = saved(tmp_path), Examples(tmp_path / "examples")
    with SplitWriter(examples, "eval", "parquet") as writer:
        writer.write(raw_rows().drop_columns(["label"]))
    describe(examples, ["eval"], "parquet")
    trained = Trained(1, "sha256:1", examples, "eval", model=model, eval_config=settings, eval_split="eval")
    for cached in (False, True):
        found = known(trained, WatchSettings(), tmp_path / "cache")
        assert found.version.calibrated is not None and found.version.calibrated.kind == "binary", cached
        np.testing.assert_array_equal(found.version.calibrated.labels, inputs()["tips"] > 0)
    limited = found.limited({"input_x", "input_hour", "input_city", "output_score"}).version
    assert limited.calibrated is not None and limited.calibrated.ranges.keys() == {"x", "hour", "output_score"}
    [row] = [
        each
        for each in measure(store, WINDOW, served(prefix="new").to_batches(), [limited]).to_pylist()
        if each["metric"] == "binary_accuracy" and not each["slice"]
    ]
    assert (row["basis"], row["trusted"], row["beyond"]) == ("estimate", True, 0.0)
    truth = ((inputs()["x"] > 0) == (inputs()["tips"] > 0)).mean()
    assert row["low"] < truth < row["high"]
    far = measure(store, WINDOW, served(input_x=inputs()["x"] * 1000, prefix="far").to_batches(), [limited])
    assert doubts(far) == [
        "version 1: the estimated quality is not to be trusted: 100% of the rows have a value of x beyond the range of "
        "the calibration"
    ]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_labels_give_nulls_and_no_error(count: int, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "few"))
    if count:
        add(store, outcomes(label=[1] * ROWS).slice(0, count), now=START + timedelta(hours=2))
    table = measure(store, WINDOW, served().to_batches(), [Version(1, config())])
    assert (table.num_rows > 0) == (count > 0)
    for row in table.to_pylist():
        assert not any(isinstance(value, float) and math.isnan(value) for value in row.values()), row


def test_an_empty_window_and_failed_requests_have_no_quality(store: Store) -> None:
    assert measure(store, WINDOW, [], [Version(1, config())]).num_rows == 0
    failed = served(status=["UNAVAILABLE"] * ROWS)
    assert measure(store, WINDOW, failed.to_batches(), [Version(1, config())]).num_rows == 0


def test_a_transformed_label_without_its_model_is_refused(store: Store) -> None:
    with pytest.raises(UserError, match="'label_xf' or a slice's column is neither an input nor among the labels"):
        measure(store, WINDOW, served().to_batches(), [Version(1, config("label_xf"))])
