"""What a SavedModel says of itself: its signatures, its variables and the size of its files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from components.contract.errors import DataError
from components.execution.pushed_models import SAVED_MODEL
from components.reports.readers.protos import saved_model_pb2, types_pb2

_SERVING = "serve"


@dataclass(frozen=True)
class Tensor:
    """An input or output: its name, its type, and its shape with `?` for any size."""

    name: str
    type: str
    shape: str


@dataclass(frozen=True)
class Signature:
    """What clients may call."""

    name: str
    method: str
    inputs: list[Tensor]
    outputs: list[Tensor]


@dataclass(frozen=True)
class Variable:
    """A variable: its name, its shape, and whether training changes it."""

    name: str
    shape: tuple[int, ...]
    is_trainable: bool

    @property
    def count(self) -> int:
        """The number of its values; 0 if a size is unknown."""
        return math.prod(self.shape) if all(size >= 0 for size in self.shape) else 0


@dataclass(frozen=True)
class SavedModel:
    """A SavedModel.

    Attributes:
        signatures: Its signatures.
        variables: Its variables; empty for one in the format of TensorFlow 1.
        tensorflow: The version of TensorFlow that saved it.
        bytes_by_part: The size of its graph, its variables and its assets.
    """

    signatures: list[Signature]
    variables: list[Variable]
    tensorflow: str
    bytes_by_part: dict[str, int]

    @property
    def parameters(self) -> int:
        """The number of values that training changes."""
        return sum(each.count for each in self.variables if each.is_trainable)


def read(folder: Path) -> SavedModel:
    """A SavedModel's folder.

    Raises:
        DataError: There is no SavedModel, or it is damaged.
    """
    file = folder / SAVED_MODEL
    try:
        parsed = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{folder} has no {SAVED_MODEL}", fix="make the trainer save a SavedModel there") from error
    except DecodeError as error:
        raise DataError(f"{file} is damaged: {error}", fix="run the trainer again") from error
    served = [graph for graph in parsed.meta_graphs if _SERVING in graph.meta_info_def.tags] or list(parsed.meta_graphs)
    if not served:
        raise DataError(f"{file} has no graph", fix="run the trainer again")
    graph = served[0]
    return SavedModel(
        signatures=list(_signatures(graph.signature_def)),
        variables=list(_variables(graph)),
        tensorflow=graph.meta_info_def.tensorflow_version,
        bytes_by_part=_sizes(folder),
    )


def _signatures(there: Mapping[str, Any]) -> Iterator[Signature]:
    for name in sorted(there):
        # TensorFlow's own begin so.
        if not name.startswith("__"):
            found = there[name]
            method = found.method_name.removeprefix("tensorflow/serving/")
            yield Signature(name, method, _tensors(found.inputs), _tensors(found.outputs))


def _tensors(infos: Mapping[str, Any]) -> list[Tensor]:
    return [Tensor(name, _type(infos[name].dtype), _shape(infos[name].tensor_shape)) for name in sorted(infos)]


def _type(dtype: int) -> str:
    known = dtype in types_pb2.DataType.values()
    return types_pb2.DataType.Name(dtype).removeprefix("DT_").lower() if known else "?"


def _shape(shape: Any) -> str:
    if shape.unknown_rank:
        return "any"
    sizes = ["?" if dim.size < 0 else str(dim.size) for dim in shape.dim]
    return f"[{', '.join(sizes)}]"


def _variables(graph: Any) -> Iterator[Variable]:
    for node in graph.object_graph_def.nodes:
        if node.WhichOneof("kind") == "variable":
            found = node.variable
            yield Variable(found.name, tuple(dim.size for dim in found.shape.dim), found.trainable)


def _sizes(folder: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            part = path.relative_to(folder).parts[0]
            name = "graph" if part.endswith(".pb") else part.removesuffix(".extra")
            sizes[name] = sizes.get(name, 0) + path.stat().st_size
    return sizes
