"""The stage `judge` on real models: its metrics are the evaluator's, and its verdict is in the blessing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from components.contract.artifacts import Examples, Model
from components.contract.errors import UserError
from components.data.examples import PARQUET, SplitWriter, describe
from components.judge import gains
from components.judge.output import COMPARISON
from tests.conftest import run_stage_in

# TFMA divides by zero where a slice has no positives.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:tensorflow_model_analysis")

Json = dict[str, Any]
METRICS = ["ExampleCount", "BinaryAccuracy", "AUC", "BinaryCrossEntropy", "Precision", "MeanLabel", "Calibration"]
CONFIG = {
    "model_specs": [{"label_key": "label"}],
    "slicing_specs": [{}, {"feature_keys": ["hour"]}],
    "metrics_specs": [{"metrics": [{"class_name": name} for name in METRICS]}],
}


class Logistic(tf.Module):
    """A model of x with some weight."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = tf.Variable(weight)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(serialized, {"x": tf.io.FixedLenFeature([1], tf.float32)})
        return {"score": tf.sigmoid(parsed["x"] * self.weight)}


@dataclass(frozen=True)
class World:
    """Models and rows."""

    folder: Path

    def model(self, name: str) -> Model:
        return Model(self.folder / name)

    def rows(self, name: str) -> Examples:
        return Examples(self.folder / name, {"split_names": '["eval"]', "payload_format": "FORMAT_PARQUET"})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("judge")
    for name, weight in {"right": 1.0, "same": 1.0001, "wrong": -1.0, "constant": 0.0}.items():
        model = Logistic(weight)
        tf.saved_model.save(model, str(folder / name / "Format-Serving"), {"serving_default": model.serve})
    write(folder / "past", 1, 900)
    write(folder / "recent", 2, 700)
    write(folder / "reversed", 3, 800, sign=-1.0)
    write(folder / "few", 4, 60)
    return World(folder)


def write(folder: Path, seed: int, count: int, sign: float = 1.0) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=count)
    label = (sign * x + random.normal(size=count) > 0).astype(np.int64)
    columns = {
        "x": pa.array([[each] for each in x], pa.large_list(pa.float32())),
        "label": pa.array([[each] for each in label], pa.large_list(pa.int64())),
        "hour": pa.array([[each] for each in random.integers(0, 3, count)], pa.large_list(pa.int64())),
    }
    artifact = Examples(folder)
    with SplitWriter(artifact, "eval") as writer:
        writer.write(pa.RecordBatch.from_pydict(columns))
    describe(artifact, ["eval"], PARQUET)


@dataclass(frozen=True)
class Judgement:
    """The outputs of the stage."""

    outputs: Json

    @property
    def found(self) -> Json:
        return dict(json.loads((self.outputs["comparison"].path / COMPARISON).read_text()))

    def gain(self, name: str) -> Json:
        return next(each for each in self.found["gains"] if each["name"] == name)


Judge = Callable[..., Judgement]


@pytest.fixture
def judge(world: World, tmp_path: Path) -> Judge:
    """`judge(challenger, champion, recent, ...)`; each call has its own folder."""
    count = iter(range(100))

    def run(
        model: str, champion: str | None, recent: str, examples: str | None = "past", **parameters: Any
    ) -> Judgement:
        inputs: dict[str, Any] = {"model": world.model(model), "recent": world.rows(recent)}
        inputs |= {"champion": world.model(champion)} if champion else {}
        inputs |= {"examples": world.rows(examples)} if examples else {}
        given = {"eval_config": CONFIG, "metric": "binary_accuracy", **parameters}
        return Judgement(run_stage_in("judge", tmp_path / str(next(count)), inputs, given))

    return run


def test_the_metrics_of_both_models_are_the_evaluators(judge: Judge, world: World, tmp_path: Path) -> None:
    found = judge("right", "constant", "recent").found
    for name, rows in (("recent", "recent"), ("examples", "past")):
        for who, model in (("challenger", "right"), ("champion", "constant")):
            expected = evaluated(world, model, rows, tmp_path / f"{name}-{who}")
            mine = {metric: each[who] for metric, each in found["metrics"][name].items() if who in each}
            assert mine == expected[""], (name, who)
            slices = {each["name"]: each[who] for each in found["slices"][name]}
            assert slices == {key: each["binary_accuracy"] for key, each in expected.items() if key}
    assert found["metrics"]["together"]["example_count"] == {"challenger": 1600.0, "champion": 1600.0}


def evaluated(world: World, model: str, rows: str, folder: Path) -> dict[str, dict[str, float]]:
    """The metrics by slice as the evaluator has them."""
    inputs = {"model": world.model(model), "examples": world.rows(rows)}
    outputs = run_stage_in("evaluator", folder, inputs, {"eval_config": CONFIG})
    slices = json.loads((outputs["evaluation"].path / "slices.json").read_text())
    return {
        each["slice"].replace(": ", ":"): {k: value for k, value in each["metrics"].items() if np.isfinite(value)}
        for each in slices
    }


