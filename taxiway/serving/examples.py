"""Classify and Regress: tf.Examples in, labels or numbers out (classifier.cc, regressor.cc)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy as np
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from taxiway.serving.errors import ServingError
from taxiway.serving.model.signatures import Signature

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_INPUT, _CLASSES, _SCORES, _OUTPUTS = "inputs", "classes", "scores", "outputs"
_DT = {"string": "DT_STRING", "float32": "DT_FLOAT"}


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
        # If a feature occurs twice, the last one counts, so an example overrides the context.
        context = given.example_list_with_context.context.SerializeToString()
        found = [context + example.SerializeToString() for example in given.example_list_with_context.examples]
    if not found:
        raise ServingError(_INVALID, "Input is empty")
    return found


def inputs(examples: Sequence[bytes]) -> dict[str, np.ndarray]:
    """Serialized examples as a signature's input: one string each."""
    found: np.ndarray = np.empty(len(examples), object)
    found[:] = examples
    return {_INPUT: found}


def require(signature: Signature, method: str) -> None:
    """Refuses a signature that does not take examples; its method name and types are not checked.

    Raises:
        ServingError: INVALID_ARGUMENT, as in TF Serving.
    """
    if list(signature.inputs) != [_INPUT]:
        raise ServingError(
            _INVALID,
            f'Expected one input Tensor "{_INPUT}" of serialized tf.Examples; '
            f'the signature "{signature.name}" takes {", ".join(signature.inputs) or "nothing"}',
        )
    has = ", ".join(signature.outputs) or "none"
    if method == REGRESS and _OUTPUTS not in signature.outputs:
        raise ServingError(
            _INVALID, f'No regression outputs found in SignatureDef: {signature.name} has {has}, not "{_OUTPUTS}"'
        )
    if method == CLASSIFY and not {_CLASSES, _SCORES} & signature.outputs.keys():
        raise ServingError(
            _INVALID,
            f'Expected classification signature outputs to contain at least one of "{_CLASSES}" or "{_SCORES}". '
            f"Signature was: {signature.name}, with {has}",
        )


def classifications(outputs: Mapping[str, np.ndarray], rows: int) -> classification_pb2.ClassificationResult:
    """The result of Classify, from the outputs `classes` and `scores`, or one of them.

    Raises:
        ServingError: INVALID_ARGUMENT: the outputs have the wrong type or shape.
    """
    classes = _by_row(outputs, _CLASSES, "string", rows)
    scores = _by_row(outputs, _SCORES, "float32", rows)
    if classes is not None and scores is not None and classes.shape != scores.shape:
        raise _wrong(
            f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    result = classification_pb2.ClassificationResult()
    for row in range(rows):
        added = result.classifications.add()
        labels = [None] * scores.shape[1] if classes is None and scores is not None else list(classes[row])  # type: ignore[index]
        values = [0.0] * len(labels) if scores is None else scores[row].tolist()
        for label, score in zip(labels, values, strict=True):
            added.classes.add(label=_text(label), score=score)
    return result


def regressions(outputs: Mapping[str, np.ndarray], rows: int) -> regression_pb2.RegressionResult:
    """The result of Regress, from the output `outputs`.

    Raises:
        ServingError: INVALID_ARGUMENT: the output has the wrong type or shape.
    """
    values = outputs[_OUTPUTS]
    if values.shape not in ((rows,), (rows, 1)):
        raise _wrong(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{list(values.shape)} for the batch size {rows}"
        )
    if values.dtype != np.float32:
        raise _wrong(f"Expected output Tensor of DT_FLOAT. Got: {_kind(values)}")
    result = regression_pb2.RegressionResult()
    for value in values.reshape(-1).tolist():
        result.regressions.add(value=value)
    return result


def _by_row(outputs: Mapping[str, np.ndarray], name: str, kind: str, rows: int) -> np.ndarray | None:
    values = outputs.get(name)
    if values is None:
        return None
    if values.ndim != 2:
        raise _wrong(f"Expected Tensor shape: [batch_size num_classes] but got {list(values.shape)}")
    if _kind(values) != kind:
        raise _wrong(f"Expected {name} Tensor of {_DT[kind]}. Got: {_kind(values)}")
    if len(values) != rows:
        raise _wrong(f"Expected {name} output batch size of {rows}. Got: {len(values)}")
    return values


def _kind(values: np.ndarray) -> str:
    return "string" if values.dtype == object else values.dtype.name


def _text(label: Any) -> str:
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label or "")


def _wrong(what: str) -> ServingError:
    return ServingError(_INVALID, what)
