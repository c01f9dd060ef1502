"""A SavedModel in a session, as in TensorFlow Serving: signatures name the tensors to feed and to fetch.

A session has less overhead per call than a function from `tf.saved_model.load`, runs TensorFlow 1 and 2 models, and
frees all its memory when it is closed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

from components.execution.pushed_models import SAVED_MODEL
from components.upstream import tensorflow_sessions as sessions
from components.user_code import custom_op_loading
from taxiway.serving.errors import ServingError
from taxiway.serving.model import rank_check, signatures
from taxiway.serving.model.signatures import Arrays, Signature, Signatures

DEFAULT_SIGNATURE = "serving_default"

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class SavedModel:
    """A loaded SavedModel. `run` is thread-safe."""

    def __init__(
        self, folder: Path, intra_op_parallelism: int = 0, tags: Sequence[str] = (tf.saved_model.SERVING,)
    ) -> None:
        """Loads the model.

        Args:
            folder: The SavedModel's folder.
            intra_op_parallelism: Threads per operation; 0 lets TensorFlow choose.
            tags: The tags of the graph to load.

        Raises:
            ServingError: It failed to load; with TensorFlow's code and message.
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
        self._calls: dict[str, Any] = {}
        self._refusals: dict[tuple[str, tuple[int, ...]], str] = {}
        self._inferring = threading.Lock()
        try:
            self._session, meta_graph = sessions.load(folder, tags, options)
        except Exception as error:
            raise _failed_load(error) from error
        try:
            self.signature_def: Mapping[str, meta_graph_pb2.SignatureDef] = dict(meta_graph.signature_def)
            self._signatures = self._callable(signatures.read(self.signature_def, self._session.graph))
        except Exception as error:
            self.close()
            raise _failed_load(error) from error

    @property
    def refused(self) -> Mapping[str, str]:
        """The signatures that cannot be called, and why."""
        return self._signatures.refused

    def signature(self, name: str) -> Signature:
        """The signature with a name; "" is the default one.

        Raises:
            ServingError: FAILED_PRECONDITION: there is none; UNIMPLEMENTED: it cannot be called.
        """
        name, there = name or DEFAULT_SIGNATURE, self._signatures.there
        if name in self.refused:
            raise ServingError(
                grpc.StatusCode.UNIMPLEMENTED, f'The signature "{name}" cannot be called: {self.refused[name]}'
            )
        if name not in there:
            raise ServingError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f'Serving signature key "{name}" not found. The model has: {", ".join(there) or "none"}',
            )
        return there[name]

    def known_refusal(self, signature: Signature, inputs: Arrays) -> str | None:
        """TensorFlow's cached error for inputs of these ranks, "" for none; None if it was not computed yet."""
        return self._refusals.get((signature.name, rank_check.of(inputs, signature)))

    def refusal(self, signature: Signature, inputs: Arrays) -> str:
        """Computes `known_refusal`, which takes a few milliseconds."""
        with self._inferring:
            if len(self._refusals) >= rank_check.MOST_KNOWN:
                self._refusals.clear()
            found = rank_check.of(inputs, signature)
            said = self._refusals[signature.name, found] = rank_check.refusal(self._session.graph, signature, found)
        return said

    def run(self, signature: Signature, inputs: Arrays) -> dict[str, np.ndarray]:
        """All outputs of a signature; the inputs must be complete.

        Raises:
            ServingError: With TensorFlow's code and message.
        """
        try:
            values = self._calls[signature.name](*(inputs[name] for name in signature.inputs))
        except tf.errors.OpError as error:
            raise ServingError(_CODES.get(error.error_code, grpc.StatusCode.UNKNOWN), str(error.message)) from error
        except UnicodeDecodeError as error:
            # TensorFlow's message quotes bytes of the request that are not UTF-8.
            raise ServingError(
                grpc.StatusCode.INVALID_ARGUMENT, bytes(error.object).decode(errors="backslashreplace")
            ) from error
        return {name: _array(value) for name, value in zip(signature.outputs, values, strict=True)}

    def close(self) -> None:
        """Frees the memory at once."""
        self._calls.clear()
        sessions.close(self._session)
        del self._session

    def _callable(self, found: Signatures) -> Signatures:
        """Creates the callables; signatures for which TensorFlow fails are refused."""
        refused = dict(found.refused)
        for name, signature in found.there.items():
            try:
                self._calls[name] = self._call(signature)
            except tf.errors.OpError as error:
                if custom_op_loading.missing(error):
                    raise
                refused[name] = str(error.message)
        return Signatures({name: found.there[name] for name in self._calls}, refused)

    def _call(self, signature: Signature) -> Any:
        """A callable that takes a signature's inputs."""
        feeds = [info.tensor for info in signature.inputs.values()]
        return sessions.make_callable(self._session, feeds, [info.tensor for info in signature.outputs.values()])


def _array(value: Any) -> np.ndarray:
    """An output as an array; TensorFlow returns a scalar string as bytes."""
    if type(value) is not bytes:
        return value  # type: ignore[no-any-return]
    array: np.ndarray = np.empty((), object)
    array[()] = value
    return array


def _failed_load(error: Exception) -> ServingError:
    if missing := custom_op_loading.missing(error):
        return ServingError(grpc.StatusCode.NOT_FOUND, missing[0].upper() + missing[1:])
    if isinstance(error, tf.errors.OpError):
        return ServingError(_CODES.get(error.error_code, grpc.StatusCode.UNKNOWN), str(error.message))
    # Corrupt protos, missing assets, unknown tags: the Python loader raises many types.
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, f"{type(error).__name__}: {error}")
