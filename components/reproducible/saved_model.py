"""Makes SavedModels byte-for-byte reproducible.

TensorFlow writes details of the process that saves: numbers, counted since its start, in the names of functions, their
captures and datasets; names of lookup tables and of interchangeable functions that contain paths, such numbers or
random values; a random number in the fingerprint; and a function's nodes in the iteration order of a set. But names
only have to be unique, and nodes only have to come before those that use their outputs.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import attr_value_pb2
from tensorflow.core.protobuf import fingerprint_pb2, meta_graph_pb2, saved_model_pb2

from components.contract import files
from components.contract.digests import file_digests
from components.reproducible import functions
from components.reproducible.renaming import rename
from components.upstream.tensorflow import write_fingerprint

_NUMBERED = re.compile(r"(.*[_-])(\d+)", re.DOTALL)
_INNER_NUMBER = re.compile(r"_\d+(?=_)")
_UUID = rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_RANDOM_NAME = re.compile(rb"(?:hash_table_|[a-z]+_(?=[0-9a-f]{8}-))%b|^[0-9]+$" % _UUID)
_COUNTED_TABLE = re.compile(rb"hash_table_.*/.*|.*_load_[0-9]+_[0-9]+|(?:.*_)?table_[0-9]+", re.DOTALL)
_BEAM_FOLDER = rb"(?:/tftransform_tmp)?"
_DIGEST = b"\0digest"
_ASSETS = "saved_model_assets"
_EQUIVALENCE = "api_implements"
"""Functions with the same value of this attribute are interchangeable."""
_GRADIENT = "_gradient_op_type"


class NotUnderstoodError(Exception):
    """The reason why a SavedModel is left unchanged."""


def make_reproducible(saved_model: Path, folder: Path | None = None) -> None:
    """Rewrites `saved_model.pb` and `fingerprint.pb` of a SavedModel so that they depend on the model only.

    Functions keep their order, but their numbers start at the digest of the whole model; in a table's name, this digest
    replaces a path or number. So names stay unique within a model and among models.

    Args:
        saved_model: The SavedModel's folder.
        folder: The temporary folder that contained its assets when it was saved.

    Raises:
        NotUnderstoodError: The file is not a SavedModel, or a name in it is ambiguous; it is left unchanged.
    """
    file = saved_model / tf.saved_model.SAVED_MODEL_FILENAME_PB
    model = _read(file)
    named: dict[bytes, bytes] = {}
    for meta_graph in model.meta_graphs:
        _settle(meta_graph, folder, named)
    digest = _digest(model, saved_model)
    for meta_graph in model.meta_graphs:
        for name in _shared_names(meta_graph):
            name.s = name.s.replace(_DIGEST, digest[:16].encode())
        # Two graphs may be imported into one, where their functions need different names.
        _renumber(meta_graph, int(digest[:13], 16))
    files.write(file, model.SerializeToString(deterministic=True))
    if (saved_model / "fingerprint.pb").exists():
        _write_fingerprint(saved_model, digest)


def settled_graph(graph_def: bytes) -> bytes:
    """A serialized GraphDef whose names and order depend on the graph only."""
    meta_graph = meta_graph_pb2.MetaGraphDef()
    meta_graph.graph_def.ParseFromString(graph_def)
    _settle(meta_graph, None, {})
    for name in _shared_names(meta_graph):
        name.s = name.s.replace(_DIGEST, b"")
    return meta_graph.graph_def.SerializeToString(deterministic=True)  # type: ignore[no-any-return]


def _read(file: Path) -> saved_model_pb2.SavedModel:
    try:
        return saved_model_pb2.SavedModel.FromString(file.read_bytes())
    except DecodeError as error:
        raise NotUnderstoodError(f"{file.name} is not a SavedModel: {error}") from error


def _settle(meta_graph: Any, folder: Path | None, named: dict[bytes, bytes]) -> None:
    meta_graph.graph_def.library.function.sort(key=lambda function: _order(function.signature.name))
    _shorten_paths(meta_graph, folder)
    _forget_names_of_datasets(meta_graph)
    functions.settle(meta_graph)
    _renumber(meta_graph)
    for node in functions.nodes(meta_graph):
        if "shared_name" in node.attr:
            _settle_name(node.attr["shared_name"], named, counted="Table" in node.op)
    for name in _names_of_equivalents(meta_graph):
        _settle_name(name, named)


def _settle_name(name: attr_value_pb2.AttrValue, named: dict[bytes, bytes], *, counted: bool = False) -> None:
    """Replaces a random or numbered name by one with a placeholder for a digest."""
    if name.s in named or _RANDOM_NAME.search(name.s) or (counted and _COUNTED_TABLE.fullmatch(name.s)):
        kind = b"hash_table" if counted or name.s.isdigit() else name.s.rpartition(b"_")[0]
        name.s = named.setdefault(name.s, b"%b_%b_%d" % (kind, _DIGEST, len(named)))


def _shared_names(meta_graph: Any) -> Iterator[attr_value_pb2.AttrValue]:
    yield from (node.attr["shared_name"] for node in functions.nodes(meta_graph) if "shared_name" in node.attr)
    yield from _names_of_equivalents(meta_graph)


def _names_of_equivalents(meta_graph: Any) -> Iterator[attr_value_pb2.AttrValue]:
    holders = [*meta_graph.graph_def.library.function, *functions.nodes(meta_graph)]
    return (holder.attr[_EQUIVALENCE] for holder in holders if _EQUIVALENCE in holder.attr)


def _renumbered(names: Iterable[str], start: int = 0) -> dict[str, str]:
    """New names for those that end in a number: the number becomes `start` plus its rank; inner numbers are removed."""
    numbered = sorted(filter(_NUMBERED.fullmatch, set(names)), key=_order)
    return {name: f"{_order(name)[1]}{start + rank}" for rank, name in enumerate(numbered)}


def _order(name: str) -> tuple[int, str]:
    """A name's final number, which counts objects in the process, and the part before it."""
    numbered = _NUMBERED.fullmatch(name)
    return (int(numbered[2]), _INNER_NUMBER.sub("", numbered[1])) if numbered else (-1, name)


