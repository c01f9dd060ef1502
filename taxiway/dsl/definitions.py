"""The stages as Kubeflow container components: what pipelines are written with.

Each is made from its stage's function: same inputs, outputs, defaults and docstring. An artifact's TFX type and a
parameter's role stand in brackets before its description, `[Examples] ...`: Kubeflow knows `system.*` types only,
and runners and checks read them from the compiled pipeline.
"""

from __future__ import annotations

import functools
import inspect
import os
from pathlib import Path
from typing import Any

import docstring_parser
from kfp import compiler, dsl, kubernetes
from kfp.dsl.container_component_class import ContainerComponent

import components
from components import __version__
from components.contract.declaration import Stage
from components.contract.signature import Port
from components.execution import stages

_IMAGE = os.environ.get("TAXIWAY_STAGE_IMAGE", f"taxiway-{{kind}}:{__version__}")


def image(kind: str) -> str:
    """The name of the image of a kind of work, a target of docker/Dockerfile; TAXIWAY_STAGE_IMAGE may name others."""
    return _IMAGE.replace("{kind}", kind)


class StageComponent(ContainerComponent):
    """A stage as a component whose tasks run as non-root.

    Pod Security's level `restricted` requires it. Kubeflow itself forbids privilege escalation, drops all capabilities
    and sets the seccomp profile, but leaves the user to the image. Versions before 2.17 ignore the setting.
    """

    always_runs = False

    def __call__(self, *arguments: Any, **named: Any) -> dsl.PipelineTask:
        """A task of the pipeline that is being built."""
        task = kubernetes.set_security_context(super().__call__(*arguments, **named), run_as_non_root=True)
        return task.set_caching_options(False) if self.always_runs else task


@functools.cache
def component(stage: str) -> ContainerComponent:
    """The Kubeflow component of a stage, in its image."""
    return _container_component(stages.load(stage))


def _container_component(stage: Stage) -> ContainerComponent:
    interface = stage.ports

    def container(*_: Any) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=image(stage.image),
            command=["python", "-m", "components", stage.name],
            args=["--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
        )

    container.__name__ = stage.name
    container.__doc__ = _described(stage.function.__doc__ or "", interface)
    container.__signature__ = inspect.Signature([_parameter(port) for port in interface])  # type: ignore[attr-defined]
    container.__annotations__ = {port.name: _annotation(port) for port in interface}
    made = StageComponent(dsl.container_component(container).component_spec, container)
    made.always_runs = stage.always_runs
    return made


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
        lines[port.direction].append(
            f"    {port.name}: {f'[{mark}] ' if mark else ''}{described.get(port.name, port.description)}"
        )
    return "\n".join([parsed.short_description or "", "", *lines["input"], "", *lines["output"]])


def write_component_files() -> None:
    """Writes `components/<stage>/component.yaml` for every stage: what other projects load."""
    for stage in stages.names():
        compiler.Compiler().compile(component(stage), str(component_file(stage)))


def component_file(stage: str) -> Path:
    """The path of a stage's compiled component."""
    return Path(components.__file__).parent / stage / "component.yaml"


if __name__ == "__main__":
    write_component_files()
