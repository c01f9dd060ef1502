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

from components.contract import commands
from components.contract.errors import UserError
from components.execution.executor import CHANNEL
from taxiway.language import docstrings, placeholders

Json = dict[str, Any]

SETTINGS = ("image", "env", "resources")
"""What a container is but its command, and where placeholders stand for inputs."""

_GROUP = re.compile(r"comp-(condition|condition-branches|for-loop|exit-handler)-\d+(-\d+)*")
_MARK = re.compile(r"\[(?P<name>\w+)(?:: (?P<detail>\w+))?\]")
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

    def platform_of(self, component: Mapping[str, Any]) -> Json:
        """What Kubernetes is to add to the pods of a component that is no DAG."""
        kubernetes = self.platform.get("platforms", {}).get("kubernetes", {})
        executors = kubernetes.get("deploymentSpec", {}).get("executors", {})
        return dict(executors.get(component["executorLabel"], {}))


@dataclass(frozen=True)
class Leaf:
    """A task that runs a container or imports an artifact: its name in the run, and where it stands."""

    name: str
    task: Json
    component: Json
    dag: Json


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


def mark(definition: Mapping[str, Any]) -> tuple[str, str]:
    """The type or role that stands in brackets before a description: (`Examples`, ``), (`Module`, `run_fn`)."""
    found = _MARK.match(definition.get("description") or "")
    return (found["name"], found["detail"] or "") if found else ("", "")


def stage_name(executor: Mapping[str, Any]) -> str:
    """The name of the stage that a container runs; empty for any other container."""
    command = executor.get("container", {}).get("command", [])
    return str(command[3]) if len(command) == 4 and command[1:3] == ["-m", "components"] else ""


def inlined_modules(pipeline: Pipeline) -> set[str]:
    """The source of the user's modules that stages get as `--modules` (`components.user_code.user_modules.packed`)."""
    found = set()
    for executor in pipeline.spec["deploymentSpec"]["executors"].values():
        words = executor.get("container", {}).get("args", [])
        found |= {text for option, text in itertools.pairwise(words) if option == "--modules" and stage_name(executor)}
    return found


def is_group(task: Mapping[str, Any]) -> bool:
    """Whether a task is a condition, a loop or an exit handler: something the user wrote no name for."""
    return bool(_GROUP.fullmatch(task["componentRef"]["name"]))


def inherited(task: Mapping[str, Any], outer: Mapping[str, Any]) -> Json:
    """What a condition, a loop or an exit handler has of the parameters around it without being given it.

    The compiler does not bring each one to where a placeholder names it, such as from one loop into another.
    """
    if not is_group(task):
        return {}
    return {name if name.startswith(CHANNEL) else CHANNEL + name: value for name, value in outer.items()}


def child_name(prefix: str, name: str, task: Mapping[str, Any], index: int | None = None) -> str:
    """The prefix of the names of the tasks inside a DAG: sub-pipelines give their name, loops their index."""
    inner = prefix if is_group(task) else f"{prefix}{name}/"
    return inner if index is None else f"{inner.removesuffix('/')}[{index}]/" if inner else f"[{index}]/"


def leaves(pipeline: Pipeline) -> list[Leaf]:
    """Every container and importer task, in the order in which tasks depend on each other; a loop's body once."""
    return list(_leaves(pipeline, pipeline.root, "", ()))


def _leaves(pipeline: Pipeline, component: Json, prefix: str, around: tuple[str, ...]) -> Iterator[Leaf]:
    dag = component["dag"]
    for name in ordered(dag):
        task = dag["tasks"][name]
        inner = pipeline.component(task)
        if (called := task["componentRef"]["name"]) in around:
            raise UserError(f"{prefix}{name}: the component {called!r} runs inside of itself, without end")
        if "dag" in inner:
            yield from _leaves(pipeline, inner, child_name(prefix, name, task), (*around, called))
        else:
            yield Leaf(prefix + name, task, inner, dag)


def ordered(dag: Mapping[str, Any]) -> list[str]:
    """The names of a DAG's tasks, each after those that it depends on.

    Raises:
        UserError: Tasks wait for each other, or for one that the DAG does not have.
    """
    tasks, done = dag["tasks"], list[str]()

    def visit(name: str, waiting: tuple[str, ...]) -> None:
        if name in waiting:
            raise UserError(f"the task {name!r} waits for itself: {' after '.join([*waiting, name])}")
        if name not in tasks:
            raise UserError(f"the task {waiting[-1]!r} waits for {name!r}, which is not there")
        if name not in done:
            for other in dependencies(tasks[name]):
                visit(other, (*waiting, name))
            done.append(name)

    for name in tasks:
        visit(name, ())
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


def references(value: Any) -> Iterator[Json]:
    """Everything in a DAG that names a task as the producer of something, to look at or to change."""
    if isinstance(value, dict):
        if value.keys() & {"producerTask", "producerSubtask"}:
            yield value
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def coerced(name: str, definition: Mapping[str, Any], value: Any) -> Any:
    """A parameter's value in its declared type: compiled pipelines hold integers as doubles.

    Raises:
        UserError: It is no list or struct where one is declared.
    """
    kind = definition.get("parameterType")
    if kind == "NUMBER_INTEGER" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind in ("LIST", "STRUCT") and value is not None:
        return with_integers(_structure(name, kind, value))
    return value


