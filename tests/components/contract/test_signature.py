from __future__ import annotations

from typing import Annotated, NamedTuple

from components.contract.artifacts import DataPath, Examples, Input, Model, Output, Role, Schema, TrainerModule
from components.contract.signature import REQUIRED, Port, ports


class Returned(NamedTuple):
    found: bool
    rate: float


def stage(
    examples: Input[Examples],
    model: Output[Model],
    path: DataPath,
    module: TrainerModule = "model.py",
    schema: Input[Schema] | None = None,
    steps: int = 3,
    rate: float = 0.5,
    name: str = "",
    fast: bool = False,
    splits: list[str] = ["train"],
    config: dict = {},
) -> Returned:
    raise NotImplementedError


def test_the_ports_of_a_signature() -> None:
    assert ports(stage) == [
        Port("examples", "input", kind=Examples),
        Port("model", "output", kind=Model),
        Port("path", "input", role=Role("Data")),
        Port("module", "input", role=Role("Module", "run_fn"), default="model.py"),
        Port("schema", "input", kind=Schema, default=None),
        Port("steps", "input", type=int, default=3),
        Port("rate", "input", type=float, default=0.5),
        Port("name", "input", default=""),
        Port("fast", "input", type=bool, default=False),
        Port("splits", "input", type=list, default=["train"]),
        Port("config", "input", type=dict, default={}),
        Port("found", "output", type=bool),
        Port("rate", "output", type=float),
    ]


def test_inputs_without_a_default_are_required() -> None:
    required = [port.name for port in ports(stage) if port.direction == "input" and port.required]
    assert required == ["examples", "path"]
    assert Port("a", "input", default=None).required is False
    assert Port("a", "input").default is REQUIRED


def test_a_stage_without_return_type_has_no_output_parameters() -> None:
    def quiet(model: Output[Model], other: Annotated[str, Role("File")] = "") -> None: ...

    assert ports(quiet) == [
        Port("model", "output", kind=Model),
        Port("other", "input", role=Role("File"), default=""),
    ]


def test_annotations_may_be_strings() -> None:
    assert str(Role("Module", "run_fn")) == "Module: run_fn"
    assert str(Role("Data")) == "Data"
