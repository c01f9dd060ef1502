"""A SavedModel in a session, as TensorFlow Serving runs one: signatures name the tensors to feed and to fetch.

A session costs less a call than a function of `tf.saved_model.load`, takes models of TensorFlow 1 and 2 alike, and
gives all its memory back when it is closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
from tensorflow.python.client import pywrap_tf_session as c_api
from tensorflow.python.framework import c_api_util, ops
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

from components import custom_ops
from components.pushed_models import SAVED_MODEL
from taxiway.serving import tensors
from taxiway.serving.errors import ServingError

Arrays = Mapping[str, np.ndarray]
DEFAULT_SIGNATURE = "serving_default"

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_NO_SHAPES = "_disable_call_shape_inference"
"""The attribute of a call by which TensorFlow does not look into the function for shapes (shape_refiner.cc)."""

_FEW = 4
"""Functions that are imported at a time, in half a millisecond or so."""

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a signature.

    Attributes:
        tensor: The tensor's name in the graph.
        type: TensorFlow's number of its type.
        dtype: The same for NumPy; texts are objects.
        shape: None where the rank is unknown; a size is None where any will do.
    """

    tensor: str
    type: int
    dtype: np.dtype
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """What can be asked of a model, by the names that clients use."""

    name: str
    method_name: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]

    def require_inputs(self, inputs: Arrays) -> None:
        """Refuses inputs of other names, types or shapes.

        Raises:
            ServingError: INVALID_ARGUMENT; names the input.
        """
        if inputs.keys() != self.inputs.keys():
            raise ServingError(_INVALID, _other_names(set(inputs), set(self.inputs)))
        for name, array in inputs.items():
            info = self.inputs[name]
            if array.dtype != info.dtype:
                sent = "string" if array.dtype == object else array.dtype.name
                raise ServingError(
                    _INVALID, f'Input "{name}": expects {tensors.dtype_name(info.type)} but {sent} is provided'
                )
            if not _fits(array.shape, info.shape):
                raise ServingError(
                    _INVALID,
                    f'Input "{name}": expects shape {_shown(info.shape or ())} but {_shown(array.shape)} is provided',
                )


class SavedModel:
    """A SavedModel in memory. `run` may be called from several threads."""

    def __init__(
        self, folder: Path, intra_op_parallelism: int = 0, tags: Sequence[str] = (tf.saved_model.SERVING,)
    ) -> None:
        """Loads it.

        Args:
            folder: Where it lies.
            intra_op_parallelism: Threads of one operation; 0 for TensorFlow's choice.
            tags: Which of its graphs.

        Raises:
            ServingError: TensorFlow's code and words, where it does not load.
        """
        if not any((folder / name).is_file() for name in (SAVED_MODEL, "saved_model.pbtxt")):
            raise ServingError(
                grpc.StatusCode.NOT_FOUND,
                f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {folder}. "
                "Check that the directory exists and that you have the right permissions for accessing it.",
            )
        options = config_pb2.ConfigProto(
            intra_op_parallelism_threads=intra_op_parallelism, gpu_options=config_pb2.GPUOptions(allow_growth=True)
        )
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=options)
        self._calls: dict[str, Any] = {}
        try:
            with self._session.graph.as_default():
                meta_graph = _load(self._session, folder, list(tags))
            self.signature_def: Mapping[str, meta_graph_pb2.SignatureDef] = dict(meta_graph.signature_def)
            self._signatures = _signatures(self.signature_def)
            self._calls = {name: self._call(signature) for name, signature in self._signatures.items()}
        except Exception as error:
            self.close()
            raise _failed_load(error) from error

    def signature(self, name: str) -> Signature:
        """The signature of a name, "" for the default.

        Raises:
            ServingError: FAILED_PRECONDITION: there is none.
        """
        name = name or DEFAULT_SIGNATURE
        if name not in self._signatures:
            raise ServingError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f'Serving signature key "{name}" not found. The model has: {", ".join(self._signatures) or "none"}',
            )
        return self._signatures[name]

    def run(self, signature: Signature, inputs: Arrays) -> dict[str, np.ndarray]:
        """All outputs of a signature; the inputs are those that it takes.

        Raises:
            ServingError: TensorFlow's code and words.
        """
        try:
            values = self._calls[signature.name](*(inputs[name] for name in signature.inputs))
        except tf.errors.OpError as error:
            raise ServingError(_CODES.get(error.error_code, grpc.StatusCode.UNKNOWN), str(error.message)) from error
        except UnicodeDecodeError as error:
            # TensorFlow's message holds what the client sent, and Python cannot make a text of it.
            raise ServingError(_INVALID, bytes(error.object).decode(errors="backslashreplace")) from error
        return dict(zip(signature.outputs, values, strict=True))

    def close(self) -> None:
        """Lets its memory go, here and now: the graph's circles are opened, so that no collection need come by."""
        self._calls.clear()
        self._session.close()
        ops.dismantle_graph(self._session.graph)
        # Before the session, which then deletes it, without Python's lock; TensorFlow holds it where a graph goes last.
        self._session._graph = None
        del self._session

    def _call(self, signature: Signature) -> Any:
        """A signature as a function of its inputs. The graph is pruned now, so that no request waits for it."""
        options = config_pb2.CallableOptions(
            feed=[info.tensor for info in signature.inputs.values()],
            fetch=[info.tensor for info in signature.outputs.values()],
            # In the thread that calls: handing small operations to TensorFlow's own threads takes longer than they do.
            run_options=config_pb2.RunOptions(inter_op_thread_pool=-1),
        )
        # `Session.make_callable`, the public way, feeds by way of `Session.run`, which takes twice as long.
        return self._session._make_callable_from_options(options)


