"""Checks that an answer matches the signature and the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from components.infra_validator.failure import FailedError
from components.infra_validator.questions import Question, Signature

Values = dict[str, Any]
"""The answer's arrays by name."""

_RELATIVE, _ABSOLUTE = 1e-4, 1e-6
"""The tolerance between two answers to the same request: devices may add numbers in any order."""


def values(question: Question, signature: Signature, response: Any) -> Values:
    """The numbers and strings in an answer.

    Raises:
        FailedError: An output is missing or has a wrong dtype, shape or number of rows; or a number is not finite.
    """
    if hasattr(response, "outputs"):
        found = _outputs(question, signature, response.outputs)
    else:
        found = _result(question, response.result)
    for name, array in found.items():
        if np.issubdtype(array.dtype, np.number) and not np.isfinite(array).all():
            bad = array[~np.isfinite(array)].ravel()[0]
            raise _failed(question, f"the output {name!r} has {bad} for real examples")
    return found


def require_same(question: Question, first: Values, second: Values) -> None:
    """Raises a `FailedError` if two answers to the same request differ."""
    for name, array in first.items():
        if not _same(array, second[name]):
            raise _failed(question, f"the output {name!r} differs between two answers to the same request")


def _same(one: Any, other: Any) -> bool:
    if one.shape != other.shape:
        return False
    if np.issubdtype(one.dtype, np.inexact):
        return bool(np.allclose(one, other, _RELATIVE, _ABSOLUTE))
    return bool((one == other).all())


def _outputs(question: Question, signature: Signature, outputs: Mapping[str, Any]) -> Values:
    if set(outputs) != set(signature.outputs):
        raise _failed(question, f"it has {_listed(outputs)}, but the signature has {_listed(signature.outputs)}")
    for name, info in sorted(signature.outputs.items()):
        given, wanted = tf.as_dtype(outputs[name].dtype), tf.as_dtype(info.dtype)
        if given != wanted:
            raise _failed(question, f"the output {name!r} is {given.name}, but the signature has {wanted.name}")
        _require_shape(question, name, tf.TensorShape(outputs[name].tensor_shape), tf.TensorShape(info.tensor_shape))
    return {name: _array(outputs[name]) for name in sorted(outputs)}


def _require_shape(question: Question, name: str, given: tf.TensorShape, wanted: tf.TensorShape) -> None:
    if not given.is_compatible_with(wanted):
        raise _failed(question, f"the output {name!r} has the shape {given}, but the signature has {wanted}")
    # Batching, and clients that expect one answer per row, rely on the first dimension being the examples.
    if wanted.rank and wanted[0] is None and given[0] != question.rows:
        raise _failed(question, f"the output {name!r} has {given[0]} rows for {question.rows} examples")


def _array(tensor: Any) -> Any:
    return tf.make_ndarray(tensor)


def _result(question: Question, result: Any) -> Values:
    rows = result.classifications if hasattr(result, "classifications") else result.regressions
    if len(rows) != question.rows:
        raise _failed(question, f"it has {len(rows)} results for {question.rows} examples")
    if hasattr(result, "regressions"):
        return {"value": np.array([row.value for row in rows])}
    classes = [each for row in rows for each in row.classes]
    return {"label": np.array([each.label for each in classes]), "score": np.array([each.score for each in classes])}


def _failed(question: Question, what: str) -> FailedError:
    return FailedError("answer", f"the answer of the signature {question.signature!r} is wrong: {what}")


def _listed(names: Any) -> str:
    return f"the outputs {', '.join(sorted(names)) or 'none'}"
