"""Small SavedModels for the tests of the model server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2

VERSION = 123


def write(name: str, folder: Path) -> Path:
    """Saves a model into a folder, as a version."""
    import tensorflow as tf

    if name in _GRAPHS:
        _write_graph(tf, folder, _GRAPHS[name])
    else:
        module, signatures = _BUILDERS[name](tf)
        tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def publish(model: Path, base: Path, version: int) -> Path:
    """Copies a model to a base path atomically, like the pusher."""
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
    """Returns its inputs, in every type that can be sent."""
    kinds = ["float16", "bfloat16", "float32", "float64", "complex64", "complex128", "bool", "string"]
    kinds += [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    specs = [tf.TensorSpec([None, 2], kind, kind) for kind in kinds]

    def named(*values: Any) -> dict[str, Any]:
        return {f"{kind}_back": tf.identity(value) for kind, value in zip(kinds, values, strict=True)}

    return tf.Module(), {"serving_default": tf.function(named, input_signature=specs)}


def _slow(tf: Any) -> tuple[Any, dict[str, Any]]:
    """Takes tenths of a second per call, and returns the number of rows in the batch."""

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, "x")])
    def predict(x: Any) -> dict[str, Any]:
        rows = tf.shape(x)[0]
        # Depends on the input, so that TensorFlow does not fold it into a constant.
        matrix = tf.random.stateless_uniform([700, 700], [1, 2]) / 350.0 + tf.reduce_sum(x) * 1e-6
        for _ in range(20):
            matrix = tf.tanh(tf.linalg.matmul(matrix, matrix))
        zero = 0.0 * matrix[0, 0]
        return {"y": tf.reduce_sum(x, -1) + zero, "rows": tf.fill([rows], rows)}

    return tf.Module(), {"serving_default": predict}


def _picky(tf: Any) -> tuple[Any, dict[str, Any]]:
    """Rejects negative numbers, like a model that cannot parse an example."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def predict(x: Any) -> dict[str, Any]:
        with tf.control_dependencies([tf.debugging.assert_non_negative(x, "x is negative")]):
            return {"y": tf.sqrt(x)}

    return tf.Module(), {"serving_default": predict}


def _half_tf2(tf: Any) -> tuple[Any, dict[str, Any]]:
    """TF Serving's half_plus_two for TensorFlow 2, with variables of a strategy, and an output that needs no input."""
    module = tf.Module()
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        module.half = tf.Variable(0.5)
    spec = {"x": tf.io.FixedLenFeature([1], tf.float32)}

    @tf.function(input_signature=[tf.TensorSpec([1], tf.float32, "x")])
    def predict(x: Any) -> dict[str, Any]:
        return {"y": x * module.half + 2.0}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def regress(inputs: Any) -> dict[str, Any]:
        return {"outputs": tf.io.parse_example(inputs, spec)["x"] * module.half + 2.0}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def classify(inputs: Any) -> dict[str, Any]:
        return {"scores": tf.io.parse_example(inputs, spec)["x"] * module.half + 2.0}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, "x")])
    def constant(x: Any) -> dict[str, Any]:
        return {"y": 2.0}

    signatures = {"serving_default": predict, "regress_x_to_y": regress, "classify_x_to_y": classify}
    return module, {**signatures, "constant": constant}


def _keras(tf: Any) -> tuple[Any, dict[str, Any]]:
    """A sequential Keras model for one float, and one for strings of the shape [?,1]."""
    floats = tf.keras.Sequential(
        [tf.keras.layers.Input([1], name="x"), tf.keras.layers.Dense(1, kernel_initializer="ones")]
    )
    words = tf.keras.Sequential(
        [tf.keras.layers.Input([1], dtype="string", name="word"), tf.keras.layers.StringLookup(vocabulary=["a", "b"])]
    )
    module = tf.Module()
    module.models = [floats, words]

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, "x")])
    def predict(x: Any) -> dict[str, Any]:
        return {"y": floats(x)}

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.string, "word")])
    def look_up(word: Any) -> dict[str, Any]:
        return {"index": words(word)}

    return module, {"serving_default": predict, "words": look_up}


def _shapes(tf: Any) -> tuple[Any, dict[str, Any]]:
    """Signatures with various shapes, and an optional input."""
    two = tf.constant(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.string, "word")])
    def words(word: Any) -> dict[str, Any]:
        return {"length": tf.strings.length(word)}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x"), tf.TensorSpec([], tf.float32, "dropout")])
    def dropout(x: Any, dropout: Any) -> dict[str, Any]:
        return {"y": tf.reduce_sum(x, -1) * (1.0 - dropout)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x"), tf.TensorSpec([], tf.float32, "offset")])
    def defaults(x: Any, offset: Any = two) -> dict[str, Any]:
        return {"y": x / 2.0 + offset}

    @tf.function(input_signature=[tf.TensorSpec([2], tf.float32, "x")])
    def share(x: Any) -> dict[str, Any]:
        return {"y": x / tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    def matmul(x: Any) -> dict[str, Any]:
        return {"y": tf.linalg.matmul(x, [[1.0], [2.0]])}

    # The operation does not check the rank: a tensor that is not an image crashes the process.
    @tf.function(input_signature=[tf.TensorSpec([None, 4, 4, 1], tf.float32, "x")])
    def convolution(x: Any) -> dict[str, Any]:
        return {"y": tf.nn.conv2d(x, tf.ones([2, 2, 1, 1]), 2, "VALID")}

    return tf.Module(), {
        "convolution": convolution,
        "serving_default": matmul,
        "words": words,
        "dropout": dropout,
        "defaults": defaults,
        "share": share,
    }


def _write_graph(tf: Any, folder: Path, build: Callable[[Any, Any], dict[str, Any]]) -> None:
    """Saves a graph like TensorFlow 1, whose builder accepts any signature."""
    v1 = tf.compat.v1
    with v1.Session(graph=tf.Graph()) as session:
        signatures = build(tf, v1)
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, [tf.saved_model.SERVING])
        builder.save()
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    for name, signature in signatures.items():
        saved.meta_graphs[0].signature_def[name].CopyFrom(signature)
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())


