"""The compiled pipeline: Kubeflow's PipelineSpec, IR 2.1.0.

Source: kubeflow/pipelines, api/v2alpha1/pipeline_spec.proto.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from components.contract import commands
from components.contract.errors import UserError
from components.execution.executor import CHANNEL
from taxiway.language import docstrings, values
from taxiway.language.components import DagComponent, ExecutorComponent, component_of
from taxiway.language.executors import Executor
from taxiway.language.platforms import Platform
from taxiway.language.tasks import FromParent, Task
from taxiway.language.values import Json

# kfp sorts the keys and indents lines inside of values, so the document starts here.
_START = "\ncomponents:\n"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Pipeline:
    """A compiled pipeline.

    Attributes:
        spec: The PipelineSpec.
        platform: Its PlatformSpec, with the settings for Kubernetes.
        sources: The files that it was compiled from, if known.
    """

    spec: Json
    platform: Json = field(default_factory=dict)
    sources: frozenset[Path] = field(default=frozenset(), compare=False)

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return str(self.spec["pipelineInfo"]["name"])

    @cached_property
    def root(self) -> DagComponent:
        """The outermost component."""
        return DagComponent.of(self.spec["root"])

    @cached_property
    def components(self) -> Mapping[str, DagComponent | ExecutorComponent]:
        """All other components, by name."""
        return {name: component_of(each) for name, each in self.spec["components"].items()}

    @cached_property
    def executors(self) -> Mapping[str, Executor]:
        """The executors by label."""
        return {label: Executor.of(each) for label, each in self.spec["deploymentSpec"]["executors"].items()}

    def component(self, task: Task) -> DagComponent | ExecutorComponent:
        """The component that a task runs."""
        return self.components[task.component]

    def executor(self, component: ExecutorComponent) -> Executor:
        """The executor of a component."""
        return self.executors[component.label]

    @cached_property
    def platforms(self) -> Mapping[str, Platform]:
        """The Kubernetes settings of executors' pods, by label."""
        kubernetes = self.platform.get("platforms", {}).get("kubernetes", {})
        executors = kubernetes.get("deploymentSpec", {}).get("executors", {})
        return {label: Platform.of(each) for label, each in executors.items()}

    def platform_of(self, component: ExecutorComponent) -> Platform:
        """The Kubernetes settings of a component's pods."""
        return self.platforms.get(component.label, Platform())


@dataclass(frozen=True)
class Leaf:
    """A task that runs a container or importer, with its name in the run and its component."""

    name: str
    task: Task
    component: ExecutorComponent


def read_documents(path: Path) -> list[Any]:
    """The documents of a YAML or JSON file.

    Raises:
        UserError: The file is missing, or is not YAML.
    """
    try:
        return list(yaml.load_all(with_whole_header(path.read_text()), _Loader))
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} is not YAML: {error}") from error


def with_whole_header(text: str) -> str:
    """Repairs the header of comments in a compiled pipeline's text.

    kfp writes the defaults of parameters into it unchanged, so that further lines of a default are not comments, and
    control characters make the YAML invalid.
    """
    header, start, document = text.rpartition(_START)
    if not header.startswith("# PIPELINE DEFINITION"):
        return text
    lines = ["".join(filter(str.isprintable, line)) for line in header.split("\n")]
    return "\n".join(line if line.startswith("#") else f"#      {line}" for line in lines) + start + document


def is_component(documents: list[Any]) -> bool:
    """Whether a file contains a component, which kfp must compile first."""
    return bool(documents) and isinstance(documents[0], dict) and "implementation" in documents[0]


def read(path: Path) -> Pipeline:
    """Reads a compiled pipeline.

    Raises:
        UserError: The file is missing, or is not a pipeline of IR 2.1.0.
    """
    return from_documents(read_documents(path), path)