def test_a_better_model_is_blessed(judge: Judge) -> None:
    judgement = judge("right", "constant", "recent")
    outputs = judgement.outputs
    assert (outputs["blessed"], outputs["verdict"]) == (True, "better")
    assert [file.name for file in outputs["blessing"].path.iterdir() if "BLESSED" in file.name] == ["BLESSED"]
    assert outputs["blessing"].metadata["blessed"] == 1
    assert "not_blessed" not in outputs["blessing"].metadata
    gain = judgement.gain("recent")
    assert gain["low"] < gain["value"] < gain["high"]
    assert gain["value"] == pytest.approx(gain["challenger"] - gain["champion"])
    assert outputs["comparison"].metadata["recent_gain"] == gain["value"]


def test_a_worse_model_and_an_equal_one_are_not_blessed_and_the_reason_is_recorded(judge: Judge) -> None:
    for challenger, verdict, words in (("wrong", "worse", "the champion is better"), ("same", "undecided", "tell the")):
        outputs = judge(challenger, "right", "recent").outputs
        assert (outputs["blessed"], outputs["verdict"]) == (False, verdict)
        blessing = outputs["blessing"]
        assert (blessing.path / "NOT_BLESSED").is_file()
        assert words in blessing.metadata["not_blessed"]
        [(label, summary)] = blessing.summary
        assert (label, summary) == ("judge", blessing.metadata["not_blessed"])
        record = json.loads((blessing.path / "provenance.json").read_text())[0]
        assert record["verdict"] == blessing.metadata["not_blessed"]


def test_a_model_that_is_better_on_recent_rows_only_is_not_blessed_beyond_the_margin(judge: Judge) -> None:
    assert judge("wrong", "right", "reversed").outputs["verdict"] == "worse"
    assert judge("wrong", "right", "reversed", examples=None).outputs["verdict"] == "better"
    assert judge("wrong", "right", "reversed", margin=0.9).outputs["verdict"] == "better"


def test_less_of_a_loss_is_a_gain(judge: Judge) -> None:
    judgement = judge("right", "constant", "recent", metric="binary_crossentropy")
    assert judgement.outputs["verdict"] == "better"
    gain = judgement.gain("recent")
    assert gain["challenger"] < gain["champion"]
    assert 0 < gain["low"] < gain["value"] < gain["high"]
    assert gain["value"] == pytest.approx(gain["champion"] - gain["challenger"])
    assert all(each["low"] <= each["value"] <= each["high"] for each in judgement.found["slices"]["recent"])


def test_the_slice_with_the_smallest_gain_is_first(judge: Judge) -> None:
    slices = judge("right", "constant", "recent", metric="auc").found["slices"]["recent"]
    assert {each["name"] for each in slices} == {"hour:0", "hour:1", "hour:2"}
    assert [each["value"] for each in slices] == sorted(each["value"] for each in slices)


def test_a_metric_without_a_formula_gets_its_interval_from_the_evaluators_code(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gains, "_REPLICATES", 60)
    metrics = [{"class_name": "AUCPrecisionRecall"}, {"class_name": "BinaryAccuracy"}]
    config = {**CONFIG, "metrics_specs": [{"metrics": metrics}]}
    judgement = judge("right", "constant", "recent", examples=None, metric="auc_precision_recall", eval_config=config)
    gain = judgement.gain("recent")
    assert judgement.outputs["verdict"] == "better"
    assert 0 < gain["low"] < gain["value"] < gain["high"] < 0.6


def test_a_metric_that_a_model_does_not_have_decides_nothing(judge: Judge) -> None:
    """The champion predicts no positive, so its precision is undefined."""
    outputs = judge("right", "constant", "recent", metric="precision").outputs
    assert (outputs["blessed"], outputs["verdict"]) == (False, "undecided")
    assert "precision has no interval on recent rows" in outputs["blessing"].metadata["not_blessed"]


def test_few_recent_rows_decide_nothing(judge: Judge) -> None:
    assert judge("right", "wrong", "few").outputs["verdict"] == "undecided"
    assert judge("right", "wrong", "few", least_rows=50).outputs["verdict"] == "better"


def test_before_the_first_push_there_is_no_champion_and_the_model_is_blessed(judge: Judge, world: World) -> None:
    (world.folder / "none").mkdir(exist_ok=True)
    for champion in (None, "none"):
        outputs = judge("right", champion, "recent").outputs
        assert (outputs["blessed"], outputs["verdict"]) == (True, "no_champion")
        assert outputs["blessing"].summary == [("judge", "no_champion: there is no champion to compare with")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metric": "acc"}, r"eval_config has no metric 'acc'"),
        ({"metric": "mean_label"}, r"metric is 'mean_label', of which more or less is not better"),
        ({"metric": "calibration"}, r"metric is 'calibration'"),
        ({"level": 2}, r"level is 2"),
        ({"recent_splits": ["test"]}, r"there is no split 'test'"),
    ],
)
def test_wrong_parameters_are_refused_and_nothing_is_written(
    judge: Judge, tmp_path: Path, given: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        judge("right", "wrong", "recent", **given)
    assert not list(tmp_path.glob("*/comparison"))
    assert not list(tmp_path.glob("*/blessing"))


def test_the_same_rows_give_the_same_interval(judge: Judge) -> None:
    one, other = (judge("right", "constant", "recent").outputs for _ in range(2))
    assert one["comparison"].metadata["digest"] == other["comparison"].metadata["digest"]
