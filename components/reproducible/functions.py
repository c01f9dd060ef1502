"""Makes the names and the node order inside a SavedModel's functions depend on the model only."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from tensorflow.core.framework import function_pb2, node_def_pb2

_NUMBERED_TABLE = re.compile(r"(?<=^key_value_init)[0-9]+")
_NUMBERED = re.compile(r"_[0-9]+(?=_|$)")
_COLOCATED, _AT = "_class", b"loc:@"


def settle(meta_graph: Any) -> None:
    """Renames and sorts the nodes, inputs and outputs of the functions in a graph."""
    library = meta_graph.graph_def.library
    concrete = meta_graph.object_graph_def.concrete_functions
    called = {node.op for node in nodes(meta_graph)}
    for function in library.function:
        name, inputs = function.signature.name, len(function.signature.input_arg)
        _rename_nodes(function)
        _rename_inputs(function, inputs - len(concrete[name].bound_inputs) if name in concrete else 0)
        if name not in called:
            _rename_outputs(function)
        _order_nodes(function)
    _renumber_colocations(library.function)


def nodes(meta_graph: Any) -> Iterator[node_def_pb2.NodeDef]:
    """The nodes of a graph and its functions."""
    yield from meta_graph.graph_def.node
    for function in meta_graph.graph_def.library.function:
        yield from function.node_def


def _rename_nodes(function: function_pb2.FunctionDef) -> None:
    new = {node.name: _NUMBERED_TABLE.sub("", node.name) for node in function.node_def}
    if len(set(new.values())) == len(new):
        for node in function.node_def:
            node.name = new[node.name]
        _rename_sources(function, new)
        _rename_control_outputs(function, new)


def _rename_inputs(function: function_pb2.FunctionDef, named: int) -> None:
    """Renames inputs by position unless callers use their names: a concrete function's captures, all inner inputs."""
    inputs = [each.name for each in function.signature.input_arg]
    taken = {*inputs, *(node.name for node in function.node_def)}
    new = {old: _free(f"input_{place}", taken) for place, old in enumerate(inputs) if place >= named}
    for place in range(named, len(inputs)):
        function.signature.input_arg[place].name = new[inputs[place]]
        if place in function.arg_attr:
            function.arg_attr[place].attr.pop("_user_specified_name", None)
    _rename_sources(function, new)


def _rename_sources(function: function_pb2.FunctionDef, new: Mapping[str, str]) -> None:
    """Applies the new names of nodes and inputs wherever a function refers to them."""
    for node in function.node_def:
        node.input[:] = [_renamed_source(name, new) for name in node.input]
        if _COLOCATED in node.attr:
            places = node.attr[_COLOCATED].list.s
            places[:] = [_renamed_place(place, new) for place in places]
    for returned in (function.ret, function.control_ret):
        for name, source in list(returned.items()):
            returned[name] = _renamed_source(source, new)


def _rename_control_outputs(function: function_pb2.FunctionDef, new: Mapping[str, str]) -> None:
    """Renames control outputs, which have the names of their nodes."""
    outputs = function.signature.control_output
    outputs[:] = [new.get(name, name) for name in outputs]
    for old in function.control_ret.keys() & new.keys() - {name for name in new if new[name] == name}:
        function.control_ret[new[old]] = function.control_ret.pop(old)


def _renamed_source(source: str, new: Mapping[str, str]) -> str:
    """`node:output:0`, `input` or `^node` with the new name."""
    mark = "^" if source.startswith("^") else ""
    name, colon, output = source.removeprefix("^").partition(":")
    return f"{mark}{new.get(name, name)}{colon}{output}"


def _renamed_place(place: bytes, new: Mapping[str, str]) -> bytes:
    name = place.removeprefix(_AT).decode()
    return _AT + new[name].encode() if name in new and place.startswith(_AT) else place


def _rename_outputs(function: function_pb2.FunctionDef) -> None:
    """Removes numbers from the names of outputs, which callers address by position."""
    taken = {each.name for each in function.signature.output_arg}
    for output in function.signature.output_arg:
        if _NUMBERED.search(output.name):
            old, output.name = output.name, _free(_NUMBERED.sub("", output.name), taken)
            taken.add(output.name)
            function.ret[output.name] = function.ret.pop(old)


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
    """The names of nodes in topological order, and in alphabetical order where that leaves a choice."""
    sources = {name: {_source(each) for each in nodes[name].input} & nodes.keys() for name in sorted(nodes)}
    sorter = graphlib.TopologicalSorter(sources)
    sorter.prepare()
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        yield from ready
        sorter.done(*ready)


def _source(name: str) -> str:
    return name.removeprefix("^").partition(":")[0]


def _renumber_colocations(functions: Iterable[function_pb2.FunctionDef]) -> None:
    """Renumbers colocation names: nodes on the same device share the name of a node or variable, which is numbered.

    Only which nodes share a name matters.
    """
    known: dict[bytes, bytes] = {}
    for function in functions:
        own = {_AT + node.name.encode() for node in function.node_def}
        for node in function.node_def:
            if _COLOCATED in node.attr:
                places = node.attr[_COLOCATED].list.s
                places[:] = [place if place in own else _renumbered(place, known) for place in places]


def _renumbered(place: bytes, known: dict[bytes, bytes]) -> bytes:
    stem, slash, number = place.rpartition(b"/")
    if slash and number.isdigit():
        return known.setdefault(place, b"%b/%d" % (stem, len(known)))
    return place
