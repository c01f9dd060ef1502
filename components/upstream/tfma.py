"""TFMA's private names: its combiners and their settings, from modules that TFMA's import loads anyway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tensorflow_model_analysis.contrib.aggregates import binary_confusion_matrices as matrices
from tensorflow_model_analysis.extractors import transformed_features_extractor
from tensorflow_model_analysis.metrics import (
    binary_confusion_matrices,
    calibration,
    calibration_histogram,
    cross_entropy_metrics,
    example_count,
    mean_regression_error,
    multi_class_confusion_matrix_metrics,
    squared_pearson_correlation,
    tf_metric_wrapper,
)
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.slicer import slicer_lib

VERSION = "0.52.0"

# The combiners whose sums components/evaluator/accumulators computes.
ExampleCountCombiner = example_count._ExampleCountCombiner
WeightedLabelsPredictionsExamplesCombiner = calibration._WeightedLabelsPredictionsExamplesCombiner
SquaredPearsonCorrelationCombiner = squared_pearson_correlation._SquaredPearsonCorrelationCombiner
MeanAbsoluteErrorCombiner = mean_regression_error._MeanAbsoluteErrorCombiner
MeanAbsolutePercentageErrorCombiner = mean_regression_error._MeanAbsolutePercentageErrorCombiner
MeanSquaredErrorCombiner = mean_regression_error._MeanSquaredErrorCombiner
MeanSquaredLogarithmicErrorCombiner = mean_regression_error._MeanSquaredLogarithmicErrorCombiner
BinaryCrossEntropyCombiner = cross_entropy_metrics._BinaryCrossEntropyCombiner
CategoricalCrossEntropyCombiner = cross_entropy_metrics._CategoricalCrossEntropyCombiner
CalibrationHistogramCombiner = calibration_histogram._CalibrationHistogramCombiner
BinaryConfusionMatrixCombiner = binary_confusion_matrices._BinaryConfusionMatrixCombiner
MultiClassConfusionMatrixCombiner = multi_class_confusion_matrix_metrics._MultiClassConfusionMatrixCombiner
CompilableMetricsCombiner = tf_metric_wrapper._CompilableMetricsCombiner

ThresholdEntry = matrices._ThresholdEntry
"""The entry of a confusion matrix's accumulator for one threshold."""

PREPROCESSING_SIGNATURES: tuple[str, ...] = tuple(transformed_features_extractor._DEFAULT_SIGNATURE_NAMES)
"""The signatures that TFMA looks for if a config names no preprocessing function."""

_WITHOUT_CLASS_WEIGHTS = (ExampleCountCombiner, MultiClassConfusionMatrixCombiner)


@dataclass(frozen=True)
class Buckets:
    """The settings of a calibration histogram: `count` buckets that start at `left` and span `width`."""

    left: float
    width: float
    count: int
    fractional_labels: bool
    by_prediction: bool


@dataclass(frozen=True)
class KerasSettings:
    """The settings of a combiner of Keras metrics."""

    config: Any
    model: str
    outputs: Sequence[str]
    sub_key: Any
    weighted: bool
    aggregates: bool
    has_losses: bool


def class_weights(combiner: Any) -> Any:
    """The class weights of a combiner, if any."""
    return None if isinstance(combiner, _WITHOUT_CLASS_WEIGHTS) else combiner._class_weights


def label_smoothing(combiner: Any) -> float:
    """The label smoothing of a cross entropy."""
    return combiner._label_smoothing  # type: ignore[no-any-return]


def from_logits(combiner: Any) -> bool:
    """Whether a cross entropy takes predictions as logits."""
    return bool(combiner._from_logits)


def buckets(combiner: Any) -> Buckets:
    """The settings of a calibration histogram."""
    return Buckets(
        left=combiner._left,
        width=combiner._range,
        count=combiner._num_buckets,
        fractional_labels=bool(combiner._fractional_labels),
        by_prediction=bool(combiner._prediction_based_bucketing),
    )


def matrix_thresholds(combiner: Any) -> Sequence[float]:
    """The thresholds of a binary confusion matrix."""
    return combiner._binary_confusion_matrices._thresholds  # type: ignore[no-any-return]


def samples_examples(combiner: Any) -> bool:
    """Whether a binary confusion matrix keeps the ids of some examples."""
    return bool(combiner._example_id_key)


def takes_fractional_labels(combiner: Any) -> bool:
    """Whether a binary confusion matrix adds up fractional labels, instead of comparing them with thresholds."""
    return bool(combiner._enable_fractional_labels)


def extraction(combiner: Any) -> Any:
    """The function by which a confusion matrix extracts labels and predictions from an example."""
    return combiner._extract_label_prediction_and_weight


def class_thresholds(combiner: Any) -> Sequence[float]:
    """The thresholds of a multi-class confusion matrix."""
    return combiner._thresholds  # type: ignore[no-any-return]


def keras_metrics(combiner: Any) -> list[list[Any]]:
    """The Keras metrics of a combiner after its setup, in the order of its outputs."""
    return list(combiner._metrics.values())


def keras_settings(combiner: Any) -> KerasSettings:
    """The settings of a combiner of Keras metrics."""
    return KerasSettings(
        config=combiner._eval_config,
        model=combiner._model_name,
        outputs=combiner._output_names,
        sub_key=combiner._sub_key,
        weighted=combiner._example_weighted,
        aggregates=bool(combiner._aggregation_type),
        has_losses=any(combiner._loss_configs),
    )


def slice_values(spec: config_pb2.SlicingSpec) -> list[tuple[str, Any]]:
    """The features and values that a slicing spec names, with TFMA's own value types."""
    return list(slicer_lib.SingleSliceSpec(spec=spec)._value_matches)
