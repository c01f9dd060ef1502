"""The section on an evaluation shows the contents of TFMA's files."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.contract.artifacts import ModelEvaluation
from components.execution import provenance
from components.reports.model import evaluation
from components.reports.page import render
from components.reports.readers import evaluations, thresholds
from components.reports.readers.directions import is_better
from components.reports.readers.protos import metrics_for_slice_pb2
from tests.components.reports.model import evaluations as made
from tests.components.reports.model.evaluations import above, config, failure, sliced
from tests.components.reports.model.pages import HOSTILE, TURNED, cells, require_harmless, text
from tests.components.reports.parsed import require_safe

CONFIG = config(above("AUC", 0.7, change=-0.01), {"className": "BinaryAccuracy"}, {"className": "ExampleCount"})
BETTER = {"auc": 0.9, "binary_accuracy": 0.8, "loss": 0.3, "example_count": 1000.0}
WORSE = {"auc": 0.85, "binary_accuracy": 0.82, "loss": 0.4, "example_count": 1000.0}


def test_the_summary_names_the_better_model_and_the_verdict(tmp_path: Path) -> None:
    evaluated = made.evaluation(tmp_path / "evaluation", [sliced(BETTER, WORSE)], CONFIG)

    section = evaluation.section(evaluated, made.blessing(tmp_path / "blessing", True))

    assert section.summary == (
        "The candidate is better than the baseline in 2 of 3 metrics, keeps all 2 thresholds and was blessed."
    )
    assert cells(section, "auc") == ["0.9", "0.85", "+0.05", "at least 0.7; change at least −0.01", "kept"]
    assert cells(section, "binary_accuracy") == ["0.8", "0.82", "−0.02", "–", "–"]
    assert cells(section, "loss")[:3] == ["0.3", "0.4", "−0.1"]
    assert [str(section.body).count(f'class="number {kind}"') for kind in ("good", "bad")] == [2, 1]


def test_a_failed_threshold_is_shown_with_its_reasons(tmp_path: Path) -> None:
    broken = [failure("auc", is_diff=True), failure("auc", "NaN\n is no number")]
    evaluated = made.evaluation(tmp_path / "evaluation", [sliced(WORSE, BETTER)], CONFIG, broken)
    reasons = "slice Overall: auc changed by -0.05, outside change_threshold {}\nanother"

    section = evaluation.section(evaluated, made.blessing(tmp_path / "blessing", False, not_blessed=reasons))

    assert section.summary == (
        "The candidate is better than the baseline in 1 of 3 metrics, breaks 2 of 2 thresholds and was not blessed."
    )
    assert cells(section, "auc")[-1] == "broken: NaN is no number"
    assert "Not blessed. slice Overall: auc changed by -0.05" in text(section)
    assert "another" in text(section).splitlines()


def test_there_are_no_baseline_columns_without_a_baseline(tmp_path: Path) -> None:
    evaluated = made.evaluation(tmp_path / "evaluation", [sliced(BETTER)], config(above("AUC", 0.7)))

    section = evaluation.section(evaluated, made.blessing(tmp_path / "blessing", True))

    assert section.summary == (
        "The candidate keeps its only threshold and was blessed. There was no baseline to compare it with."
    )
    assert cells(section, "auc") == ["0.9", "at least 0.7", "kept"]
    assert cells(section, "example_count")[0] == "1,000"


def test_slices_are_sorted_by_size_and_show_differences_and_intervals(tmp_path: Path) -> None:
    evaluated = made.evaluation(
        tmp_path / "evaluation",
        [
            sliced({"auc": (0.5, 0.4, 0.6), "example_count": 40.0}, city="a"),
            sliced(BETTER),
            sliced({"auc": 0.7, "example_count": 900.0}, city="b"),
            sliced({"auc": math.nan, "example_count": 60.0}, city="c"),
        ],
        config(above("AUC", 0.6, slices=[{"featureKeys": ["city"]}])),
        (),
    )

    section = evaluation.section(evaluated)

    shown = text(section)
    rows = [
        line for line in shown[shown.index("All slices, the largest first") :].splitlines() if line.startswith("city: ")
    ]
    assert rows == ["city: b", "city: c", "city: a"]
    assert cells(section, "city: b")[:3] == ["auc", "0.7", "at least 0.6"]
    assert (
        "Of the slices with at least 100 rows, city: b is the farthest from all rows: its auc is 0.7, theirs 0.9."
        in shown
    )
    assert "0.5 (0.4 to 0.6) · 40 rows" in shown
    assert "0.7 · 900 rows" in shown
    assert "0 of 3 thresholds of slices are broken." in shown
    read = evaluations.read(evaluated.path)
    assert 'data-sort="0.2000000000000000' in str(section.body)  # 0.9 − 0.7, not rounded
    assert [each.name for each in read] == ["all rows", "city: a", "city: b", "city: c"]
    assert read[1].candidate["auc"] == evaluations.Metric("auc", "auc", 0.5, (0.4, 0.6))


def test_slices_of_a_numeric_feature_are_drawn_in_numeric_order(tmp_path: Path) -> None:
    hours = [sliced({"auc": hour / 30, "example_count": 10.0}, hour=str(hour)) for hour in (10, 9, 2)]
    evaluated = made.evaluation(tmp_path / "evaluation", [sliced(BETTER), *hours], config())

    shown = text(evaluation.section(evaluated))

    drawn = shown[shown.index("auc by hour") : shown.index("All slices")].splitlines()
    assert [line.split()[0] for line in drawn if line.endswith("rows")] == ["2", "9", "10"]


def test_the_page_stays_small_with_thousands_of_slices_and_many_metrics(tmp_path: Path) -> None:
    metrics = {f"metric_{number}": 0.5 for number in range(30)} | {"example_count": 10.0}
    slices = [sliced(metrics, **{f"column_{way}": f"value {number}"}) for way in range(10) for number in range(100)]
    evaluated = made.evaluation(tmp_path / "evaluation", [sliced(metrics), *slices], config())

    section = evaluation.section(evaluated)

    assert len(section.body) < 1_500_000
    shown = text(section)
    assert "The table leaves out the 500 smallest slices." in shown
    assert "Only in the table: slices by column_6, column_7, column_8 and column_9." in shown
    assert "76 more slices in the table." in shown


def test_a_threshold_without_slicing_specs_applies_to_every_slice(tmp_path: Path) -> None:
    slices = [sliced(BETTER), sliced({"auc": 0.6, "example_count": 500.0}, city="b")]
    evaluated = made.evaluation(tmp_path / "evaluation", slices, config(above("AUC", 0.7)))

    assert "keeps all 2 thresholds" in evaluation.section(evaluated).summary


def test_a_slice_with_a_threshold_but_no_rows_is_reported(tmp_path: Path) -> None:
    evaluated = made.evaluation(tmp_path / "evaluation", [sliced(BETTER)], config(above("AUC", 0.6)))
    validation = thresholds.validation_result_pb2.ValidationResult(validation_ok=False)
    validation.missing_slices.add(feature_values={"hour": "77"})
    made.write(evaluated.path / "validations.tfrecord", [validation])

    section = evaluation.section(evaluated, made.blessing(tmp_path / "blessing", False))

    assert "No row of the data is in the slice “hour: 77”, which has a threshold." in text(section)
    assert "breaks 1 of 1 threshold and was not blessed" in section.summary


def test_curves_are_drawn_from_the_plots(tmp_path: Path) -> None:
    evaluated = made.evaluation(tmp_path / "evaluation", [sliced(BETTER)], config())
    plots = metrics_for_slice_pb2.PlotsForSlice(slice_key={})
    data = plots.plot_keys_and_values.add().value
    for step in range(11):
        data.confusion_matrix_at_thresholds.matrices.add(
            threshold=step / 10,
            true_positives=60 - 5 * step,
            false_negatives=5 * step,
            false_positives=40 - 4 * step,
            true_negatives=4 * step,
        )
    for step in range(4):
        data.calibration_histogram_buckets.buckets.add(
            lower_threshold_inclusive=step / 4,
            upper_threshold_exclusive=(step + 1) / 4,
            num_weighted_examples={"value": 10.0},
            total_weighted_label={"value": 2.0 * step},
            total_weighted_refined_prediction={"value": 2.5 * step + 1},
        )
    made.write(evaluated.path / "plots-00000-of-00001.tfrecord", [plots])

    section = evaluation.section(evaluated)

    shown = text(section)
    for title in ("ROC curve", "Precision and recall", "Calibration", "Predictions"):
        assert title in shown
    assert "Residuals" not in shown
    assert "Confusion matrix at the threshold 0.5" in shown
    assert cells(section, "positive") == ["35 · 35 %", "25 · 25 %"]
    assert cells(section, "negative") == ["20 · 20 %", "20 · 20 %"]
    plot = evaluations.read(evaluated.path)[0].plots[0]
    assert (plot.matrices[5].recall, plot.matrices[5].false_positive_rate) == (35 / 60, 0.5)
    assert plot.buckets[2] == evaluations.Bucket(0.5, 0.75, 10.0, 0.6, 0.4)


def test_every_hundredth_threshold_is_in_the_table_that_the_slider_reads(tmp_path: Path) -> None:
    found = made.evaluation(tmp_path / "evaluation", [sliced(BETTER)], config())
    plots = metrics_for_slice_pb2.PlotsForSlice(slice_key={})
    matrices = plots.plot_keys_and_values.add().value.confusion_matrix_at_thresholds.matrices
    for step in range(1001):
        matrices.add(threshold=step / 1000, true_positives=1000 - step, false_negatives=step, false_positives=7)
    made.write(found.path / "plots-00000-of-00001.tfrecord", [plots])

    page = require_safe(render("Report", [evaluation.section(found)]))

    table = page.tables["Confusion matrices by threshold"]
    assert len(table.rows) == 101
    assert table.row("0.25")["true positives"] == "750"
    [group] = [each for each in page.all("div") if "data-thresholds" in each]
    assert table.rows[int(group["data-at"] or 0)][0] == "0.5"


def test_the_slices_that_differ_most_are_told_with_the_interval(tmp_path: Path) -> None:
    slices = [
        sliced({"example_count": 9000, "binary_accuracy": 0.85, "auc": (0.9, 0.88, 0.92)}),
        sliced({"example_count": 1000, "binary_accuracy": 0.9, "auc": (0.9, 0.88, 0.92)}, company="A"),
        sliced({"example_count": 1000, "binary_accuracy": 0.7, "auc": (0.89, 0.87, 0.91)}, company="B"),
        sliced({"example_count": 1000, "binary_accuracy": 0.8, "auc": (0.895, 0.87, 0.91)}, company="C"),
        sliced({"example_count": 3, "binary_accuracy": 0.0, "auc": (0.1, 0.0, 0.3)}, company="few"),
    ]
    found = made.evaluation(tmp_path / "evaluation", slices, config())

    page = require_safe(render("Report", [evaluation.section(found)]))

    auc, accuracy = page.tables["Differences between slices"].rows
    assert auc == ["company", "auc", "A", "B", "0.9", "0.89", "+0.01", "−0.01828 to 0.03828", "may be chance"]
    assert accuracy[:4] == ["company", "binary_accuracy", "A", "B"]
    assert accuracy[-2:] == ["0.1661 to 0.2339", "differ"]


def test_a_regression_has_residuals(tmp_path: Path) -> None:
    evaluated = made.evaluation(tmp_path / "evaluation", [sliced({"mean_squared_error": 2.0})], config())
    plots = metrics_for_slice_pb2.PlotsForSlice(slice_key={})
    for step in range(3):
        plots.plot_keys_and_values.add().value.calibration_histogram_buckets.buckets.add(
            num_weighted_examples={"value": 1.0},
            total_weighted_label={"value": 10.0 * step},
            total_weighted_refined_prediction={"value": 9.0 * step},
        )
    made.write(evaluated.path / "plots-00000-of-00001.tfrecord", [plots])

    assert "Residuals" in text(evaluation.section(evaluated))


def test_a_confusion_matrix_is_shown(tmp_path: Path) -> None:
    message = sliced(BETTER)
    value = message.metric_keys_and_values.add(key={"name": "classes"}).value
    matrix = value.multi_class_confusion_matrix_at_thresholds.matrices.add()
    matrix.entries.add(actual_class_id=0, predicted_class_id=0, num_weighted_examples=7)
    matrix.entries.add(actual_class_id=0, predicted_class_id=2, num_weighted_examples=3)
    message.metric_keys_and_values.add(key={"name": "words"}).value.bytes_value = b"no number"
    evaluated = made.evaluation(tmp_path / "evaluation", [message], config())

    section = evaluation.section(evaluated)

    assert cells(section, "0") == ["7", "3"]
    assert "Not shown: words." in text(section)


def test_metric_names_include_output_class_and_average() -> None:
    key = metrics_for_slice_pb2.MetricKey(
        name="precision",
        output_name="first",
        sub_key={"class_id": {"value": 2}},
        aggregation_type={"micro_average": True},
    )

    assert evaluations.metric_name(key) == "first/precision/classId:2/micro"


@pytest.mark.parametrize(
    ("metric", "candidate", "baseline", "better"),
    [
        ("auc", 0.9, 0.8, True),
        ("mean_squared_error", 0.9, 0.8, False),
        ("binary_crossentropy", 0.1, 0.8, True),
        ("false_positive_rate", 0.1, 0.8, True),
        ("true_positives", 3, 2, None),
        ("mean_prediction", 0.9, 0.8, None),
        ("calibration", 1.2, 0.9, False),
        ("auc", 0.8, 0.8, None),
        ("auc", math.nan, 0.8, None),
        ("delay", 2, 1, False),
    ],
)
def test_metrics_have_a_direction(metric: str, candidate: float, baseline: float, better: bool | None) -> None:
    assert is_better(metric, candidate, baseline, {"delay": False}) is better


def test_the_baseline_is_named_by_its_version(tmp_path: Path) -> None:
    evaluated = made.evaluation(tmp_path / "evaluation", [sliced(BETTER, WORSE)], CONFIG)
    call: dict[str, Any] = {"output": "model", "parameters": {}, "inputs": {}, "created": "2026-01-01T00:00:00+00:00"}
    records = [
        {
            **call,
            "digest": "sha256:1",
            "type": "ModelEvaluation",
            "stage": "evaluator",
            "inputs": {"baseline_model": "sha256:2"},
        },
        {**call, "digest": "sha256:2", "type": "Model", "stage": "baseline", "inputs": {"source": "sha256:3"}},
        {**call, "digest": "sha256:3", "type": "PushedModel", "stage": "pusher", "pushed_destination": "served/taxi/7"},
    ]
    provenance.write_chain(evaluated.path, records)

    assert "served/taxi/7" in text(evaluation.section(evaluated))


def test_untrusted_names_and_values_are_escaped(tmp_path: Path) -> None:
    hostile = {"city": HOSTILE, TURNED: "javascript:alert(1)", "__proto__": TURNED}
    messages = [sliced(BETTER), sliced({"auc": 0.5, HOSTILE: 0.1, "example_count": 10.0}, **hostile)]
    evaluated = made.evaluation(tmp_path / "evaluation", messages, CONFIG, [failure("auc", HOSTILE)])
    evaluated.metadata["baseline_failure"] = HOSTILE

    section = evaluation.section(evaluated, made.blessing(tmp_path / "blessing", False, not_blessed=HOSTILE + TURNED))

    require_harmless(section)
    assert f"city: {HOSTILE}" in text(section)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("metrics-00000-of-00001.tfrecord", "The metrics cannot be shown: "),
        ("validations.tfrecord", "The verdicts cannot be shown: "),
        ("eval_config.json", "The thresholds cannot be shown: "),
        ("plots-00000-of-00001.tfrecord", "The metrics cannot be shown: "),
    ],
)
def test_damaged_files_are_reported_and_the_rest_is_shown(tmp_path: Path, damage: str, sentence: str) -> None:
    evaluated = made.evaluation(tmp_path / "evaluation", [sliced(BETTER)], CONFIG)
    (evaluated.path / damage).write_bytes(b"\0\1damaged")

    section = evaluation.section(evaluated, made.blessing(tmp_path / "blessing", True))

    assert sentence in text(section)
    assert "blessed" in section.summary
    assert ("0.8" in text(section)) == ("metrics" not in sentence)


@pytest.mark.parametrize(
    "records", ["[", "{}", '[{"digest": 1, "type": {}, "output": 2, "stage": [], "inputs": 3}]', "[[]]"]
)
def test_a_damaged_record_does_not_end_the_report(tmp_path: Path, records: str) -> None:
    evaluated = made.evaluation(tmp_path / "evaluation", [sliced(BETTER)], CONFIG)
    (evaluated.path / "provenance.json").write_text(records)
    evaluated.metadata["provenance"] = records

    assert cells(evaluation.section(evaluated), "auc")[0] == "0.9"


def test_missing_files_are_reported_in_a_sentence(tmp_path: Path) -> None:
    section = evaluation.section(ModelEvaluation(tmp_path / "gone"))

    assert section.summary == "What the evaluation found cannot be read."
    assert f"The metrics cannot be shown: {tmp_path / 'gone'} has no metrics" in text(section)


def test_the_protos_load_without_tensorflow(tmp_path: Path) -> None:
    made.evaluation(tmp_path / "evaluation", [sliced(BETTER)], CONFIG)
    script = """
import json, sys
from pathlib import Path
from components.contract.artifacts import ModelEvaluation
from components.reports.model import evaluation, lineage_picture, serving, training, transform
light = sorted({name.partition(".")[0] for name in sys.modules})
section = evaluation.section(ModelEvaluation(Path(sys.argv[1])))
heavy = {"tensorflow", "tensorflow_model_analysis", "apache_beam", "pandas", "pyarrow"} & sys.modules.keys()
print(json.dumps([light, section.summary, sorted(heavy)]))
"""
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "evaluation")], capture_output=True, text=True, check=True
    )

    light, summary, heavy = json.loads(result.stdout)
    assert {"tensorflow", "numpy", "pyarrow"} & set(light) == set()
    assert summary.startswith("The candidate keeps its only threshold.")
    assert heavy == []
