"""SavedModels that are the same bytes whenever they are made from the same.

TensorFlow writes four things of the process that saves: numbers in the names of functions, of what they capture and of
datasets, counted since it started; names of lookup tables, made from paths or at random; a random number in the
fingerprint; and a function's nodes in the order in which a set of them was walked. The names have to be unique only,
and the nodes before those that take their outputs.
"""

from __future__ import annotations

import graphlib
import hashlib
import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import Message
from tensorflow.core.framework import attr_value_pb2, function_pb2, node_def_pb2, tensor_pb2, tensor_shape_pb2
from tensorflow.core.protobuf import fingerprint_pb2, saved_model_pb2
from tensorflow.python.saved_model import fingerprinting_utils

from components.digests import file_digests

_NUMBERED = re.compile(r"(.*[_-])(\d+)", re.DOTALL)
_RANDOM_TABLE = re.compile(rb"hash_table_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|^[0-9]+$")
_BEAM_FOLDER = rb"(?:/tftransform_tmp)?"
_DIGEST = b"\0digest"
_NUMBERED_TABLE = re.compile(r"(?<=^key_value_init)[0-9]+")
_NAMELESS = (tensor_pb2.TensorProto, tensor_shape_pb2.TensorShapeProto)


def _renumbered(names: Iterable[str], start: int = 0) -> dict[str, str]:
    """Names that end in a number, with the start and its rank in its stead."""
    matches = sorted(filter(None, map(_NUMBERED.fullmatch, set(names))), key=lambda match: (int(match[2]), match[1]))
    return {match[0]: f"{match[1]}{start + rank}" for rank, match in enumerate(matches)}


def _number(name: str) -> int:
    numbered = _NUMBERED.fullmatch(name)
    return int(numbered[2]) if numbered else -1


def _nodes(meta_graph: Any) -> Iterator[node_def_pb2.NodeDef]:
    yield from meta_graph.graph_def.node
    for function in meta_graph.graph_def.library.function:
        yield from function.node_def


def _tables(meta_graph: Any) -> Iterator[attr_value_pb2.AttrValue]:
    """The attributes that hold the names of shared resources."""
    return (node.attr["shared_name"] for node in _nodes(meta_graph) if "shared_name" in node.attr)


def _forget_names_of_datasets(meta_graph: Any) -> None:
    """Only the profiler knows datasets by name."""
    for node in _nodes(meta_graph):
        if "Dataset" in node.op:
            node.attr.pop("metadata", None)


def _path_of(folder: Path) -> re.Pattern[bytes]:
    return re.compile(re.escape(str(folder).encode()) + _BEAM_FOLDER)


def _shorten_paths(meta_graph: Any, folder: Path) -> None:
    """Takes a temporary folder out of constants: loaders put the asset itself in the place of its path."""
    for node in meta_graph.graph_def.node:
        if node.op == "Const" and (values := node.attr["value"].tensor.string_val):
            values[:] = [_path_of(folder).sub(tf.saved_model.ASSETS_DIRECTORY.encode(), value) for value in values]


def _stable_tables(names: Iterable[bytes], folder: Path) -> dict[bytes, bytes]:
    """Names made from paths in a temporary folder, or at random, with a place for a digest in their stead."""
    in_folder = _path_of(folder)
    found: dict[bytes, bytes] = {}
    for name in names:
        if name not in found:
            stable = _RANDOM_TABLE.sub(b"hash_table_%b_%d" % (_DIGEST, len(found)), name)
            found[name] = in_folder.sub(_DIGEST, stable)
    return found


def _rename(message: Message, new: Mapping[Any, Any]) -> None:
    """Replaces every string that is one of the names, keys of maps too."""
    for field, value in message.ListFields():
        if isinstance(value, str | bytes):
            if value in new:
                setattr(message, field.name, new[value])
        else:
            _rename_within(value, new)


def _rename_within(value: Any, new: Mapping[Any, Any]) -> None:
    if isinstance(value, Message):
        if not isinstance(value, _NAMELESS):
            _rename(value, new)
    elif isinstance(value, MutableMapping):
        _rename_entries(value, new)
    elif isinstance(value, MutableSequence):
        _rename_items(value, new)


def _rename_entries(found: MutableMapping[Any, Any], new: Mapping[Any, Any]) -> None:
    if any(isinstance(value, Message) for value in found.values()):
        for value in found.values():
            _rename_within(value, new)
        moved = {new[key]: _copy(found.pop(key)) for key in list(found) if key in new}
        for key, message in moved.items():
            found[key].CopyFrom(message)
    else:
        renamed = {new.get(key, key): new.get(value, value) for key, value in found.items()}
        found.clear()
        found.update(renamed)


def _copy(message: Any) -> Any:
    copied = type(message)()
    copied.CopyFrom(message)
    return copied


def _rename_items(found: MutableSequence[Any], new: Mapping[Any, Any]) -> None:
    if not isinstance(found[0], str | bytes):
        for part in found:
            _rename_within(part, new)
    elif any(item in new for item in found):
        found[:] = [new.get(item, item) for item in found]


