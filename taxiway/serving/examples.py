"""Classify and Regress: requests of tf.Examples, answers of labels or numbers (classifier.cc, regressor.cc)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy as np
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from taxiway.serving.errors import ServingError
from taxiway.serving.saved_model import Signature

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
PREDICT = "tensorflow/serving/predict"

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_INPUT, _CLASSES, _SCORES, _OUTPUTS = "inputs", "classes", "scores", "outputs"


def serialized(given: input_pb2.Input) -> list[bytes]:
    """The examples of a request; a common context is merged into each.

    Raises:
        ServingError: INVALID_ARGUMENT: there are none.
    """
    kind = given.WhichOneof("kind")
    found = list[bytes]()
    if kind == "example_list":
        found = [example.SerializeToString() for example in given.example_list.examples]
    elif kind == "example_list_with_context":
        # Of two features of one name the later counts: an example's own wins over the context's.
        context = given.example_list_with_context.context.SerializeToString()
        found = [context + example.SerializeToString() for example in given.example_list_with_context.examples]
    if not found:
        raise ServingError(_INVALID, "Input is empty")
    return found


def array(examples: Sequence[bytes]) -> np.ndarray:
    """Serialized examples as the input of a signature: a text for each."""
    found: np.ndarray = np.empty(len(examples), object)
    found[:] = examples
    return found


def only_input(signature: Signature) -> str:
    """The name of the one input that takes serialized examples.

    Raises:
        ServingError: INVALID_ARGUMENT: the signature takes something else.
    """
    if list(signature.inputs) == [_INPUT] and signature.inputs[_INPUT].dtype == object:
        return _INPUT
    raise ServingError(
        _INVALID,
        f'Expected one input Tensor "{_INPUT}" of serialized tf.Examples; '
        f'the signature "{signature.name}" takes {", ".join(signature.inputs) or "nothing"}',
    )


def require_method(signature: Signature, method: str) -> None:
    """Refuses a signature that says that it is for something else. TensorFlow 2 writes `predict` for all of them.

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    if signature.method_name not in (method, PREDICT):
        kind = "classification" if method == CLASSIFY else "regression"
        raise ServingError(
            _INVALID, f"Expected {kind} signature method_name to be {method}. Was: {signature.method_name}"
        )


def classifications(
    signature: Signature, outputs: Mapping[str, np.ndarray], rows: int
) -> classification_pb2.ClassificationResult:
    """The answer to Classify, from the outputs `classes` and `scores`, or one of them.

    Raises:
        ServingError: FAILED_PRECONDITION: the outputs are others, or of another type or shape.
    """
    if not {_CLASSES, _SCORES} & outputs.keys():
        raise ServingError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f'Expected classification signature outputs to contain at least one of "{_CLASSES}" or "{_SCORES}". '
            f"Signature was: {signature.name}, with {', '.join(outputs)}",
        )
    classes, scores = (_by_row(outputs, name, rows) for name in (_CLASSES, _SCORES))
    if classes is not None and scores is not None and classes.shape != scores.shape:
        raise _wrong("Expected class and score tensors to have the same shape", classes.shape, scores.shape)
    if classes is not None and classes.dtype != object:
        raise _wrong(f"Expected {_CLASSES} to be of strings. Was:", classes.dtype)
    result = classification_pb2.ClassificationResult()
    for row in range(rows):
        added = result.classifications.add()
        labels = [None] * scores.shape[1] if classes is None and scores is not None else list(classes[row])  # type: ignore[index]
        values = [0.0] * len(labels) if scores is None else scores[row].tolist()
        for label, score in zip(labels, values, strict=True):
            added.classes.add(label=_text(label), score=score)
    return result


def regressions(signature: Signature, outputs: Mapping[str, np.ndarray], rows: int) -> regression_pb2.RegressionResult:
    """The answer to Regress, from the output `outputs`.

    Raises:
        ServingError: FAILED_PRECONDITION: the output is another, or of another type or shape.
    """
    if _OUTPUTS not in outputs:
        raise ServingError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f'No regression outputs found in SignatureDef: {signature.name} has {", ".join(outputs)}, not "{_OUTPUTS}"',
        )
    values = outputs[_OUTPUTS]
    if values.shape not in ((rows,), (rows, 1)):
        raise _wrong("Expected output Tensor shape to be either [batch_size] or [batch_size, 1]. Was:", values.shape)
    if values.dtype != np.float32:
        raise _wrong("Expected output Tensor of DT_FLOAT. Was:", values.dtype)
    result = regression_pb2.RegressionResult()
    for value in values.reshape(-1).tolist():
        result.regressions.add(value=value)
    return result


def _by_row(outputs: Mapping[str, np.ndarray], name: str, rows: int) -> np.ndarray | None:
    values = outputs.get(name)
    if values is not None and (values.ndim != 2 or len(values) != rows):
        raise _wrong(f"Expected {name} of shape [batch_size num_classes]. Was:", values.shape)
    return values


def _text(label: Any) -> str:
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label or "")


def _wrong(what: str, *found: Any) -> ServingError:
    return ServingError(grpc.StatusCode.FAILED_PRECONDITION, " ".join([what, *map(str, found)]))
