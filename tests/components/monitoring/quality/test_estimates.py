"""Estimates before labels are there: equal to NannyML's, and inside their intervals as often as they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.monitoring.quality.estimate import classified
from components.monitoring.quality.estimate.calibration import Calibrated, load, probabilities
from components.monitoring.quality.estimate.estimates import estimates
from components.monitoring.quality.estimate.isotonic import fit
from components.monitoring.quality.estimate.ranges import Beyond, beyond, outside, ranges
from components.monitoring.quality.facts import Version
from components.monitoring.quality.terms import Numbers, of

NANNYML = {
    "AUC": 0.8240331983434518,
    "F1Score": 0.8098804030338915,
    "Precision": 0.7454817398050285,
    "Recall": 0.8864572805461359,
    "BinaryAccuracy": 0.7507971561748911,
}
"""NannyML 0.13.1, CBPE on the rows of `nannyml_rows` in one chunk; it rounds what it sums for the AUC to 1e-5."""
NANNYML_CLASSES = 0.5953098104372723
"""The same for the accuracy of three classes."""
NANNYML_LOSS = {"mean_absolute_error": 0.9058840629618824, "root_mean_squared_error": 1.379970883764059}
"""NannyML 0.13.1, DLE with LightGBM, on the last of these rows."""


def nannyml_rows() -> dict[str, Any]:
    """The rows that NannyML got: binary, three classes, and a regression."""
    random = np.random.default_rng(20260101)
    found: dict[str, Any] = {}
    for name, count, shift in (("binary", 3000, 0.0), ("binary window", 1000, 0.4)):
        x = random.normal(shift, 1, count)
        score = 1 / (1 + np.exp(-(2.2 * x + 0.3)))
        found[name] = score[:, None], (random.random(count) < 1 / (1 + np.exp(-1.5 * x))).astype(float)
    for name, count, shift in (("classes", 3000, 0.0), ("classes window", 1000, 0.3)):
        x = random.normal(shift, 1, (count, 3))
        truth = np.exp(x) / np.exp(x).sum(1, keepdims=True)
        label = (random.random((count, 1)) > np.cumsum(truth, 1)).sum(1)
        score = np.exp(1.7 * x) / np.exp(1.7 * x).sum(1, keepdims=True)
        found[name] = score, label.astype(float)
    for name, count, shift in (("numbers", 3000, 0.0), ("numbers window", 1000, 0.5)):
        x, z = random.normal(shift, 1, count), random.normal(0, 1, count)
        found[name] = z, 2 * x[:, None], 2 * x + np.abs(z) * random.normal(0, 1, count)
    return found


def test_estimates_of_a_binary_classifier_equal_those_of_nannyml() -> None:
    rows = nannyml_rows()
    scores, labels = rows["binary"]
    window, _ = rows["binary window"]
    probability = probabilities(Calibrated("binary", labels, scores).curves(), window)
    for name, value in NANNYML.items():
        assert classified.metric(name, probability, window, {}) == pytest.approx(value, abs=1e-8), name


def test_estimates_of_several_classes_equal_those_of_nannyml() -> None:
    rows = nannyml_rows()
    scores, labels = rows["classes"]
    window, _ = rows["classes window"]
    probability = probabilities(Calibrated("classes", labels, scores).curves(), window)
    found = classified.metric("SparseCategoricalAccuracy", probability, window, {})
    assert found == pytest.approx(NANNYML_CLASSES, abs=1e-12)


def test_estimates_of_a_regression_are_near_those_of_nannyml() -> None:
    """Another model learns the loss, so they are not equal."""
    rows = nannyml_rows()
    (z, predicted, label), (z2, window, _) = rows["numbers"], rows["numbers window"]
    known = Calibrated("number", label, predicted, {"x": predicted[:, 0] / 2, "z": z})
    asked = version(known, "MeanAbsoluteError", "RootMeanSquaredError")
    found = {each.metric: each for each in estimates(asked, table(window, x=window[:, 0] / 2, z=z2 * 1.5))}
    for name, value in NANNYML_LOSS.items():
        assert found[name].value == pytest.approx(value, rel=0.06), name


def test_the_calibration_equals_that_of_scikit_learn() -> None:
    isotonic = pytest.importorskip("sklearn.isotonic")
    random = np.random.default_rng(1)
    scores = np.round(random.random(500), 2)
    labels = (random.random(500) < scores**2).astype(float)
    theirs = isotonic.IsotonicRegression(out_of_bounds="clip").fit(scores, labels)
    new = random.random(200) * 1.2 - 0.1
    np.testing.assert_allclose(fit(scores, labels)(new), theirs.predict(new), atol=1e-12)


def version(known: Calibrated, *metrics: str) -> Version:
    config = {"model_specs": [{"label_key": "y"}], "metrics_specs": [{"metrics": [{"class_name": m} for m in metrics]}]}
    return Version(1, config, calibrated=known)


def table(predictions: Numbers, **inputs: Numbers) -> pa.Table:
    output = pa.array(predictions[:, 0]) if predictions.shape[1] == 1 else pa.array(predictions.tolist())
    return pa.table({**{f"input_{name}": values for name, values in inputs.items()}, "output_y": output})


def covered(found: dict[str, Any], truth: dict[str, float]) -> list[bool]:
    return [found[name].low <= value <= found[name].high for name, value in truth.items()]


def test_intervals_of_a_classifier_cover_what_the_labels_say() -> None:
    random = np.random.default_rng(5)
    names = {"BinaryAccuracy": "binary_accuracy", "AUC": "auc", "Precision": "precision", "Recall": "recall"}
    hits: list[bool] = []
    for _ in range(40):
        (score, label), (window, unknown) = (rows_of_classifier(random, count) for count in (600, 500))
        estimated = estimates(version(Calibrated("binary", label, score), *names), table(window))
        found = {each.metric: each for each in estimated}
        one_hot = np.stack([unknown], axis=1)
        truth = {n: classified.metric(m, one_hot, window, {}) or 0.0 for m, n in names.items()}
        hits += covered(found, truth)
    assert np.mean(hits) >= 0.9


def rows_of_classifier(random: np.random.Generator, count: int) -> tuple[Numbers, Numbers]:
    x = random.normal(0.2, 1, count)
    score = 1 / (1 + np.exp(-2 * x))
    return score[:, None], (random.random(count) < 1 / (1 + np.exp(-1.2 * x))).astype(float)


def test_intervals_of_a_regression_cover_what_the_labels_say() -> None:
    random = np.random.default_rng(6)
    hits: list[bool] = []
    for _ in range(25):
        (z, predicted, label), (z2, window, unknown) = (rows_of_regression(random, count) for count in (1000, 500))
        known = Calibrated("number", label, predicted, {"z": z})
        names = ("MeanAbsoluteError", "RootMeanSquaredError")
        found = {each.metric: each for each in estimates(version(known, *names), table(window, z=z2))}
        off = window[:, 0] - unknown
        hits += covered(
            found,
            {
                "mean_absolute_error": float(np.abs(off).mean()),
                "root_mean_squared_error": float(np.sqrt((off**2).mean())),
            },
        )
    assert np.mean(hits) >= 0.9


def rows_of_regression(random: np.random.Generator, count: int) -> tuple[Numbers, Numbers, Numbers]:
    x, z = random.normal(size=(2, count))
    return z, 2 * x[:, None], 2 * x + np.abs(z) * random.normal(size=count)


def test_a_regression_that_meets_harder_inputs_is_estimated_worse() -> None:
    random = np.random.default_rng(7)
    z, predicted, label = rows_of_regression(random, 3000)
    z2, window, _ = rows_of_regression(random, 1000)
    harder = estimates(
        version(Calibrated("number", label, predicted, {"z": z}), "MeanAbsoluteError"), table(window, z=z2 * 1.5)
    )
    easier = estimates(
        version(Calibrated("number", label, predicted, {"z": z}), "MeanAbsoluteError"), table(window, z=z2)
    )
    (worse,), (usual,) = list(harder), list(easier)
    assert worse.value > usual.high  # type: ignore[operator]
    assert worse.value == pytest.approx(usual.value * 1.45, rel=0.12)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("labels", "scores"),
    [(np.ones(100), np.linspace(0, 1, 100)), (np.zeros(100), np.zeros(100)), (np.ones(5), np.ones(5))],
)
def test_one_class_or_few_rows_give_no_nonsense(labels: Numbers, scores: Numbers) -> None:
    known = Calibrated("binary", labels, scores[:, None])
    found = list(estimates(version(known, "AUC", "Precision", "BinaryAccuracy"), table(np.full((3, 1), 0.7))))
    assert len(found) == (3 if len(labels) > 5 else 0)
    for each in found:
        assert each.value is None or (np.isfinite(each.value) and (each.low is None or np.isfinite(each.low)))


def test_a_calibration_is_written_and_read(tmp_path: Path) -> None:
    known = Calibrated("number", np.arange(3.0), np.ones((3, 1)), {"city": np.array(["a", "b", "a"]), "z": np.ones(3)})
    known.save(tmp_path / "known.parquet")
    again = load(tmp_path / "known.parquet")
    assert again.kind == "number" and again.features.keys() == known.features.keys()
    np.testing.assert_array_equal(again.labels, known.labels)


def test_terms_of_metrics_without_a_formula_are_none() -> None:
    assert of("PoissonLoss", np.ones((2, 1)), np.ones((2, 1)), {}) is None


def test_estimates_import_no_tensorflow() -> None:
    code = "import sys, components.monitoring.quality.measure; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_estimate_beyond_what_it_learned_from_says_so() -> None:
    random = np.random.default_rng(8)
    z, predicted, label = rows_of_regression(random, 3000)
    inside, far = rows_of_regression(random, 1000), rows_of_regression(random, 1000)
    rows = pa.table({"input_z": z, "output_y": predicted[:, 0]})
    known = Calibrated("number", label, predicted, {"z": z}, ranges(rows))
    asked = version(known, "MeanAbsoluteError")
    [usual] = estimates(asked, table(inside[1], z=inside[0]))
    assert usual.beyond.is_trusted and usual.beyond.share < 0.01
    [strange] = estimates(asked, table(far[1], z=np.where(random.random(1000) < 0.2, far[0] * 1000, far[0])))
    assert (strange.beyond.column, strange.beyond.is_trusted) == ("z", False)
    assert strange.beyond.share == pytest.approx(0.2, abs=0.05)
    [slow] = estimates(asked, table(far[1] * 100, z=far[0]))
    assert (slow.beyond.column, slow.beyond.is_trusted) == ("output_y", False)
    [limited] = estimates(version(known.limited(["output_y"]), "MeanAbsoluteError"), table(inside[1], z=far[0] * 1000))
    assert limited.beyond.is_trusted


def test_a_few_strange_rows_do_not_make_an_estimate_useless() -> None:
    found = outside({"z": (0.0, 1.0)}, pa.table({"input_z": [0.5, 7.0, None, float("nan"), 0.1]}))
    assert beyond(found, np.arange(5)) == Beyond("z", 0.2, True)
    assert beyond({}, np.arange(5)) == Beyond()


SHIFTED = {
    ("sum", 0.5): (0.954, 0.926, 0.944),
    ("sum", 1.0): (1.170, 1.068, 1.128),
    ("product", 0.5): (0.878, 0.834, 0.862),
    ("product", 1.0): (1.323, 1.115, 1.158),
}
"""The mean absolute error of a million rows, NannyML 0.13.1 (DLE), and what docs/monitoring/quality.md says of ours."""


def shifted_rows(random: np.random.Generator, noise: str, count: int, shift: float) -> tuple[Numbers, ...]:
    """Rows whose two inputs make them hard by themselves, or only together."""
    x, z = random.normal(shift, 1, count), random.normal(shift, 1, count)
    deviation = 0.3 + (0.5 * np.abs(x) + 0.5 * np.abs(z) if noise == "sum" else np.abs(x * z))
    return x, z, 2 * x, 2 * x + deviation * random.normal(size=count)


@pytest.mark.parametrize(("noise", "shift"), SHIFTED)
def test_where_inputs_move_a_loss_is_estimated_no_worse_than_by_nannyml(noise: str, shift: float) -> None:
    random = np.random.default_rng(20260102)
    x, z, predicted, label = shifted_rows(random, noise, 5000, 0.0)
    x2, z2, window, _ = shifted_rows(random, noise, 2000, shift)
    known = Calibrated("number", label, predicted[:, None], {"x": x, "z": z})
    [found] = estimates(version(known, "MeanAbsoluteError"), table(window[:, None], x=x2, z=z2))
    truth, nannyml, documented = SHIFTED[noise, shift]
    assert found.value == pytest.approx(documented, abs=0.001)
    assert abs(documented - truth) <= abs(nannyml - truth)
    assert (found.low <= truth <= found.high) is ((noise, shift) != ("product", 1.0))  # type: ignore[operator]
