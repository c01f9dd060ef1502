"""The section on an evaluation shows the evaluator's own results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.api import types
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.writers import metrics_plots_and_validations_writer as writer

from components.contract.artifacts import Model
from components.reports.figures import number, signed
from components.reports.model import evaluation
from components.reports.readers import evaluations, thresholds
from tests.components.reports.model import evaluations as made
from tests.components.reports.model.pages import cells, text
from tests.components.test_evaluator import COMPARED, Binary, evaluate, examples, metric, rows, save, slice_name

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:tensorflow_model_analysis")

PLOTS = {"metrics": [metric("ConfusionMatrixPlot"), metric("CalibrationPlot"), metric("ExampleCount")]}
CONFIG = {**COMPARED, "metrics_specs": [*COMPARED["metrics_specs"], PLOTS]}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results for a candidate and a worse baseline, by slice, with plots."""
    folder = tmp_path_factory.mktemp("evaluations")
    save(Binary(1.5, -0.5), folder / "candidate")
    save(Binary(0.3, 0.9), folder / "baseline")
    models = Model(folder / "candidate"), Model(folder / "baseline")
    return evaluate(folder / "out", CONFIG, models[0], examples(folder / "rows", rows()), models[1])


def test_metrics_equal_those_of_tfma(outputs: dict[str, Any]) -> None:
    folder = outputs["evaluation"].path

    results = {each.name: each for each in evaluations.read(folder)}

    compared = 0
    for theirs in tfma.load_metrics(str(folder)):
        own = results["all rows" if slice_name(theirs) == "Overall" else slice_name(theirs).replace(":", ": ", 1)]
        for pair in theirs.metric_keys_and_values:
            if pair.value.HasField("double_value"):
                is_baseline = pair.key.model_name == "baseline"
                metrics = own.changes if pair.key.is_diff else own.baseline if is_baseline else own.candidate
                assert metrics[pair.key.name].value == pytest.approx(pair.value.double_value.value, nan_ok=True)
                compared += 1
    assert compared > 50


def test_the_section_shows_the_verdict_and_the_metrics(outputs: dict[str, Any]) -> None:
    found, blessing = outputs["evaluation"], outputs["blessing"]

    section = evaluation.section(found, blessing)

    whole = evaluations.read(found.path)[0]
    assert outputs["blessed"] is False
    assert section.summary.endswith("and was not blessed.")
    assert "is better than the baseline in 2 of 2 metrics" in section.summary
    auc = whole.candidate["auc"].value, whole.baseline["auc"].value
    assert cells(section, "auc")[:3] == [number(auc[0]), number(auc[1]), signed(auc[0] - auc[1])]
    assert found.metadata["auc"] == auc[0]
    shown = text(section)
    for reason in blessing.metadata["not_blessed"].splitlines():
        assert " ".join(reason.split()) in shown
    for title in ("ROC curve", "Precision and recall", "Calibration", "binary_accuracy by hour"):
        assert title in shown
    assert "slice “hour: 77”" in shown


def test_failed_thresholds_equal_those_of_tfma(outputs: dict[str, Any]) -> None:
    folder = outputs["evaluation"].path
    run, slices = thresholds.read_config(folder), evaluations.read(folder)

    verdicts = thresholds.verdicts(thresholds.rules(run), slices, thresholds.read_validation(folder))

    theirs = tfma.load_validation_result(str(folder))
    failed = {
        (slice_name(found), failure.metric_key.name, failure.metric_key.is_diff)
        for found in theirs.metric_validations_per_slice
        for failure in found.failures
    }
    ours = {(_name(each), each.metric, each.rule.of_change) for each in verdicts if not each.is_kept}
    assert ours == failed
    assert len(verdicts) > len(ours) > 0


def _name(verdict: thresholds.Verdict) -> str:
    return ",".join(f"{column}:{value}" for column, value in verdict.slice) or "Overall"


def test_intervals_equal_those_of_tfma(tmp_path: Path) -> None:
    key = metric_types.MetricKey(name="auc")
    value = types.ValueWithTDistribution(0.8, 0.1, 19, 0.81)
    message = writer.convert_slice_metrics_to_proto(((), {key: value}), add_metrics_callbacks=None)
    made.write(tmp_path / "metrics-00000-of-00001.tfrecord", [message])

    [results] = evaluations.read(tmp_path)

    assert results.candidate["auc"].value == pytest.approx(0.81)
    low, high = results.candidate["auc"].interval or (0, 0)
    assert 0.5 < low < 0.8 < high < 1.1
