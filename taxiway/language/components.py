"""The components of a compiled pipeline: the inputs and outputs of each, and its DAG or executor.

Source: kubeflow/pipelines, api/v2alpha1/pipeline_spec.proto, `ComponentSpec` and `DagSpec`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from components.contract.errors import UserError
from taxiway.language import placeholders, values
from taxiway.language.tasks import FromTask, Task
from taxiway.language.values import Json

_BRACKETED = re.compile(r"\[(?P<name>\w+)(?:: (?P<detail>\w+))?\]")


@dataclass(frozen=True, kw_only=True)
class ParameterSpec:
    """An input or output parameter of a component.

    Attributes:
        type: `STRING`, `NUMBER_INTEGER` and the like.
        role: The name in brackets before its description, such as `Module`; usually empty.
        detail: The text after the role: `run_fn` in `[Module: run_fn]`.
        is_optional: Whether it may be omitted.
        has_default: Whether the compiled pipeline has a default.
        default: The default, which may contain placeholders.
    """

    type: str
    role: str = ""
    detail: str = ""
    is_optional: bool = False
    has_default: bool = False
    default: Any = None

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> ParameterSpec:
        """Reads a parameter's definition."""
        role, detail = _bracketed(definition)
        return cls(
            type=definition.get("parameterType", ""),
            role=role,
            detail=detail,
            is_optional=bool(definition.get("isOptional")),
            has_default="defaultValue" in definition,
            default=definition.get("defaultValue"),
        )


@dataclass(frozen=True, kw_only=True)
class ArtifactSpec:
    """An input or output artifact of a component.

    Attributes:
        schema: Its type in Kubeflow's form, which the ExecutorInput contains.
        tfx_type: The type in brackets before its description, such as `Examples`; empty if there is none.
        is_optional: Whether it may be omitted.
        is_list: Whether it is a list of artifacts.
    """

    schema: Json
    tfx_type: str = ""
    is_optional: bool = False
    is_list: bool = False

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> ArtifactSpec:
        """Reads an artifact's definition."""
        return cls(
            schema=definition["artifactType"],
            tfx_type=_bracketed(definition)[0],
            is_optional=bool(definition.get("isOptional")),
            is_list=bool(definition.get("isArtifactList")),
        )


@dataclass(frozen=True)
class Ports:
    """The inputs or the outputs of a component.

    Attributes:
        parameters: The parameters by name.
        artifacts: The artifacts by name.
        written: The original definitions, for digests.
    """

    parameters: Mapping[str, ParameterSpec]
    artifacts: Mapping[str, ArtifactSpec]
    written: Json

    @classmethod
    def of(cls, definitions: Json) -> Ports:
        """Reads the definitions of a component's inputs or outputs."""
        parameters, artifacts = definitions.get("parameters", {}), definitions.get("artifacts", {})
        return cls(
            {name: ParameterSpec.of(definition) for name, definition in parameters.items()},
            {name: ArtifactSpec.of(definition) for name, definition in artifacts.items()},
            definitions,
        )


@dataclass(frozen=True)
class Dag:
    """Tasks that depend on each other.

    Attributes:
        tasks: The tasks, by name.
        parameters: For each output parameter, the task outputs that it may come from; the last one that exists is used.
        artifacts: For each output artifact, the task outputs that it consists of.
    """

    tasks: Mapping[str, Task]
    parameters: Mapping[str, tuple[FromTask, ...]]
    artifacts: Mapping[str, tuple[FromTask, ...]]

    @classmethod
    def of(cls, dag: Mapping[str, Any]) -> Dag:
        """Reads a component's DAG."""
        outputs = dag.get("outputs", {})
        return cls(
            {name: Task.of(task) for name, task in dag["tasks"].items()},
            {name: _parameter_sources(source) for name, source in outputs.get("parameters", {}).items()},
            {name: _artifact_sources(source) for name, source in outputs.get("artifacts", {}).items()},
        )

    def ordered(self) -> list[tuple[str, Task]]:
        """The tasks with their names, each after those that it depends on.

        Raises:
            UserError: Tasks wait for each other, or for a task that does not exist.
        """
        done = dict[str, Task]()

        def visit(name: str, waiting: tuple[str, ...]) -> None:
            if name in waiting:
                raise UserError(f"the task {name!r} waits for itself: {' after '.join([*waiting, name])}")
            if name not in self.tasks:
                raise UserError(f"the task {waiting[-1]!r} waits for {name!r}, which does not exist")
            if name not in done:
                for other in self.tasks[name].dependencies:
                    visit(other, (*waiting, name))
                done[name] = self.tasks[name]

        for name in self.tasks:
            visit(name, ())
        return list(done.items())


