"""Makes a calibration from rows with labels: the split that the model was evaluated on, or earlier requests."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from components.monitoring.labels.columns import outcomes
from components.monitoring.quality.estimate.calibration import Calibrated, Kind
from components.monitoring.quality.estimate.estimates import KINDS
from components.monitoring.quality.estimate.inputs import feature_arrays
from components.monitoring.quality.estimate.ranges import ranges
from components.monitoring.quality.evaluate import evaluated_columns
from components.monitoring.quality.facts import Version
from components.monitoring.quality.served import by_version
from components.monitoring.quality.terms import classes

_MOST_ROWS = 20_000


def calibrate(version: Version, batches: Iterable[pa.RecordBatch], labels: pa.Table | None) -> Calibrated | None:
    """What the version's answers were worth; None if no row has a label, or the EvalConfig has nothing to estimate.

    Args:
        version: The version.
        batches: Rows with its answers, in the form of the inference table: at least request_id, row, version, inputs
            and outputs.
        labels: The labels of these, as `labels.join.labels_of` returns them; None if each row has its own among its
            inputs, or the model computes it from them.

    Raises:
        UserError: The EvalConfig, the labels or the outputs do not fit together.
    """
    none = pa.table({"request_id": pa.array([], pa.string()), "row": pa.array([], pa.int32())})
    served = by_version(batches, none if labels is None else labels).get(version.version)
    table = served and (served.rows if labels is None else served.labelled)
    if not table or not table.num_rows:
        return None
    chosen = np.sort(np.random.default_rng(0).permutation(table.num_rows)[:_MOST_ROWS])
    table = table.take(pa.array(chosen))
    label, prediction = evaluated_columns(version, table)
    kind = _kind(version, label, prediction)
    if kind is None:
        return None
    truth = classes(label, prediction.shape[1]).astype(np.float64) if kind == "classes" else label[:, 0]
    table = table.drop_columns(outcomes(table.column_names))
    features = feature_arrays(table) if kind == "number" else {}
    return Calibrated(kind, truth.astype(np.float64), prediction.astype(np.float64), features, ranges(table))


def _kind(version: Version, label: np.ndarray, prediction: np.ndarray) -> Kind | None:
    specs = version.eval_config.get("metrics_specs") or version.eval_config.get("metricsSpecs") or []
    named = {str(m.get("class_name", m.get("className"))) for spec in specs for m in spec.get("metrics", [])}
    if prediction.shape[1] > 1:
        return "classes" if named & KINDS["classes"].keys() else None
    if named & KINDS["binary"].keys() and np.isin(label, (0, 1)).all():
        return "binary"
    return "number" if named & KINDS["number"].keys() else None