def _renumber(meta_graph: Any, start: int = 0) -> None:
    library = meta_graph.graph_def.library
    new = _renumbered((function.signature.name for function in library.function), start)
    new |= _renumbered(_gradients(meta_graph), start)
    _require_one_meaning(meta_graph, new)
    rename(meta_graph, new | {old.encode(): name.encode() for old, name in new.items()})


def _gradients(meta_graph: Any) -> Iterator[str]:
    """The names of custom gradients: registered with the functions, or named by nodes alone."""
    yield from (gradient.registered_op_type for gradient in meta_graph.graph_def.library.registered_gradients)
    named = (node.attr[_GRADIENT].s.decode() for node in functions.nodes(meta_graph) if _GRADIENT in node.attr)
    yield from (name for name in named if name.startswith("CustomGradient-"))


def _require_one_meaning(meta_graph: Any, names: Iterable[str]) -> None:
    """Refuses other objects with the name of a function, because names are replaced everywhere."""
    others = {node.name for node in functions.nodes(meta_graph)} | {*meta_graph.signature_def}
    others |= {child.local_name for node in meta_graph.object_graph_def.nodes for child in node.children}
    if both := sorted(others & set(names)):
        raise NotUnderstoodError(f"{both[0]!r} is the name of both a function and another object")


def _forget_names_of_datasets(meta_graph: Any) -> None:
    """Removes the names of datasets, which only the profiler uses."""
    for node in functions.nodes(meta_graph):
        if "Dataset" in node.op:
            node.attr.pop("metadata", None)


def _shorten_paths(meta_graph: Any, folder: Path | None) -> None:
    """Removes paths from constants that stand for assets: loaders replace them with the asset's own path."""
    nodes = {node.name: node for node in meta_graph.graph_def.node if node.op == "Const"}
    for asset in _assets(meta_graph):
        if node := nodes.get(asset.tensor_info.name.partition(":")[0]):
            node.attr["value"].tensor.string_val[:] = [f"{tf.saved_model.ASSETS_DIRECTORY}/{asset.filename}".encode()]
    if folder:
        path = re.compile(re.escape(str(folder).encode()) + _BEAM_FOLDER)
        for values in filter(None, (node.attr["value"].tensor.string_val for node in nodes.values())):
            values[:] = [path.sub(tf.saved_model.ASSETS_DIRECTORY.encode(), value) for value in values]


def _assets(meta_graph: Any) -> Iterator[meta_graph_pb2.AssetFileDef]:
    """The assets of a graph; TensorFlow 1 stores them in a collection."""
    yield from meta_graph.asset_file_def
    if _ASSETS in meta_graph.collection_def:
        for packed in meta_graph.collection_def[_ASSETS].any_list.value:
            asset = meta_graph_pb2.AssetFileDef()
            if packed.Unpack(asset):
                yield asset


def _digest(model: saved_model_pb2.SavedModel, saved_model: Path) -> str:
    parts = (tf.saved_model.ASSETS_DIRECTORY, tf.saved_model.VARIABLES_DIRECTORY)
    files = [file_digests(saved_model / part) for part in parts]
    found = hashlib.sha256(model.SerializeToString(deterministic=True))
    found.update(json.dumps(files, sort_keys=True).encode())
    return found.hexdigest()


def _write_fingerprint(saved_model: Path, digest: str) -> None:
    write_fingerprint(str(saved_model))
    file = saved_model / "fingerprint.pb"
    fingerprint = fingerprint_pb2.FingerprintDef.FromString(file.read_bytes())
    # TensorFlow writes 128 bits as a decimal number.
    fingerprint.uuid = str(int(digest[:32], 16))
    file.write_bytes(fingerprint.SerializeToString(deterministic=True))
