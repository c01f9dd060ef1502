"""The compiled pipeline (Kubeflow's PipelineSpec, IR 2.1.0) as runners and checks read it.

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

# Keys are sorted, and lines inside of a value are indented.
_START = "\ncomponents:\n"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Pipeline:
    """A compiled pipeline.

    Attributes:
        spec: The PipelineSpec.
        platform: What it says for one platform, such as Kubernetes.
        sources: The files that it came from, as far as they are known.
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
        """The components inside of it, by name."""
        return {name: component_of(each) for name, each in self.spec["components"].items()}

    @cached_property
    def executors(self) -> Mapping[str, Executor]:
        """The executors of its components, by label."""
        return {label: Executor.of(each) for label, each in self.spec["deploymentSpec"]["executors"].items()}

    def component(self, task: Task) -> DagComponent | ExecutorComponent:
        """The component that a task runs."""
        return self.components[task.component]

    def executor(self, component: ExecutorComponent) -> Executor:
        """What carries out a component that is no DAG."""
        return self.executors[component.label]

    @cached_property
    def platforms(self) -> Mapping[str, Platform]:
        """What Kubernetes is to add to the pods of executors, by label."""
        kubernetes = self.platform.get("platforms", {}).get("kubernetes", {})
        executors = kubernetes.get("deploymentSpec", {}).get("executors", {})
        return {label: Platform.of(each) for label, each in executors.items()}

    def platform_of(self, component: ExecutorComponent) -> Platform:
        """What Kubernetes is to add to the pods of a component that is no DAG."""
        return self.platforms.get(component.label, Platform())


@dataclass(frozen=True)
class Leaf:
    """A task that runs a container or imports an artifact: its name in the run, and where it stands."""

    name: str
    task: Task
    component: ExecutorComponent


def read_documents(path: Path) -> list[Any]:
    """The documents of a YAML or JSON file.

    Raises:
        UserError: The file is missing, or is neither.
    """
    try:
        return list(yaml.load_all(with_whole_header(path.read_text()), _Loader))
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} is no YAML: {error}") from error


def with_whole_header(text: str) -> str:
    """A compiled pipeline's text with its header of comments whole.

    kfp writes the defaults of parameters into it as they are: a second line is no comment, and YAML takes no control
    characters.
    """
    header, start, document = text.rpartition(_START)
    if not header.startswith("# PIPELINE DEFINITION"):
        return text
    lines = ["".join(filter(str.isprintable, line)) for line in header.split("\n")]
    return "\n".join(line if line.startswith("#") else f"#      {line}" for line in lines) + start + document


def is_component(documents: list[Any]) -> bool:
    """Whether a file holds a component that kfp has to make IR of."""
    return bool(documents) and isinstance(documents[0], dict) and "implementation" in documents[0]


def read(path: Path) -> Pipeline:
    """Reads a compiled pipeline.

    Raises:
        UserError: The file is missing, or is no pipeline of IR 2.1.0.
    """
    return from_documents(read_documents(path), path)


def from_documents(documents: list[Any], path: Path) -> Pipeline:
    """The pipeline that a file's documents are.

    Raises:
        UserError: They are no pipeline of IR 2.1.0.
    """
    spec = documents[0] if documents else None
    if not isinstance(spec, dict) or not {"pipelineInfo", "root", "components", "deploymentSpec"} <= spec.keys():
        raise UserError(
            f"{path} is no compiled pipeline",
            fix=f"make one with: {commands.typed('taxiway compile PIPELINE -o FILE')}",
        )
    if spec.get("schemaVersion") != "2.1.0":
        raise UserError(
            f"{path} has the IR version {spec.get('schemaVersion')!r}; open-source Kubeflow takes 2.1.0",
            fix="compile it with kfp 2",
        )
    docstrings.complete(spec)
    return Pipeline(spec, documents[1] if len(documents) > 1 else {})


def inlined_modules(pipeline: Pipeline) -> set[str]:
    """The source of the user's modules that stages get as `--modules` (`components.user_code.user_modules.packed`)."""
    return set().union(*(executor.modules for executor in pipeline.executors.values()))


def inherited(task: Task, outer: Mapping[str, Any]) -> Json:
    """What a condition, a loop or an exit handler has of the parameters around it without being given it.

    The compiler does not bring each one to where a placeholder names it, such as from one loop into another.
    """
    if not task.is_group:
        return {}
    return {name if name.startswith(CHANNEL) else CHANNEL + name: value for name, value in outer.items()}


def child_name(prefix: str, name: str, task: Task, index: int | None = None) -> str:
    """The prefix of the names of the tasks inside a DAG: sub-pipelines give their name, loops their index."""
    inner = prefix if task.is_group else f"{prefix}{name}/"
    return inner if index is None else f"{inner.removesuffix('/')}[{index}]/" if inner else f"[{index}]/"


def leaves(pipeline: Pipeline) -> list[Leaf]:
    """Every container and importer task, in the order in which tasks depend on each other; a loop's body once."""
    return list(_leaves(pipeline, pipeline.root, "", ()))


def _leaves(pipeline: Pipeline, component: DagComponent, prefix: str, around: tuple[str, ...]) -> Iterator[Leaf]:
    for name, task in component.dag.ordered():
        inner = pipeline.component(task)
        if task.component in around:
            raise UserError(f"{prefix}{name}: the component {task.component!r} runs inside of itself, without end")
        if isinstance(inner, DagComponent):
            yield from _leaves(pipeline, inner, child_name(prefix, name, task), (*around, task.component))
        else:
            yield Leaf(prefix + name, task, inner)


def source_parameter(pipeline: Pipeline, task: Task, name: str) -> str:
    """The pipeline's own parameter that a task's parameter comes from; empty where it comes from elsewhere."""
    source = task.parameters.get(name)
    # Conditions and loops hand a parameter on under this name.
    found = source.name.removeprefix(CHANNEL) if isinstance(source, FromParent) else ""
    return found if found in pipeline.root.inputs.parameters else ""


def pipeline_parameters(pipeline: Pipeline, given: Mapping[str, Any]) -> Json:
    """The pipeline's parameters for a run; texts, as from a command line, are read in the declared type.

    Raises:
        UserError: A parameter is unknown, missing, or does not have its type.
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
            f"the pipeline {pipeline.name} takes the artifact {name!r}, and a run can be given parameters only",
            fix="use it in a pipeline that makes the artifact, or brings it in with dsl.importer",
        )
    missing = [name for name, each in definitions.items() if name not in found and not each.is_optional]
    if missing:
        raise UserError(f"the parameter {missing[0]!r} has no value", fix=f"give one with --param {missing[0]}=...")
    return found