def from_documents(documents: list[Any], path: Path) -> Pipeline:
    """The pipeline in a file's documents.

    Raises:
        UserError: They are not a pipeline of IR 2.1.0.
    """
    spec = documents[0] if documents else None
    if not isinstance(spec, dict) or not {"pipelineInfo", "root", "components", "deploymentSpec"} <= spec.keys():
        raise UserError(
            f"{path} is not a compiled pipeline",
            fix=f"make one with: {commands.typed('taxiway compile PIPELINE -o FILE')}",
        )
    if spec.get("schemaVersion") != "2.1.0":
        raise UserError(
            f"{path} has the IR version {spec.get('schemaVersion')!r}; open-source Kubeflow requires 2.1.0",
            fix="compile it with kfp 2",
        )
    docstrings.complete(spec)
    return Pipeline(spec, documents[1] if len(documents) > 1 else {})


def inlined_modules(pipeline: Pipeline) -> set[str]:
    """The source of the user's modules that stages get as `--modules` (`components.user_code.user_modules.packed`)."""
    return set().union(*(executor.modules for executor in pipeline.executors.values()))


def inherited(task: Task, outer: Mapping[str, Any]) -> Json:
    """The outer parameters that the tasks in a condition, loop or exit handler may use without declaring them.

    The compiler does not declare every parameter that a placeholder refers to, for example in nested loops.
    """
    if not task.is_group:
        return {}
    return {name if name.startswith(CHANNEL) else CHANNEL + name: value for name, value in outer.items()}


def child_name(prefix: str, name: str, task: Task, index: int | None = None) -> str:
    """The prefix of the names of the tasks inside a DAG: a sub-pipeline adds its name, a loop adds the index."""
    inner = prefix if task.is_group else f"{prefix}{name}/"
    return inner if index is None else f"{inner.removesuffix('/')}[{index}]/" if inner else f"[{index}]/"


def leaves(pipeline: Pipeline) -> list[Leaf]:
    """Every container and importer task in topological order; those in loops are listed once."""
    return list(_leaves(pipeline, pipeline.root, "", ()))


def _leaves(pipeline: Pipeline, component: DagComponent, prefix: str, around: tuple[str, ...]) -> Iterator[Leaf]:
    for name, task in component.dag.ordered():
        inner = pipeline.component(task)
        if task.component in around:
            raise UserError(f"{prefix}{name}: the component {task.component!r} contains itself")
        if isinstance(inner, DagComponent):
            yield from _leaves(pipeline, inner, child_name(prefix, name, task), (*around, task.component))
        else:
            yield Leaf(prefix + name, task, inner)


def source_parameter(pipeline: Pipeline, task: Task, name: str) -> str:
    """The pipeline parameter that a task's parameter comes from; empty if it comes from elsewhere."""
    source = task.parameters.get(name)
    # Conditions and loops pass parameters on with this prefix.
    found = source.name.removeprefix(CHANNEL) if isinstance(source, FromParent) else ""
    return found if found in pipeline.root.inputs.parameters else ""


def pipeline_parameters(pipeline: Pipeline, given: Mapping[str, Any]) -> Json:
    """The pipeline's parameters for a run; strings are parsed as the declared types.

    Raises:
        UserError: A parameter is unknown, missing, or has the wrong type.
    """
    definitions = pipeline.root.inputs.parameters
    for name in given:
        if name not in definitions:
            near = difflib.get_close_matches(name, definitions, n=1)
            known = ", ".join(definitions) or "none"
            raise UserError(
                f"the pipeline {pipeline.name} has no parameter {name!r}",
                fix=f"did you mean {near[0]!r}?" if near else f"its parameters are: {known}",
            )
    read = {name: values.from_text(name, definitions[name].type, value) for name, value in given.items()}
    found = pipeline.root.with_defaults(read)
    for name in (name for name, each in pipeline.root.inputs.artifacts.items() if not each.is_optional):
        raise UserError(
            f"the pipeline {pipeline.name} needs the artifact {name!r}, but a run takes parameters only",
            fix="use it in a pipeline that produces the artifact, or imports it with dsl.importer",
        )
    missing = [name for name, each in definitions.items() if name not in found and not each.is_optional]
    if missing:
        raise UserError(f"the parameter {missing[0]!r} has no value", fix=f"give one with --param {missing[0]}=...")
    return found
