"""The compiled pipeline (Kubeflow's PipelineSpec, IR 2.1.0) as runners and checks read it.

Source: kubeflow/pipelines, api/v2alpha1/pipeline_spec.proto.
"""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from components.commands import typed
from components.errors import UserError
from components.working_tree import ALLOW_UNVERSIONED

Json = dict[str, Any]

_GROUP = re.compile(r"comp-(condition|condition-branches|for-loop|exit-handler)-\d+(-\d+)*")
_MARK = re.compile(r"\[(?P<name>\w+)(?:: (?P<detail>\w+))?\]")
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

    @property
    def root(self) -> Json:
        """The outermost component."""
        return dict(self.spec["root"])

    def component(self, task: Mapping[str, Any]) -> Json:
        """The component that a task runs."""
        return dict(self.spec["components"][task["componentRef"]["name"]])

    def executor(self, component: Mapping[str, Any]) -> Json:
        """What carries out a component that is no DAG: a `container` or an `importer`."""
        return dict(self.spec["deploymentSpec"]["executors"][component["executorLabel"]])


@dataclass(frozen=True)
class Leaf:
    """A task that runs a container or imports an artifact: its name in the run, and where it stands."""

    name: str
    task: Json
    component: Json
    dag: Json


def read(path: Path) -> Pipeline:
    """Reads a compiled pipeline.

    Raises:
        UserError: The file is missing, or is no pipeline of IR 2.1.0.
    """
    try:
        documents = list(yaml.load_all(path.read_text(), _Loader))
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML: {error}") from error
    spec = documents[0] if documents else None
    if not isinstance(spec, dict) or "pipelineInfo" not in spec or "root" not in spec:
        raise UserError(
            f"{path} is no compiled pipeline",
            mend=f"make one with: {typed('taxiway compile PIPELINE -o FILE')}",
        )
    if spec.get("schemaVersion") != "2.1.0":
        raise UserError(
            f"{path} has the IR version {spec.get('schemaVersion')!r}; open-source Kubeflow takes 2.1.0",
            mend="compile it with kfp 2",
        )
    return Pipeline(spec, documents[1] if len(documents) > 1 else {})


def mark(definition: Mapping[str, Any]) -> tuple[str, str]:
    """The type or role that stands in brackets before a description: (`Examples`, ``), (`Module`, `run_fn`)."""
    found = _MARK.match(definition.get("description") or "")
    return (found["name"], found["detail"] or "") if found else ("", "")


def stage_name(executor: Mapping[str, Any]) -> str:
    """The name of the stage that a container runs; empty for any other container."""
    command = executor.get("container", {}).get("command", [])
    return str(command[3]) if len(command) == 4 and command[1:3] == ["-m", "components"] else ""


def images(pipeline: Pipeline) -> set[str]:
    """The images of all containers."""
    executors = pipeline.spec["deploymentSpec"]["executors"].values()
    return {executor["container"]["image"] for executor in executors if "container" in executor}


def inlined_modules(pipeline: Pipeline) -> set[str]:
    """The source of the user's modules that stages get as `--modules` (`components.user_modules.packed`)."""
    found = set()
    for executor in pipeline.spec["deploymentSpec"]["executors"].values():
        words = executor.get("container", {}).get("args", [])
        found |= {text for option, text in itertools.pairwise(words) if option == "--modules" and stage_name(executor)}
    return found


def is_group(task: Mapping[str, Any]) -> bool:
    """Whether a task is a condition, a loop or an exit handler: something the user wrote no name for."""
    return bool(_GROUP.fullmatch(task["componentRef"]["name"]))


def child_name(prefix: str, name: str, task: Mapping[str, Any], index: int | None = None) -> str:
    """The prefix of the names of the tasks inside a DAG: sub-pipelines give their name, loops their index."""
    inner = prefix if is_group(task) else f"{prefix}{name}/"
    return inner if index is None else f"{inner.removesuffix('/')}[{index}]/" if inner else f"[{index}]/"


def leaves(pipeline: Pipeline) -> list[Leaf]:
    """Every container and importer task, in the order in which tasks depend on each other; a loop's body once."""
    return list(_leaves(pipeline, pipeline.root, ""))


def _leaves(pipeline: Pipeline, component: Json, prefix: str) -> Iterator[Leaf]:
    dag = component["dag"]
    for name in ordered(dag):
        task = dag["tasks"][name]
        inner = pipeline.component(task)
        if "dag" in inner:
            yield from _leaves(pipeline, inner, child_name(prefix, name, task))
        else:
            yield Leaf(prefix + name, task, inner, dag)