def _signature(tf: Any, method: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
    info = tf.compat.v1.saved_model.build_tensor_info
    infos = [{name: info(tensor) for name, tensor in each.items()} for each in (inputs, outputs)]
    return tf.compat.v1.saved_model.build_signature_def(*infos, f"tensorflow/serving/{method}")


def _half_graph(tf: Any, v1: Any) -> dict[str, Any]:
    """TF Serving's half_plus_two, with its signatures and their shapes."""
    a, b, c = (v1.get_variable(name, initializer=value) for name, value in (("a", 0.5), ("b", 2.0), ("c", 3.0)))
    example = v1.placeholder(tf.string, [None], "tf_example")
    spec = {"x": tf.io.FixedLenFeature([1], tf.float32), "x2": tf.io.FixedLenFeature([1], tf.float32, [0.0])}
    parsed = tf.io.parse_example(example, spec)
    x, x2 = tf.identity(parsed["x"], "x"), tf.identity(parsed["x2"], "x2")
    y, y2, y3 = tf.add(a * x, b, "y"), tf.add(a * x, c, "y2"), tf.add(a * x2, c, "y3")
    return {
        "serving_default": _signature(tf, "predict", {"x": x}, {"y": y}),
        "regress_x_to_y": _signature(tf, "regress", {"inputs": example}, {"outputs": y}),
        "regress_x_to_y2": _signature(tf, "regress", {"inputs": example}, {"outputs": y2}),
        "regress_x2_to_y3": _signature(tf, "regress", {"inputs": x2}, {"outputs": y3}),
        "classify_x_to_y": _signature(tf, "classify", {"inputs": example}, {"scores": y}),
        "classify_x2_to_y3": _signature(tf, "classify", {"inputs": x2}, {"scores": y3}),
    }


def _bare_graph(tf: Any, v1: Any) -> dict[str, Any]:
    """half_plus_three, whose signatures have no shapes and types; a missing shape is a scalar's, []."""
    half = v1.get_variable("half", initializer=0.5)
    example = v1.placeholder(tf.string, [None], "tf_example")
    x = tf.identity(tf.io.parse_example(example, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"], "x")
    y = tf.add(half * x, 3.0, "y")
    found = {
        "serving_default": _signature(tf, "predict", {"x": x}, {"y": y}),
        "tensorflow/serving/regress": _signature(tf, "regress", {"inputs": example}, {"outputs": y}),
        "classify": _signature(tf, "classify", {"inputs": example}, {"scores": y}),
        "called_float": _signature(tf, "regress", {"inputs": example}, {"outputs": y}),
    }
    for name, signature in found.items():
        for info in (*signature.inputs.values(), *signature.outputs.values()):
            info.tensor_shape.Clear()
            info.ClearField("dtype")
        if name == "called_float":
            signature.inputs["inputs"].dtype = tf.float32.as_datatype_enum
    return found


def _counter_graph(tf: Any, v1: Any) -> dict[str, Any]:
    """TF Serving's counter, with reference outputs, and signatures that cannot be called."""
    counter = v1.get_variable("counter", initializer=0.0, use_resource=False)
    delta = v1.placeholder(tf.float32, name="delta")
    table = v1.get_variable("table", initializer=0.0, use_resource=True)
    lost = _signature(tf, "predict", {"delta": delta}, {"output": delta})
    lost.outputs["output"].name = "nowhere:0"
    return {
        "get_counter": _signature(tf, "predict", {}, {"output": counter}),
        "incr_counter": _signature(tf, "predict", {}, {"output": v1.assign_add(counter, 1.0)}),
        "incr_counter_by": _signature(tf, "predict", {"delta": delta}, {"output": v1.assign_add(counter, delta)}),
        "reset_counter": _signature(tf, "predict", {}, {"output": v1.assign(counter, 0.0)}),
        "fed_counter": _signature(tf, "predict", {"counter": counter}, {"output": v1.assign_add(counter, 2.0)}),
        "sparse": _signature(tf, "predict", {"x": v1.sparse_placeholder(tf.float32)}, {"output": delta}),
        "resource": _signature(tf, "predict", {"delta": delta}, {"output": table.handle}),
        "lost": lost,
    }


_GRAPHS: dict[str, Callable[[Any, Any], dict[str, Any]]] = {
    "half_graph": _half_graph,
    "bare_graph": _bare_graph,
    "counter": _counter_graph,
}

_BUILDERS: dict[str, Callable[[Any], tuple[Any, dict[str, Any]]]] = {
    "half_plus_two": lambda tf: _half_plus(tf, 2.0),
    "half_plus_three": lambda tf: _half_plus(tf, 3.0),
    "mixed": _mixed,
    "types": _types,
    "half_tf2": _half_tf2,
    "keras": _keras,
    "shapes": _shapes,
    "slow": _slow,
    "picky": _picky,
}
