"""Labels, predictions and weights of a metric as columns: TFMA's `to_label_prediction_example_weight` by the batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.utils import model_util, util

from components.contract.errors import UserError
from components.evaluator.rows import IndirectError, Rows

_USUAL_OUTPUTS = {"scores", "outputs", "predictions", "logistic", "probabilities", "logits"}
"""Where TFMA looks among a model's outputs if no prediction_key is given."""


_NUMBER_THE_LABEL = (
    "name a numeric column as label_key; or let the preprocessing_fn number the strings, as "
    "tft.compute_and_apply_vocabulary does, and the model return that from a preprocessing function"
)


@dataclass(frozen=True)
class Columns:
    """What a metric is computed from.

    Attributes:
        label: (rows, labels).
        prediction: (rows, predictions).
        weight: (rows, 1).
    """

    label: NDArray[Any]
    prediction: NDArray[Any]
    weight: NDArray[Any]

    def flat(self) -> Columns:
        """One pair of label and prediction for each class: a class number becomes one-hot."""
        label = self.label
        if label.shape[1] == 1 and self.prediction.shape[1] > 1:
            label = one_hot(label, self.prediction.shape[1])
        if label.shape != self.prediction.shape:
            raise IndirectError(f"{label.shape[1]} labels for {self.prediction.shape[1]} predictions")
        return Columns(label, self.prediction, np.broadcast_to(self.weight, label.shape))


@dataclass(frozen=True)
class Source:
    """Where a metric takes its columns from.

    Attributes:
        config: The EvalConfig.
        model: The model's name, empty for a single one.
        output: The output's name, empty for a single one.
        sub_key: A class to binarize for.
        weighted: Whether example weights count.
    """

    config: config_pb2.EvalConfig
    model: str
    output: str
    sub_key: metric_types.SubKey | None
    weighted: bool

    def columns(self, rows: Rows) -> Columns:
        """The columns of a batch.

        Raises:
            UserError: No label is configured, or a prediction is not a number.
        """
        spec = model_util.get_model_spec(self.config, self.model)
        predictions = _at(_at(rows.predictions, self.model), self.output)
        labels = _at(_at(rows.labels, self.model), self.output)
        predictions = _single(predictions, spec.prediction_key)
        label, prediction = metric_util.prepare_labels_and_predictions(labels, predictions, spec.prediction_key)
        if label is None:
            raise UserError(
                "eval_config.model_specs names no label_key, and the metrics need labels",
                fix=f"name one of the columns: {', '.join(sorted(rows.column_names))}",
            )
        _require_numbers(label, f"the label {self._label_key(spec)!r}", _NUMBER_THE_LABEL)
        _require_numbers(prediction, "what the model predicts", "name an output that is a number as prediction_key")
        label, prediction = _matrix(label, "labels"), _matrix(prediction, "predictions")
        if self.sub_key is not None:
            label, prediction = _for_class(self.sub_key.class_id, label, prediction)
        return Columns(label, prediction, self.weight(rows))

    def _label_key(self, spec: config_pb2.ModelSpec) -> str:
        return str(spec.label_key or spec.label_keys.get(self.output, ", ".join(spec.label_keys.values())))

    def weight(self, rows: Rows) -> NDArray[Any]:
        """(rows, 1), ones where weights do not count."""
        weights = _at(_at(rows.weights, self.model), self.output) if self.weighted else None
        if weights is None:
            return np.ones((rows.batch.num_rows, 1))
        _require_numbers(weights, "the example weight", "name a numeric column as example_weight_key")
        weights = _matrix(weights, "example weights")
        if weights.shape[1] != 1:
            raise IndirectError("several weights an example")
        return weights.astype(np.float64)


def one_hot(label: NDArray[Any], classes: int) -> NDArray[Any]:
    """(rows, classes) from (rows, 1); -1, a class out of the vocabulary, becomes zeros.

    Raises:
        UserError: A label is not the number of a class.
    """
    number = label.astype(np.int64)
    outside = (number < -1) | (number >= classes)
    if outside.any():
        raise UserError(
            f"a label is {label[outside][0]}, but the model predicts {classes} classes",
            fix="labels are class numbers from 0",
        )
    return (number == np.arange(classes)).astype(np.float64)


def _for_class(class_id: int, label: NDArray[Any], prediction: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    if class_id >= prediction.shape[1]:
        raise UserError(
            f"eval_config asks for class {class_id}, but the model predicts {prediction.shape[1]} classes",
            fix="correct class_ids",
        )
    sparse = label.shape[1] != prediction.shape[1]
    chosen = (label == class_id).astype(np.int64) if sparse else label[:, [class_id]]
    return chosen, prediction[:, [class_id]]


def _at(value: Any, name: str) -> Any:
    """The part of a model or an output, where there are several."""
    if not name or not isinstance(value, Mapping):
        return value
    found = util.get_by_keys(value, [name], optional=True)
    return value if found is None else found


def _single(predictions: Any, key: str) -> Any:
    """The predictions, if TFMA finds the ones to judge among the model's outputs.

    Raises:
        UserError: There are several, and the config names none.
    """
    if isinstance(predictions, Mapping) and not ({key} | _USUAL_OUTPUTS) & predictions.keys():
        named = f"and none of them is {key!r}:" if key else "and the config does not say which one to evaluate:"
        raise UserError(
            f"the model returns several outputs, {named} {', '.join(sorted(predictions))}",
            fix="name one as prediction_key in model_specs, or as output_names in metrics_specs",
        )
    return predictions


def _require_numbers(values: Any, what: str, fix: str) -> None:
    """Refuses strings: no metric over columns takes them, neither here nor in TFMA.

    Raises:
        UserError: The values are strings; names the first.
    """
    if isinstance(values, np.ndarray) and values.size and values.dtype.kind in "OSU":
        first: Any = values.flat[0]
        if isinstance(first, str | bytes):
            raise UserError(f"{what} is a string, such as {first!r:.100}, but metrics need numbers", fix=fix)


def _matrix(value: Any, what: str) -> NDArray[Any]:
    if not isinstance(value, np.ndarray) or value.ndim > 2 or value.dtype.kind not in "biuf":
        kind = f"{value.dtype} of {value.ndim} dimensions" if isinstance(value, np.ndarray) else type(value).__name__
        raise IndirectError(f"{what}: {kind}")
    return value.reshape(len(value), -1)