def ordered(dag: Mapping[str, Any]) -> list[str]:
    """The names of a DAG's tasks, each after those that it depends on."""
    tasks, done = dag["tasks"], list[str]()

    def visit(name: str) -> None:
        if name not in done:
            for other in dependencies(tasks[name]):
                visit(other)
            done.append(name)

    for name in tasks:
        visit(name)
    return done


def dependencies(task: Mapping[str, Any]) -> list[str]:
    """The tasks of the same DAG that have to end before this one."""
    found = set(task.get("dependentTasks", []))
    for kind in task.get("inputs", {}).values():
        for source in kind.values():
            found |= {
                source[key]["producerTask"]
                for key in ("taskOutputParameter", "taskOutputArtifact", "taskFinalStatus")
                if key in source
            }
    return sorted(found)


def coerced(definition: Mapping[str, Any], value: Any) -> Any:
    """A parameter's value in its declared type: compiled pipelines hold integers as doubles."""
    kind = definition.get("parameterType")
    if kind == "NUMBER_INTEGER" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind in ("LIST", "STRUCT") and isinstance(value, str):
        return json.loads(value)
    return value


def with_defaults(component: Mapping[str, Any], given: Mapping[str, Any]) -> Json:
    """A component's input parameters: those given, in their declared types, and the defaults of the others."""
    definitions = component.get("inputDefinitions", {}).get("parameters", {})
    values = {name: d["defaultValue"] for name, d in definitions.items() if "defaultValue" in d} | dict(given)
    return {name: coerced(definitions.get(name, {}), value) for name, value in values.items()}


def settled(task: Mapping[str, Any], outer: Mapping[str, Any]) -> Json:
    """A task's parameters whose values are known before the run, given those of the DAG that it stands in."""
    found = {}
    for name, source in task.get("inputs", {}).get("parameters", {}).items():
        constant = source.get("runtimeValue", {}).get("constant")
        if constant is not None and "{{$" not in str(constant):
            found[name] = constant
        elif (parameter := source.get("componentInputParameter")) in outer:
            found[name] = outer[parameter]
    return found


def source_parameter(pipeline: Pipeline, task: Mapping[str, Any], name: str) -> str:
    """The pipeline's own parameter that a task's parameter comes from; empty where it comes from elsewhere."""
    source = task.get("inputs", {}).get("parameters", {}).get(name, {}).get("componentInputParameter", "")
    # Conditions and loops hand a parameter on under this name.
    found = str(source).removeprefix("pipelinechannel--")
    return found if found in pipeline.root.get("inputDefinitions", {}).get("parameters", {}) else ""


def allowing_unversioned(pipeline: Pipeline, task: Mapping[str, Any]) -> str:
    """How the user takes the data of a task as they are: by the pipeline's parameter where it has one."""
    name = source_parameter(pipeline, task, "allow_unversioned")
    return f"--param {name}=true" if name else ALLOW_UNVERSIONED


def pipeline_parameters(pipeline: Pipeline, given: Mapping[str, Any]) -> Json:
    """The pipeline's parameters for a run; texts, as from a command line, are read in the declared type.

    Raises:
        UserError: A parameter is unknown, missing, or does not have its type.
    """
    definitions = pipeline.root.get("inputDefinitions", {}).get("parameters", {})
    for name in given:
        if name not in definitions:
            near = difflib.get_close_matches(name, definitions, n=1)
            known = ", ".join(definitions) or "none"
            raise UserError(
                f"the pipeline {pipeline.name} has no parameter {name!r}",
                mend=f"did you mean {near[0]!r}?" if near else f"its parameters are: {known}",
            )
    values = with_defaults(
        pipeline.root, {name: _typed(name, definitions[name], value) for name, value in given.items()}
    )
    missing = [name for name, d in definitions.items() if name not in values and not d.get("isOptional")]
    if missing:
        raise UserError(f"the parameter {missing[0]!r} has no value", mend=f"give one with --param {missing[0]}=...")
    return values


_TYPES: dict[str, tuple[type, ...]] = {
    "NUMBER_INTEGER": (int,),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "STRING": (str,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


def _typed(name: str, definition: Mapping[str, Any], value: Any) -> Any:
    kind = definition["parameterType"]
    wanted = _TYPES.get(kind, (object,))
    if isinstance(value, str) and str not in wanted:
        try:
            value = json.loads(value.lower() if kind == "BOOLEAN" else value)
        except json.JSONDecodeError:
            wanted = ()
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted and object not in wanted):
        raise UserError(f"the parameter {name!r} takes a {kind.lower()}, not {value!r}")
    return value
