"""The stages as Kubeflow container components: what pipelines are written with.

Each is made from its stage's function: same inputs, outputs, defaults and docstring. An artifact's TFX type and a
parameter's role stand in brackets before its description, `[Examples] ...`: Kubeflow knows `system.*` types only,
and runners and checks read them from the compiled pipeline.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docstring_parser
from kfp import compiler, dsl, kubernetes
from kfp.dsl.container_component_class import ContainerComponent

import components
from components import __version__
from components.baseline.stage import baseline
from components.contract.signature import Port, ports
from components.evaluator.stage import evaluator
from components.example_gen.stage import example_gen
from components.example_validator.stage import example_validator
from components.infra_validator.stage import infra_validator
from components.pusher.stage import pusher
from components.schema_gen.stage import schema_gen
from components.statistics_gen.stage import statistics_gen
from components.trainer.stage import trainer
from components.transform.stage import transform

IMAGE = os.environ.get("TAXIWAY_STAGE_IMAGE", f"taxiway-{{kind}}:{__version__}")
"""The stages' images; `{kind}` stands for `data`, `train` or `serve`: targets in docker/Dockerfile."""


class StageComponent(ContainerComponent):
    """A stage as a component whose tasks run as non-root.

    Pod Security's level `restricted` asks for it. Kubeflow itself forbids privilege escalation, drops all capabilities
    and sets the seccomp profile, but leaves the user to the image. Before 2.17 it passes the setting over.
    """

    def __call__(self, *arguments: Any, **named: Any) -> dsl.PipelineTask:
        """A task of the pipeline that is being built."""
        return kubernetes.set_security_context(super().__call__(*arguments, **named), run_as_non_root=True)


def container_component(stage: Callable[..., Any], kind: str) -> ContainerComponent:
    """The Kubeflow component of a stage, in the image of a kind of work."""
    interface = ports(stage)

    def container(*_: Any) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=IMAGE.replace("{kind}", kind),
            command=["python", "-m", "components", stage.__name__],
            args=["--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
        )

    container.__name__ = stage.__name__
    container.__doc__ = _described(stage.__doc__ or "", interface)
    container.__signature__ = inspect.Signature([_parameter(port) for port in interface])  # type: ignore[attr-defined]
    container.__annotations__ = {port.name: _annotation(port) for port in interface}
    return StageComponent(dsl.container_component(container).component_spec, container)


def _parameter(port: Port) -> inspect.Parameter:
    return inspect.Parameter(
        port.name, inspect.Parameter.KEYWORD_ONLY, default=port.default, annotation=_annotation(port)
    )


def _annotation(port: Port) -> Any:
    if port.direction == "output":
        return dsl.Output[_kfp_type(port)] if port.kind else dsl.OutputPath(port.type)
    return dsl.Input[_kfp_type(port)] if port.kind else port.type


def _kfp_type(port: Port) -> Any:
    assert port.kind
    return getattr(dsl, port.kind.schema_title.removeprefix("system."))


def _described(doc: str, interface: list[Port]) -> str:
    """The docstring as kfp reads it: outputs under Returns, and each port's type or role before its description."""
    parsed = docstring_parser.parse(doc)
    described = {param.arg_name: " ".join((param.description or "").split()) for param in parsed.params}
    lines = {"input": ["Args:"], "output": ["Returns:"]}
    for port in interface:
        mark = port.kind.__name__ if port.kind else port.role
        lines[port.direction].append(f"    {port.name}: {f'[{mark}] ' if mark else ''}{described.get(port.name, '')}")
    return "\n".join([parsed.short_description or "", "", *lines["input"], "", *lines["output"]])


ExampleGen = container_component(example_gen, "data")
StatisticsGen = container_component(statistics_gen, "data")
SchemaGen = container_component(schema_gen, "data")
ExampleValidator = container_component(example_validator, "data")
Transform = container_component(transform, "train")
Trainer = container_component(trainer, "train")
Baseline = container_component(baseline, "serve")
Evaluator = container_component(evaluator, "train")
InfraValidator = container_component(infra_validator, "train")
Pusher = container_component(pusher, "serve")


def write_component_files() -> None:
    """Writes `components/<stage>/component.yaml` for every stage: what other projects load."""
    for component in all_components():
        compiler.Compiler().compile(component, str(component_file(component)))


def component_file(component: ContainerComponent) -> Path:
    """Where a stage's compiled component lies."""
    stage: str = component.component_spec.name.replace("-", "_")
    return Path(components.__file__).parent / stage / "component.yaml"


def all_components() -> list[ContainerComponent]:
    """Every stage's component."""
    return [value for value in globals().values() if isinstance(value, ContainerComponent)]


if __name__ == "__main__":
    write_component_files()