def _renumber(meta_graph: Any, start: int = 0) -> None:
    library = meta_graph.graph_def.library
    new = _renumbered((function.signature.name for function in library.function), start)
    new |= _renumbered((gradient.registered_op_type for gradient in library.registered_gradients), start)
    _rename(meta_graph, new | {old.encode(): name.encode() for old, name in new.items()})


def _rename_in_functions(meta_graph: Any) -> None:
    concrete = meta_graph.object_graph_def.concrete_functions
    for function in meta_graph.graph_def.library.function:
        name, inputs = function.signature.name, len(function.signature.input_arg)
        _rename_inputs(function, inputs - len(concrete[name].bound_inputs) if name in concrete else 0)
        nodes = {node.name: _NUMBERED_TABLE.sub("", node.name) for node in function.node_def}
        if len(set(nodes.values())) == len(nodes):
            _rename(function, nodes | {f"^{old}": f"^{new}" for old, new in nodes.items()})


def _rename_inputs(function: function_pb2.FunctionDef, named: int) -> None:
    """Names by their place the inputs that no caller names: a concrete function's captures, all of an inner one."""
    inputs = [each.name for each in function.signature.input_arg]
    taken = {*inputs, *(node.name for node in function.node_def)}
    new = {old: _free(f"input_{place}", taken) for place, old in enumerate(inputs) if place >= named}
    _rename(function, new | {f"^{old}": f"^{name}" for old, name in new.items()})
    for place in range(named, len(inputs)):
        if place in function.arg_attr:
            function.arg_attr[place].attr.pop("_user_specified_name", None)


def _free(name: str, taken: Container[str]) -> str:
    return _free(f"{name}_", taken) if name in taken else name


def _order_nodes(function: function_pb2.FunctionDef) -> None:
    nodes = {node.name: node for node in function.node_def}
    for node in nodes.values():
        node.input.sort(key=lambda name: name if name.startswith("^") else "")
    try:
        names = list(_walk(nodes))
    except graphlib.CycleError:
        names = sorted(nodes)
    place = {name: number for number, name in enumerate(names)}
    function.node_def.sort(key=lambda node: place[node.name])
    function.signature.control_output.sort()


def _walk(nodes: Mapping[str, node_def_pb2.NodeDef]) -> Iterator[str]:
    """The names of nodes, each after those of its inputs, else as the alphabet has them."""
    sources = {name: {_source(each) for each in nodes[name].input} & nodes.keys() for name in sorted(nodes)}
    sorter = graphlib.TopologicalSorter(sources)
    sorter.prepare()
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        yield from ready
        sorter.done(*ready)


def _source(name: str) -> str:
    return name.removeprefix("^").partition(":")[0]


def make_reproducible(saved_model: Path, folder: Path) -> None:
    """Rewrites `saved_model.pb` and `fingerprint.pb` of a SavedModel so that they depend on the model only.

    Functions keep their order but are numbered from the digest of the whole model on, and a table's name has this
    digest where it had a temporary path or a random number: they stay unique in the model and among models.

    Args:
        saved_model: The SavedModel's folder.
        folder: The temporary folder that its assets were in when it was saved.
    """
    file = saved_model / tf.saved_model.SAVED_MODEL_FILENAME_PB
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    (meta_graph,) = model.meta_graphs
    meta_graph.graph_def.library.function.sort(key=lambda function: _number(function.signature.name))
    _shorten_paths(meta_graph, folder)
    _forget_names_of_datasets(meta_graph)
    _rename_in_functions(meta_graph)
    for function in meta_graph.graph_def.library.function:
        _order_nodes(function)
    _renumber(meta_graph)
    stable = _stable_tables((table.s for table in _tables(meta_graph)), folder)
    for table in _tables(meta_graph):
        table.s = stable[table.s]
    digest = _digest(model, saved_model)
    for table in _tables(meta_graph):
        table.s = table.s.replace(_DIGEST, digest[:16].encode())
    # Two graphs may be imported into one, where their functions must not have the same names.
    _renumber(meta_graph, int(digest[:13], 16))
    file.write_bytes(model.SerializeToString(deterministic=True))
    _write_fingerprint(saved_model, digest)


def _digest(model: saved_model_pb2.SavedModel, saved_model: Path) -> str:
    parts = (tf.saved_model.ASSETS_DIRECTORY, tf.saved_model.VARIABLES_DIRECTORY)
    files = [file_digests(saved_model / part) for part in parts]
    found = hashlib.sha256(model.SerializeToString(deterministic=True))
    found.update(json.dumps(files, sort_keys=True).encode())
    return found.hexdigest()


def _write_fingerprint(saved_model: Path, digest: str) -> None:
    fingerprinting_utils.write_fingerprint(str(saved_model))
    file = saved_model / "fingerprint.pb"
    fingerprint = fingerprint_pb2.FingerprintDef.FromString(file.read_bytes())
    # TensorFlow writes 128 bits as a decimal number.
    fingerprint.uuid = str(int(digest[:32], 16))
    file.write_bytes(fingerprint.SerializeToString(deterministic=True))
