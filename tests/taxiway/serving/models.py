"""Small SavedModels for the tests of the model server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

VERSION = 123


def write(name: str, folder: Path) -> Path:
    """Saves a model into a folder, which becomes a version."""
    import tensorflow as tf

    module, signatures = _BUILDERS[name](tf)
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def publish(model: Path, base: Path, version: int) -> Path:
    """Copies a model to a base path as the pusher does: whole, or not there."""
    base.mkdir(parents=True, exist_ok=True)
    partial = base / f".{version}.partial"
    shutil.copytree(model, partial)
    return partial.rename(base / str(version))


def _half_plus(tf: Any, offset: float) -> tuple[Any, dict[str, Any]]:
    """TF Serving's own example: y = x / 2 + 2."""
    module = tf.Module()
    module.half = tf.Variable(0.5)
    spec = {"x": tf.io.FixedLenFeature([], tf.float32)}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, "x")])
    def predict(x: Any) -> dict[str, Any]:
        return {"y": x * module.half + offset}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def classify(inputs: Any) -> dict[str, Any]:
        return {"scores": tf.io.parse_example(inputs, spec)["x"][:, None] * module.half + offset}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def labelled(inputs: Any) -> dict[str, Any]:
        scores = tf.io.parse_example(inputs, spec)["x"][:, None] * [[1.0, -1.0]]
        return {"scores": scores, "classes": tf.tile([["up", "down"]], [tf.shape(inputs)[0], 1])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def regress(inputs: Any) -> dict[str, Any]:
        return {"outputs": tf.io.parse_example(inputs, spec)["x"][:, None] * module.half + offset}

    signatures = {"serving_default": predict, "classify_x_to_y": classify, "regress_x_to_y": regress}
    return module, {**signatures, "labelled": labelled}


def _mixed(tf: Any) -> tuple[Any, dict[str, Any]]:
    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.float32, "number"), tf.TensorSpec([None], tf.string, "word")]
    )
    def predict(number: Any, word: Any) -> dict[str, Any]:
        return {"doubled": number * 2.0, "same": tf.identity(word), "raw_bytes": tf.identity(word)}

    return tf.Module(), {"serving_default": predict}


def _types(tf: Any) -> tuple[Any, dict[str, Any]]:
    """Gives back what it is given, in every type that can be sent."""
    kinds = ["float16", "bfloat16", "float32", "float64", "complex64", "complex128", "bool", "string"]
    kinds += [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    specs = [tf.TensorSpec([None, 2], kind, kind) for kind in kinds]

    def named(*values: Any) -> dict[str, Any]:
        return {f"{kind}_back": tf.identity(value) for kind, value in zip(kinds, values, strict=True)}

    return tf.Module(), {"serving_default": tf.function(named, input_signature=specs)}


def _slow(tf: Any) -> tuple[Any, dict[str, Any]]:
    """Takes some tenths of a second a call, and tells how many rows came together."""

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, "x")])
    def predict(x: Any) -> dict[str, Any]:
        rows = tf.shape(x)[0]
        # It depends on the input, or it would be folded into a constant.
        matrix = tf.random.stateless_uniform([700, 700], [1, 2]) / 350.0 + tf.reduce_sum(x) * 1e-6
        for _ in range(20):
            matrix = tf.tanh(tf.linalg.matmul(matrix, matrix))
        zero = 0.0 * matrix[0, 0]
        return {"y": tf.reduce_sum(x, -1) + zero, "rows": tf.fill([rows], rows)}

    return tf.Module(), {"serving_default": predict}


def _picky(tf: Any) -> tuple[Any, dict[str, Any]]:
    """Refuses negative numbers, as a model refuses an example that it cannot parse."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def predict(x: Any) -> dict[str, Any]:
        with tf.control_dependencies([tf.debugging.assert_non_negative(x, "x is negative")]):
            return {"y": tf.sqrt(x)}

    return tf.Module(), {"serving_default": predict}


_BUILDERS: dict[str, Callable[[Any], tuple[Any, dict[str, Any]]]] = {
    "half_plus_two": lambda tf: _half_plus(tf, 2.0),
    "half_plus_three": lambda tf: _half_plus(tf, 3.0),
    "mixed": _mixed,
    "types": _types,
    "slow": _slow,
    "picky": _picky,
}
