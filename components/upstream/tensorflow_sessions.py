"""SavedModels in sessions: by TensorFlow's private API, which is faster, or by the public one if a name is missing.

Both give the same answers. With the private API, loading does not block all other threads for long, calls avoid the
overhead of `Session.run`, and the graph's memory is freed at once.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

VERSION = "2.21.0"

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_NO_SHAPES = "_disable_call_shape_inference"
"""The attribute of a call that turns off shape inference inside the function (shape_refiner.cc)."""

_FEW = 4
"""Functions to import at a time, which takes about half a millisecond."""

_MISSING = (AttributeError, ImportError)
_log = logging.getLogger(__name__)

_Load = Callable[[tf.compat.v1.Session, Path, list[str]], meta_graph_pb2.MetaGraphDef]


def load(
    folder: Path, tags: Sequence[str], config: config_pb2.ConfigProto
) -> tuple[tf.compat.v1.Session, meta_graph_pb2.MetaGraphDef]:
    """Loads a SavedModel into a new session.

    Raises:
        Exception: Any of TensorFlow's exceptions; the session is closed first.
    """
    try:
        return _loaded(_load_in_steps, folder, list(tags), config)
    except _MISSING as error:
        found = _loaded(_load_at_once, folder, list(tags), config)
        _log.warning("loaded by TensorFlow's public loader, which is slower: TensorFlow %s: %s", tf.__version__, error)
        return found


def make_callable(
    session: tf.compat.v1.Session, feeds: Sequence[str], fetches: Sequence[str]
) -> Callable[..., list[Any]]:
    """A function that computes the fetched tensors from the values of the fed ones.

    The private API prunes the graph now, so that no request has to wait for it.
    """
    options = config_pb2.CallableOptions(
        feed=feeds,
        fetch=fetches,
        # In the calling thread: handing small operations to TensorFlow's threads takes longer than running them.
        run_options=config_pb2.RunOptions(inter_op_thread_pool=-1),
    )
    try:
        # The public `Session.make_callable` feeds through `Session.run`, which takes twice as long.
        called: Callable[..., list[Any]] = session._make_callable_from_options(options)
    except AttributeError:
        return _publicly_callable(session, feeds, fetches)
    return called


def close(session: tf.compat.v1.Session) -> None:
    """Closes a session and frees its graph now: breaks reference cycles, so that no garbage collection is needed."""
    session.close()
    with contextlib.suppress(*_MISSING):
        from tensorflow.python.framework.ops import dismantle_graph

        dismantle_graph(session.graph)
        # Release the graph before the session: the session then deletes it without holding the GIL. If the graph were
        # released last, it would be deleted with the GIL held.
        session._graph = None


def _loaded(
    read: _Load, folder: Path, tags: list[str], config: config_pb2.ConfigProto
) -> tuple[tf.compat.v1.Session, meta_graph_pb2.MetaGraphDef]:
    session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
    try:
        with session.graph.as_default():
            return session, read(session, folder, tags)
    except BaseException:
        close(session)
        raise


def _load_at_once(session: tf.compat.v1.Session, folder: Path, tags: list[str]) -> meta_graph_pb2.MetaGraphDef:
    return tf.compat.v1.saved_model.load(session, tags, str(folder))


def _load_in_steps(session: tf.compat.v1.Session, folder: Path, tags: list[str]) -> meta_graph_pb2.MetaGraphDef:
    """Does what the public loader does, but imports the graph without the shapes inside functions.

    TensorFlow holds the GIL during the import and blocks all requests; two thirds of that time is for these shapes.
    They are not needed: the shapes of inputs and outputs are in the signatures.
    """
    from tensorflow.python.saved_model.loader_impl import SavedModelLoader

    loader = SavedModelLoader(str(folder))
    meta_graph = loader.get_meta_graph_def_from_tags(tags)
    calls = [node for node in meta_graph.graph_def.node if node.op in _CALLS]
    for node in calls:
        node.attr[_NO_SHAPES].b = True
    _import_functions(session.graph, meta_graph.graph_def)
    saver, _ = loader.load_graph(session.graph, tags)
    for node in calls:
        # TensorFlow's optimizer needs the shapes; the session runs it later, without the GIL.
        session.graph.get_operation_by_name(node.name)._clear_attr(_NO_SHAPES)
    loader.restore_variables(session, saver)
    loader.run_init_ops(session, tags)
    return meta_graph


def _import_functions(graph: tf.Graph, graph_def: graph_pb2.GraphDef) -> None:
    """Moves the functions of a graph_def into the graph, a few at a time.

    Other threads get the GIL in between. `import_graph_def` would also create a Python object for each function, and
    creating and freeing these takes longer than the import.
    """
    from tensorflow.python.client import pywrap_tf_session as c_api
    from tensorflow.python.framework import c_api_util

    functions = list(graph_def.library.function)
    del graph_def.library.function[:]
    options = c_api_util.ScopedTFImportGraphDefOptions()
    for start in range(0, len(functions), _FEW):
        few = graph_pb2.GraphDef(versions=graph_def.versions)
        few.library.function.extend(functions[start : start + _FEW])
        with graph._c_graph.get() as c_graph, c_api_util.tf_buffer(few.SerializeToString()) as buffer:
            results = c_api.TF_GraphImportGraphDefWithResults(c_graph, buffer, options.options)
            c_api.TF_DeleteImportGraphDefResults(results)


def _publicly_callable(
    session: tf.compat.v1.Session, feeds: Sequence[str], fetches: Sequence[str]
) -> Callable[..., list[Any]]:
    run = session.make_callable(list(fetches), list(feeds))

    def call(*values: Any) -> list[Any]:
        try:
            return list(run(*values))
        except UnicodeDecodeError:
            raise
        except (TypeError, ValueError) as error:
            # `Session.run` rejects some values itself; TensorFlow rejects them with this code.
            raise tf.errors.InvalidArgumentError(None, None, str(error)) from error

    return call
