"""What an evaluation found: TFMA's result files as plain values, whether Taxiway, TFX or TFMA wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.contract.errors import DataError
from components.data import tfrecord
from components.reports.readers.protos import metrics_for_slice_pb2

BASELINE = "baseline"
"""TFMA's name of the model that the candidate is compared with."""

DIFFERENCE = "difference"
"""The column of a key that stands for two slices."""

_DRAWN = ("confusion_matrix_at_thresholds", "multi_class_confusion_matrix_at_thresholds")
_COUNTS = ("example_count", "weighted_example_count")
_AVERAGES = {"micro_average": "micro", "macro_average": "macro", "weighted_macro_average": "weighted_macro"}

Key = tuple[tuple[str, str], ...]
"""A slice's columns and values; empty for all rows."""


@dataclass(frozen=True)
class Metric:
    """A metric of a slice.

    Attributes:
        name: Its name with its output, class and kind of average.
        base: Its own name.
        value: Its value.
        interval: The ends of its confidence interval, if there is one.
    """

    name: str
    base: str
    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Plot:
    """What a curve is drawn from, for one model and slice.

    Attributes:
        name: The plot's output and class; empty for most models.
        of_baseline: Whether it is the baseline's.
        matrices: Confusion matrices by threshold, in its order.
        buckets: Predictions in buckets, with the labels there, in their order.
        classes: How many rows of one class were taken for another.
    """

    name: str
    of_baseline: bool = False
    matrices: list[Matrix] = field(default_factory=list)
    buckets: list[Bucket] = field(default_factory=list)
    classes: dict[tuple[int, int], float] = field(default_factory=dict)


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix of a binary classifier, for one threshold."""

    threshold: float
    true_positives: float
    false_positives: float
    true_negatives: float
    false_negatives: float

    @property
    def recall(self) -> float | None:
        """The share of the positives that are found; None if there are none."""
        return _share(self.true_positives, self.false_negatives)

    @property
    def precision(self) -> float | None:
        """The share of what is found that is positive; None if nothing is found."""
        return _share(self.true_positives, self.false_positives)

    @property
    def false_positive_rate(self) -> float | None:
        """The share of the negatives that are taken for positives; None if there are none."""
        return _share(self.false_positives, self.true_negatives)


@dataclass(frozen=True)
class Bucket:
    """Rows whose predictions lie between two numbers: their weight, their mean prediction and their mean label."""

    left: float
    right: float
    weight: float
    prediction: float
    label: float


@dataclass(frozen=True)
class Slice:
    """A slice of the rows, with the metrics and plots of each model by name.

    Attributes:
        key: Its columns and values.
        candidate: The candidate's metrics.
        baseline: The baseline's metrics.
        changes: The candidate's metrics minus the baseline's.
        plots: What curves are drawn from.
        unshown: Metrics that are no numbers.
    """

    key: Key
    candidate: dict[str, Metric] = field(default_factory=dict)
    baseline: dict[str, Metric] = field(default_factory=dict)
    changes: dict[str, Metric] = field(default_factory=dict)
    plots: list[Plot] = field(default_factory=list)
    unshown: list[str] = field(default_factory=list)

    @property
    def is_difference(self) -> bool:
        """Whether it is the difference of two slices, and no slice."""
        return any(column == DIFFERENCE for column, _ in self.key)

    @property
    def name(self) -> str:
        """`payment_type: Cash`."""
        return slice_name(self.key)

    @property
    def size(self) -> float | None:
        """The number of its rows; None if it was not counted."""
        return next((self.candidate[name].value for name in _COUNTS if name in self.candidate), None)


def slice_name(key: Key) -> str:
    """A slice in words."""
    return ", ".join(f"{column}: {value}" for column, value in key) or "all rows"


def is_count(metric: str) -> bool:
    """Whether a metric counts rows."""
    return metric in _COUNTS


def read(folder: Path) -> list[Slice]:
    """The slices of an evaluation, all rows first.

    Raises:
        DataError: There are no metrics, or the file is damaged.
    """
    files = sorted(folder.glob("metrics*"))
    if not files:
        raise DataError(f"{folder} has no metrics", fix="run the evaluator again")
    slices: dict[Key, Slice] = {}
    for message in _messages(files, metrics_for_slice_pb2.MetricsForSlice):
        found = slices.setdefault(_key(message), Slice(_key(message)))
        for key, value, interval in _pairs(message):
            _add(found, key, value, interval)
    for message in _messages(sorted(folder.glob("plots*")), metrics_for_slice_pb2.PlotsForSlice):
        if not message.HasField("cross_slice_key") and _key(message) in slices:
            slices[_key(message)].plots.extend(_plots(message))
    return sorted(slices.values(), key=lambda each: (bool(each.key), each.key))


def _messages(files: Iterable[Path], kind: Any) -> Iterator[Any]:
    for file in files:
        yield from map(kind.FromString, tfrecord.read_records(file))


def _key(message: Any) -> Key:
    if message.HasField("cross_slice_key"):
        pair = message.cross_slice_key
        return ((DIFFERENCE, f"{_key_text(pair.baseline_slice_key)} − {_key_text(pair.comparison_slice_key)}"),)
    return slice_key(message.slice_key)


def _key_text(key: Any) -> str:
    return slice_name(slice_key(key))


def slice_key(key: Any) -> Key:
    """A SliceKey as plain values."""
    return tuple((each.column, _key_value(each)) for each in key.single_slice_keys)


def _key_value(key: Any) -> str:
    kind = key.WhichOneof("kind")
    value = getattr(key, kind) if kind else ""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _pairs(message: Any) -> Iterator[tuple[Any, Any, Any]]:
    for pair in message.metric_keys_and_values:
        yield pair.key, pair.value, pair.confidence_interval if pair.HasField("confidence_interval") else None
    # TFMA before 0.22.
    for name, value in sorted(message.metrics.items()):
        yield metrics_for_slice_pb2.MetricKey(name=name), value, None


def _add(found: Slice, key: Any, value: Any, interval: Any) -> None:
    metrics = found.changes if key.is_diff else found.baseline if key.model_name == BASELINE else found.candidate
    name = metric_name(key)
    if name in metrics:
        name += " (weighted)" if key.example_weighted.value else " (unweighted)"
    numbers = list(_numbers(value))
    for suffix, number, ends in numbers:
        metrics[name + suffix] = Metric(name + suffix, key.name, number, _interval(interval) or ends)
    if not numbers:
        drawn = (
            _plot(name, value, of_baseline=key.model_name == BASELINE) if value.WhichOneof("type") in _DRAWN else None
        )
        found.plots.append(drawn) if drawn else found.unshown.append(name)


def metric_name(key: Any) -> str:
    """A metric's name with its output, class and kind of average, as in the evaluation's metadata."""
    sub = key.sub_key
    parts = {"k": sub.k} if sub.HasField("k") else {"classId": sub.class_id, "topK": sub.top_k}
    fields = {"k": "k", "classId": "class_id", "topK": "top_k"}
    inner = [f"{name}:{number.value}" for name, number in parts.items() if sub.HasField(fields[name])]
    average = key.aggregation_type.WhichOneof("type") if key.HasField("aggregation_type") else None
    found = [key.output_name, key.name, " ".join(inner), _AVERAGES.get(average or "", "")]
    return "/".join(part for part in found if part)


def _numbers(value: Any) -> Iterator[tuple[str, float, tuple[float, float] | None]]:
    """The numbers in a value: what their names end with, the number, and its interval."""
    kind = value.WhichOneof("type")
    if kind == "double_value":
        yield "", value.double_value.value, None
    elif kind == "bounded_value":
        bounded = value.bounded_value
        yield "", bounded.value.value, (bounded.lower_bound.value, bounded.upper_bound.value)
    elif kind == "t_distribution_value":
        yield "", value.t_distribution_value.unsampled_value.value, None
    elif kind == "value_at_cutoffs":
        for pair in value.value_at_cutoffs.values:
            yield f"@{pair.cutoff}", pair.value, None


def _interval(interval: Any) -> tuple[float, float] | None:
    if interval is None:
        return None
    return interval.lower_bound.double_value.value, interval.upper_bound.double_value.value


def _plots(message: Any) -> Iterator[Plot]:
    for pair in message.plot_keys_and_values:
        yield _plot(_plot_name(pair.key), pair.value, of_baseline=pair.key.model_name == BASELINE)
    # TFMA before 0.22.
    for name, data in sorted(message.plots.items()):
        yield _plot(name, data)
    if message.HasField("plot_data"):
        yield _plot("", message.plot_data)


def _plot_name(key: Any) -> str:
    # Its own name says nothing that its picture does not.
    inner = f"class {key.sub_key.class_id.value}" if key.sub_key.HasField("class_id") else ""
    return "/".join(part for part in (key.output_name, inner) if part)


def _plot(name: str, data: Any, *, of_baseline: bool = False) -> Plot:
    """The pictures in a PlotData, or in a MetricValue, which has no buckets."""
    buckets = data.calibration_histogram_buckets.buckets if hasattr(data, "calibration_histogram_buckets") else []
    classes: dict[tuple[int, int], float] = {}
    for matrix in list(data.multi_class_confusion_matrix_at_thresholds.matrices)[:1]:
        for entry in matrix.entries:
            classes[entry.actual_class_id, entry.predicted_class_id] = entry.num_weighted_examples
    return Plot(
        name=name,
        of_baseline=of_baseline,
        matrices=[_matrix(each) for each in data.confusion_matrix_at_thresholds.matrices],
        buckets=[bucket for bucket in map(_bucket, buckets) if bucket.weight],
        classes=classes,
    )


def _matrix(each: Any) -> Matrix:
    return Matrix(
        threshold=each.threshold,
        true_positives=each.true_positives,
        false_positives=each.false_positives,
        true_negatives=each.true_negatives,
        false_negatives=each.false_negatives,
    )


def _bucket(each: Any) -> Bucket:
    weight = each.num_weighted_examples.value
    sums = each.total_weighted_refined_prediction.value, each.total_weighted_label.value
    prediction, label = (total / weight if weight else 0 for total in sums)
    return Bucket(each.lower_threshold_inclusive, each.upper_threshold_exclusive, weight, prediction, label)


def _share(part: float, rest: float) -> float | None:
    return part / (part + rest) if part + rest else None