def _structure(name: str, kind: str, value: Any) -> Any:
    wrong = f"the parameter {name.removeprefix('pipelinechannel--')!r} takes a {kind.lower()}, not {value!r:.200}"
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise UserError(f"{wrong}, which is no JSON: {error}") from error
    if not isinstance(found, TYPES[kind]):
        raise UserError(wrong)
    return found


def listed(items: Any) -> list[Any]:
    """What a loop runs over, which may be written as JSON.

    Raises:
        UserError: It is no list.
    """
    try:
        found = json.loads(items) if isinstance(items, str) else items
    except json.JSONDecodeError:
        found = items
    if not isinstance(found, list):
        raise UserError(f"a loop runs over a list, not over {found!r:.200}")
    return found


def with_integers(value: Any) -> Any:
    """A JSON value as Kubeflow passes it on: a number without a fraction is an integer."""
    if isinstance(value, list):
        return [with_integers(item) for item in value]
    if isinstance(value, dict):
        return {key: with_integers(item) for key, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def defaults(component: Mapping[str, Any]) -> Json:
    """The defaults of a component's input parameters, as the compiler wrote them."""
    definitions = component.get("inputDefinitions", {}).get("parameters", {})
    return {name: d["defaultValue"] for name, d in definitions.items() if "defaultValue" in d}


def with_defaults(component: Mapping[str, Any], given: Mapping[str, Any]) -> Json:
    """A component's input parameters: those given, in their declared types, and the defaults of the others."""
    return typed(component, defaults(component) | dict(given))


def typed(component: Mapping[str, Any], given: Mapping[str, Any]) -> Json:
    """Parameters in the types that a component declares.

    Raises:
        UserError: A value is not of its type.
    """
    definitions = component.get("inputDefinitions", {}).get("parameters", {})
    return {name: coerced(name, definitions.get(name, {}), value) for name, value in given.items()}


def taken(component: Mapping[str, Any], given: Mapping[str, Any]) -> Json:
    """What a container takes of the parameters given: those that it declares, texts as texts."""
    definitions = component.get("inputDefinitions", {}).get("parameters", {})
    return {name: value for name, value in as_declared_texts(component, given).items() if name in definitions}


def as_declared_texts(component: Mapping[str, Any], given: Mapping[str, Any]) -> Json:
    """Parameters, those that a component declares to be strings as strings: a loop's item may be a number."""
    definitions = component.get("inputDefinitions", {}).get("parameters", {})
    texts = {name for name, definition in definitions.items() if definition.get("parameterType") == "STRING"}
    return {name: placeholders.text(value) if name in texts else value for name, value in given.items()}


def constants(task: Mapping[str, Any]) -> Json:
    """A task's parameters that the compiler wrote down, placeholders and all."""
    sources = task.get("inputs", {}).get("parameters", {})
    return {name: source["runtimeValue"]["constant"] for name, source in sources.items() if "runtimeValue" in source}


def source_parameter(pipeline: Pipeline, task: Mapping[str, Any], name: str) -> str:
    """The pipeline's own parameter that a task's parameter comes from; empty where it comes from elsewhere."""
    source = task.get("inputs", {}).get("parameters", {}).get(name, {}).get("componentInputParameter", "")
    # Conditions and loops hand a parameter on under this name.
    found = str(source).removeprefix("pipelinechannel--")
    return found if found in pipeline.root.get("inputDefinitions", {}).get("parameters", {}) else ""


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
                fix=f"did you mean {near[0]!r}?" if near else f"its parameters are: {known}",
            )
    values = with_defaults(
        pipeline.root, {name: _typed(name, definitions[name], value) for name, value in given.items()}
    )
    artifacts = pipeline.root.get("inputDefinitions", {}).get("artifacts", {})
    for name in (name for name, definition in artifacts.items() if not definition.get("isOptional")):
        raise UserError(
            f"the pipeline {pipeline.name} takes the artifact {name!r}, and a run can be given parameters only",
            fix="use it in a pipeline that makes the artifact, or brings it in with dsl.importer",
        )
    missing = [name for name, d in definitions.items() if name not in values and not d.get("isOptional")]
    if missing:
        raise UserError(f"the parameter {missing[0]!r} has no value", fix=f"give one with --param {missing[0]}=...")
    return values


TYPES: dict[str, tuple[type, ...]] = {
    "NUMBER_INTEGER": (int,),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "STRING": (str,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


def _typed(name: str, definition: Mapping[str, Any], value: Any) -> Any:
    kind = definition["parameterType"]
    wanted = TYPES.get(kind, (object,))
    if isinstance(value, str) and str not in wanted:
        try:
            value = json.loads(value.lower() if kind == "BOOLEAN" else value)
        except json.JSONDecodeError:
            wanted = ()
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted and object not in wanted):
        raise UserError(f"the parameter {name!r} takes a {kind.lower()}, not {value!r}")
    return value