@dataclass(frozen=True)
class Component:
    """What a task runs: see `DagComponent` and `ExecutorComponent`.

    Attributes:
        inputs: Its inputs.
        outputs: Its outputs.
    """

    inputs: Ports
    outputs: Ports

    @cached_property
    def defaults(self) -> Json:
        """The defaults of the input parameters, with placeholders."""
        return {name: each.default for name, each in self.inputs.parameters.items() if each.has_default}

    def with_defaults(self, given: Mapping[str, Any]) -> Json:
        """The input parameters: those given, in their declared types, and the defaults of the others.

        Raises:
            UserError: A value is not of its type.
        """
        return self.typed(self.defaults | dict(given))

    def typed(self, given: Mapping[str, Any]) -> Json:
        """Parameters in the declared types.

        Raises:
            UserError: A value is not of its type.
        """
        return {name: values.coerced(name, self._type(name), value) for name, value in given.items()}

    def taken(self, given: Mapping[str, Any]) -> Json:
        """The given parameters that the component declares, with strings where it declares strings."""
        return {name: value for name, value in self.with_texts(given).items() if name in self.inputs.parameters}

    def with_texts(self, given: Mapping[str, Any]) -> Json:
        """Converts parameters that are declared as strings; a loop's item, for example, may be a number."""
        return {
            name: placeholders.text(value) if self._type(name) == "STRING" else value for name, value in given.items()
        }

    def has(self, side: str, kind: str, name: str) -> bool:
        """Whether there is an input or output with this name.

        Args:
            side: `inputs` or `outputs`.
            kind: `parameters` or `artifacts`.
            name: The name.
        """
        ports = self.inputs if side == "inputs" else self.outputs
        return name in (ports.parameters if kind == "parameters" else ports.artifacts)

    def _type(self, name: str) -> str:
        return self.inputs.parameters[name].type if name in self.inputs.parameters else ""


@dataclass(frozen=True)
class DagComponent(Component):
    """A component of several tasks: a pipeline, a condition, a loop or an exit handler."""

    dag: Dag

    @classmethod
    def of(cls, component: Mapping[str, Any]) -> DagComponent:
        """Reads a component."""
        return cls(*_ports(component), Dag.of(component["dag"]))


@dataclass(frozen=True)
class ExecutorComponent(Component):
    """A component that an executor runs.

    Attributes:
        label: The executor's name in the compiled pipeline.
    """

    label: str

    @classmethod
    def of(cls, component: Mapping[str, Any]) -> ExecutorComponent:
        """Reads a component."""
        return cls(*_ports(component), component["executorLabel"])


def component_of(component: Mapping[str, Any]) -> DagComponent | ExecutorComponent:
    """Reads a component."""
    return DagComponent.of(component) if "dag" in component else ExecutorComponent.of(component)


def _ports(component: Mapping[str, Any]) -> tuple[Ports, Ports]:
    return Ports.of(component.get("inputDefinitions", {})), Ports.of(component.get("outputDefinitions", {}))


def _bracketed(definition: Mapping[str, Any]) -> tuple[str, str]:
    """The type or role in brackets before a description, and its detail: (`Examples`, ``), (`Module`, `run_fn`)."""
    found = _BRACKETED.match(definition.get("description") or "")
    return (found["name"], found["detail"] or "") if found else ("", "")


def _parameter_sources(source: Mapping[str, Any]) -> tuple[FromTask, ...]:
    selectors = source["valueFromOneof"]["parameterSelectors"] if "valueFromOneof" in source else None
    listed = [source["valueFromParameter"]] if selectors is None else selectors
    return tuple(FromTask(each["producerSubtask"], each["outputParameterKey"]) for each in listed)


def _artifact_sources(source: Mapping[str, Any]) -> tuple[FromTask, ...]:
    return tuple(FromTask(each["producerSubtask"], each["outputArtifactKey"]) for each in source["artifactSelectors"])