def _load(session: tf.compat.v1.Session, folder: Path, tags: list[str]) -> meta_graph_pb2.MetaGraphDef:
    """Does what `tf.compat.v1.saved_model.load` does, but imports the graph without the shapes inside functions.

    TensorFlow holds Python's lock while it imports, two thirds of the time for these shapes, and all requests wait.
    Nobody asks the graph for them: those of inputs and outputs are in the signatures.
    """
    loader = SavedModelLoader(str(folder))
    meta_graph = loader.get_meta_graph_def_from_tags(tags)
    calls = [node for node in meta_graph.graph_def.node if node.op in _CALLS]
    for node in calls:
        node.attr[_NO_SHAPES].b = True
    _import_functions(session.graph, meta_graph.graph_def)
    saver, _ = loader.load_graph(session.graph, tags)
    for node in calls:
        # TensorFlow's optimizer, which a session runs later and without the lock, is to know the shapes.
        session.graph.get_operation_by_name(node.name)._clear_attr(_NO_SHAPES)
    loader.restore_variables(session, saver)
    loader.run_init_ops(session, tags)
    return meta_graph


def _import_functions(graph: tf.Graph, graph_def: graph_pb2.GraphDef) -> None:
    """Moves the functions of a graph that is to be imported into the graph, a few at a time.

    Between them others get Python's lock. `import_graph_def` would make an object of each besides, for whoever wants to
    call it from Python; to make these, and to free them, takes longer than the import.
    """
    functions = list(graph_def.library.function)
    del graph_def.library.function[:]
    options = c_api_util.ScopedTFImportGraphDefOptions()
    for start in range(0, len(functions), _FEW):
        few = graph_pb2.GraphDef(versions=graph_def.versions)
        few.library.function.extend(functions[start : start + _FEW])
        with graph._c_graph.get() as c_graph, c_api_util.tf_buffer(few.SerializeToString()) as buffer:
            results = c_api.TF_GraphImportGraphDefWithResults(c_graph, buffer, options.options)
            c_api.TF_DeleteImportGraphDefResults(results)


def _failed_load(error: Exception) -> ServingError:
    if missing := custom_ops.missing(error):
        return ServingError(grpc.StatusCode.NOT_FOUND, missing[0].upper() + missing[1:])
    if isinstance(error, tf.errors.OpError):
        return ServingError(_CODES.get(error.error_code, grpc.StatusCode.UNKNOWN), str(error.message))
    # Damaged protos, missing assets, tags that are not there: Python's loader has many kinds.
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, f"{type(error).__name__}: {error}")


def _signatures(there: Mapping[str, meta_graph_pb2.SignatureDef]) -> dict[str, Signature]:
    """The signatures that can be asked: not those that TensorFlow adds for itself, nor ones of sparse tensors."""
    found = {}
    for name in sorted(there):
        infos = [*there[name].inputs.values(), *there[name].outputs.values()]
        if not name.startswith("__") and all(info.name and tensors.numpy_dtype(info.dtype) for info in infos):
            found[name] = Signature(
                name, there[name].method_name, _infos(there[name].inputs), _infos(there[name].outputs)
            )
    return found


def _infos(there: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, TensorInfo]:
    return {name: _info(there[name]) for name in sorted(there)}


def _info(info: meta_graph_pb2.TensorInfo) -> TensorInfo:
    sizes = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    shape = None if info.tensor_shape.unknown_rank else sizes
    dtype = tensors.numpy_dtype(info.dtype)
    assert dtype is not None
    return TensorInfo(info.name, info.dtype, dtype, shape)


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...] | None) -> bool:
    if wanted is None:
        return True
    return len(shape) == len(wanted) and all(
        want is None or size == want for size, want in zip(shape, wanted, strict=True)
    )


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"[{','.join('?' if size is None else str(size) for size in shape)}]"


def _other_names(sent: set[str], wanted: set[str]) -> str:
    """TF Serving's words (predict_util.cc)."""
    lists = {key: ",".join(sorted(names)) for key, names in {"sent": sent, "wanted": wanted}.items()}
    return (
        f"input size does not match signature: {len(sent)}!={len(wanted)} len({{{lists['sent']}}}) != "
        f"len({{{lists['wanted']}}}). Sent extra: {{{','.join(sorted(sent - wanted))}}}. "
        f"Missing but required: {{{','.join(sorted(wanted - sent))}}}."
    )
