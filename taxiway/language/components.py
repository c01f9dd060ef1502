"""The components of a compiled pipeline, read once: what each takes and gives, and its DAG or its executor.

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

_MARK = re.compile(r"\[(?P<name>\w+)(?:: (?P<detail>\w+))?\]")


@dataclass(frozen=True, kw_only=True)
class ParameterSpec:
    """A parameter that a component takes or gives.

    Attributes:
        type: `STRING`, `NUMBER_INTEGER` and the like.
        role: What stands in brackets before its description, such as `Module`; empty for most.
        detail: What follows the role there: `run_fn` in `[Module: run_fn]`.
        is_optional: Whether it may be left out.
        has_default: Whether the compiler wrote down a default.
        default: The default, placeholders and all.
    """

    type: str
    role: str = ""
    detail: str = ""
    is_optional: bool = False
    has_default: bool = False
    default: Any = None

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> ParameterSpec:
        """The parameter that a component has in the compiled pipeline."""
        role, detail = _mark(definition)
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
    """An artifact that a component takes or gives.

    Attributes:
        schema: Its type as Kubeflow has it, which goes into what the container is given.
        tfx_type: The type in brackets before its description, such as `Examples`; empty where there is none.
        is_optional: Whether it may be left out.
        is_list: Whether there are several of it.
    """

    schema: Json
    tfx_type: str = ""
    is_optional: bool = False
    is_list: bool = False

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> ArtifactSpec:
        """The artifact that a component has in the compiled pipeline."""
        return cls(
            schema=definition["artifactType"],
            tfx_type=_mark(definition)[0],
            is_optional=bool(definition.get("isOptional")),
            is_list=bool(definition.get("isArtifactList")),
        )


@dataclass(frozen=True)
class Ports:
    """What a component takes, or what it gives.

    Attributes:
        parameters: Its parameters, by name.
        artifacts: Its artifacts, by name.
        written: Both as the compiler wrote them, for digests.
    """

    parameters: Mapping[str, ParameterSpec]
    artifacts: Mapping[str, ArtifactSpec]
    written: Json

    @classmethod
    def of(cls, definitions: Json) -> Ports:
        """The ports that a component has in the compiled pipeline."""
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
        parameters: The outputs that each of its output parameters may come from; the last that is there counts.
        artifacts: The outputs that each of its output artifacts is made of.
    """

    tasks: Mapping[str, Task]
    parameters: Mapping[str, tuple[FromTask, ...]]
    artifacts: Mapping[str, tuple[FromTask, ...]]

    @classmethod
    def of(cls, dag: Mapping[str, Any]) -> Dag:
        """The DAG that a component has in the compiled pipeline."""
        outputs = dag.get("outputs", {})
        return cls(
            {name: Task.of(task) for name, task in dag["tasks"].items()},
            {name: _parameter_choices(source) for name, source in outputs.get("parameters", {}).items()},
            {name: _artifact_choices(source) for name, source in outputs.get("artifacts", {}).items()},
        )

    def ordered(self) -> list[tuple[str, Task]]:
        """The tasks with their names, each after those that it depends on.

        Raises:
            UserError: Tasks wait for each other, or for one that the DAG does not have.
        """
        done = dict[str, Task]()

        def visit(name: str, waiting: tuple[str, ...]) -> None:
            if name in waiting:
                raise UserError(f"the task {name!r} waits for itself: {' after '.join([*waiting, name])}")
            if name not in self.tasks:
                raise UserError(f"the task {waiting[-1]!r} waits for {name!r}, which is not there")
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
        inputs: What it takes.
        outputs: What it gives.
    """

    inputs: Ports
    outputs: Ports

    @cached_property
    def defaults(self) -> Json:
        """The defaults of the input parameters, as the compiler wrote them."""
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
        """What a container takes of the parameters given: those that are declared, texts as texts."""
        return {name: value for name, value in self.with_texts(given).items() if name in self.inputs.parameters}

    def with_texts(self, given: Mapping[str, Any]) -> Json:
        """Parameters, those that are declared to be strings as strings: a loop's item may be a number."""
        return {
            name: placeholders.text(value) if self._type(name) == "STRING" else value for name, value in given.items()
        }

    def has(self, side: str, kind: str, name: str) -> bool:
        """Whether there is an input or output of a name: `inputs` or `outputs`, `parameters` or `artifacts`."""
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
        """The component that a compiled pipeline has."""
        return cls(*_sides(component), Dag.of(component["dag"]))


@dataclass(frozen=True)
class ExecutorComponent(Component):
    """A component that an executor carries out.

    Attributes:
        label: The executor's name in the compiled pipeline.
    """

    label: str

    @classmethod
    def of(cls, component: Mapping[str, Any]) -> ExecutorComponent:
        """The component that a compiled pipeline has."""
        return cls(*_sides(component), component["executorLabel"])


def component_of(component: Mapping[str, Any]) -> DagComponent | ExecutorComponent:
    """The component that a compiled pipeline has."""
    return DagComponent.of(component) if "dag" in component else ExecutorComponent.of(component)


def _sides(component: Mapping[str, Any]) -> tuple[Ports, Ports]:
    return Ports.of(component.get("inputDefinitions", {})), Ports.of(component.get("outputDefinitions", {}))


def _mark(definition: Mapping[str, Any]) -> tuple[str, str]:
    """The type or role that stands in brackets before a description: (`Examples`, ``), (`Module`, `run_fn`)."""
    found = _MARK.match(definition.get("description") or "")
    return (found["name"], found["detail"] or "") if found else ("", "")


def _parameter_choices(source: Mapping[str, Any]) -> tuple[FromTask, ...]:
    selectors = source["valueFromOneof"]["parameterSelectors"] if "valueFromOneof" in source else None
    chosen = [source["valueFromParameter"]] if selectors is None else selectors
    return tuple(FromTask(each["producerSubtask"], each["outputParameterKey"]) for each in chosen)


def _artifact_choices(source: Mapping[str, Any]) -> tuple[FromTask, ...]:
    return tuple(FromTask(each["producerSubtask"], each["outputArtifactKey"]) for each in source["artifactSelectors"])
