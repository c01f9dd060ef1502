"""The signatures of a SavedModel.

Types come from the graph. A signature's own types and shapes may be wrong: TF Serving does not check requests against
them, and TensorFlow refuses what the graph does not accept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from components.data import tensor_protos
from components.upstream.tensorflow import INIT_OP_SIGNATURE_KEY, TRAIN_OP_SIGNATURE_KEY
from taxiway.serving.errors import ServingError

Arrays = Mapping[str, np.ndarray]
Outputs = dict[str, np.ndarray]

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_OF_THE_SERVER = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED)
"""Codes of errors that have nothing to do with shapes."""

_OF_TENSORFLOW = (INIT_OP_SIGNATURE_KEY, TRAIN_OP_SIGNATURE_KEY)
"""Entries of the signature map that TensorFlow uses itself."""


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a signature.

    Attributes:
        tensor: The tensor's name in the graph.
        type: The TensorFlow data type.
        dtype: The NumPy data type; object for strings.
        shape: The signature's shape; None if the rank is unknown, and None for each dimension of any size.
    """

    tensor: str
    type: int
    dtype: np.dtype
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """A signature.

    Attributes:
        name: The name that clients use.
        method_name: Its method, such as `tensorflow/serving/predict`.
        inputs: The inputs, by name.
        outputs: The outputs, by name.
        defaults: The values of inputs that a request may omit.
    """

    name: str
    method_name: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    defaults: Arrays = field(default_factory=dict)

    @cached_property
    def dtypes(self) -> dict[str, np.dtype]:
        """The types of the inputs by name."""
        return {name: info.dtype for name, info in self.inputs.items()}

    def require_names(self, names: Collection[str]) -> None:
        """Refuses wrong input names, before any input is decoded.

        Raises:
            ServingError: INVALID_ARGUMENT.
        """
        sent, wanted = set(names), set(self.inputs)
        if sent - wanted or wanted - sent - self.defaults.keys():
            raise ServingError(_INVALID, _other_names(sent, wanted, set(self.defaults)))

    @cached_property
    def takes_any_rows(self) -> bool:
        """Whether there are inputs and none has a fixed number of rows."""
        shapes = [info.shape for info in self.inputs.values()]
        return bool(shapes) and not any(shape and shape[0] is not None for shape in shapes)

    def completed(self, inputs: Arrays) -> Arrays:
        """The inputs, with defaults for missing ones.

        Raises:
            ServingError: INVALID_ARGUMENT: wrong names or types; names the input.
        """
        self.require_names(inputs.keys())
        missing = self.inputs.keys() - inputs.keys()
        whole = {**inputs, **{name: self.defaults[name] for name in missing}} if missing else inputs
        for name, array in whole.items():
            info = self.inputs[name]
            if array.dtype != info.dtype:
                sent = "string" if array.dtype == object else array.dtype.name
                raise ServingError(
                    _INVALID,
                    f'Input "{name}": expects it to be {tensor_protos.dtype_name(info.type)} but {sent} is provided',
                )
        return whole

    def has_other_ranks(self, inputs: Arrays) -> bool:
        """Whether an input's rank differs from the signature's."""
        for name, array in inputs.items():
            shape = self.inputs[name].shape
            if shape is not None and array.ndim != len(shape):
                return True
        return False

    def explained(self, error: ServingError, inputs: Arrays) -> ServingError:
        """TensorFlow's error, preceded by the inputs whose shapes differ from the signature's: the likely cause."""
        others = [
            f'Input "{name}" has the shape {_shown(array.shape)}, the signature has {_shown(shape)}'
            for name, array in inputs.items()
            if (shape := self.inputs[name].shape) is not None and not _fits(array.shape, shape)
        ]
        if not others or error.code in _OF_THE_SERVER:
            return error
        return ServingError(_INVALID, f"{'; '.join(others)}. {error.message}")


@dataclass(frozen=True)
class Signatures:
    """All signatures of a model: the callable ones, and why the others cannot be called."""

    there: dict[str, Signature]
    refused: dict[str, str]


def read(defs: Mapping[str, meta_graph_pb2.SignatureDef], graph: tf.Graph) -> Signatures:
    """The signatures of a graph, without TensorFlow's own entries.

    Args:
        defs: The SavedModel's signature map.
        graph: The graph with the tensors that they name.
    """
    found = Signatures({}, {})
    for name in sorted(defs.keys() - set(_OF_TENSORFLOW)):
        try:
            found.there[name] = _signature(name, defs[name], graph)
        except ValueError as error:
            found.refused[name] = str(error)
    return found


def _signature(name: str, there: meta_graph_pb2.SignatureDef, graph: tf.Graph) -> Signature:
    defaults = {key: tensor_protos.from_proto(there.defaults[key]) for key in there.defaults if key in there.inputs}
    inputs, outputs = (_infos(infos, graph) for infos in (there.inputs, there.outputs))
    return Signature(name, there.method_name, inputs, outputs, defaults)


def _infos(there: Mapping[str, meta_graph_pb2.TensorInfo], graph: tf.Graph) -> dict[str, TensorInfo]:
    found = {}
    for name in sorted(there):
        try:
            found[name] = _info(there[name], graph)
        except (KeyError, ValueError) as error:
            raise ValueError(f'"{name}" {error.args[0]}') from error
    return found


def _info(info: meta_graph_pb2.TensorInfo, graph: tf.Graph) -> TensorInfo:
    if not info.name:
        raise ValueError(f"is not a dense tensor but {info.WhichOneof('encoding') or 'empty'}")
    tensor = info.name if ":" in info.name else f"{info.name}:0"
    try:
        kind = graph.get_tensor_by_name(tensor).dtype.base_dtype.as_datatype_enum
    except (KeyError, ValueError) as error:
        raise ValueError(f"names the tensor {info.name}, which is not in the graph") from error
    dtype = tensor_protos.numpy_dtype(kind)
    if dtype is None:
        raise ValueError(f"has the type {tensor_protos.dtype_name(kind)}, which cannot be sent")
    sizes = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    return TensorInfo(tensor, kind, dtype, None if info.tensor_shape.unknown_rank else sizes)


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        want is None or size == want for size, want in zip(shape, wanted, strict=True)
    )


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"[{','.join('?' if size is None else str(size) for size in shape)}]"


def _other_names(sent: set[str], wanted: set[str], defaults: set[str]) -> str:
    """TF Serving's message (predict_util.cc)."""
    lists = {key: ",".join(sorted(names)) for key, names in {"sent": sent, "wanted": wanted}.items()}
    return (
        f"input size does not match signature: {len(sent)}!={len(wanted)} len({{{lists['sent']}}}) != "
        f"len({{{lists['wanted']}}}). Sent extra: {{{','.join(sorted(sent - wanted))}}}. "
        f"Missing but required: {{{','.join(sorted(wanted - sent - defaults))}}}."
    )
