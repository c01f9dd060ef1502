"""Replaces each group of tasks in a compiled pipeline by one task, and lets other tasks read that task's outputs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

from kubernetes.utils import parse_quantity

from components.contract.errors import UserError
from components.fused import plan
from components.fused.plan import Member, Source
from taxiway.fusion import raw
from taxiway.fusion.groups import groups
from taxiway.fusion.parts import Part, distinct, mounts
from taxiway.language.spec import Pipeline
from taxiway.language.values import Json


def fused(pipeline: Pipeline) -> Pipeline:
    """The pipeline with its groups fused, including those in sub-pipelines and loops.

    Raises:
        UserError: There is nothing to fuse.
    """
    changed = replace(pipeline, spec=copy.deepcopy(pipeline.spec), platform=copy.deepcopy(pipeline.platform))
    before = changed.spec["deploymentSpec"]["executors"].keys() | set()
    _fuse_dags(changed, changed.spec["root"], set())
    _remove_unused(changed)
    if changed.spec["deploymentSpec"]["executors"].keys() <= before:
        raise UserError(
            f"the pipeline {pipeline.name} has no neighbouring stages that can share a container",
            fix="leave out --fuse",
        )
    # A copy without the cached properties, which were read before the changes.
    return replace(changed)


def _fuse_dags(pipeline: Pipeline, component: Json, done: set[str]) -> None:
    dag = component["dag"]
    for group in list(groups(pipeline, dag)):
        _Fusion(pipeline, dag, group).apply()
    for task in dag["tasks"].values():
        inner = pipeline.spec["components"][task["componentRef"]["name"]]
        if "dag" in inner and task["componentRef"]["name"] not in done:
            done.add(task["componentRef"]["name"])
            _fuse_dags(pipeline, inner, done)


class _Fusion:
    """Fuses one group of a DAG."""

    def __init__(self, pipeline: Pipeline, dag: Json, group: Mapping[str, list[Part]]) -> None:
        self._pipeline = pipeline
        self._dag = dag
        self._tasks = list(group)
        self._parts = {part.name: part for own in group.values() for part in own}
        self._name = _unused_name("-to-".join([next(iter(self._parts)), list(self._parts)[-1]]), pipeline, dag)
        self._definitions: Json = {"parameters": {}, "artifacts": {}}
        self._sources: Json = {"parameters": {}, "artifacts": {}}

    def apply(self) -> None:
        """Replaces the group's tasks by the fused task."""
        members = [self._member(part) for part in self._parts.values()]
        self._add(members)
        task = self._task()
        for name in self._tasks:
            del self._dag["tasks"][name]
        _rewire(self._dag, self._name, {*self._tasks, *self._parts})
        self._dag["tasks"][self._name] = task

    def _member(self, part: Part) -> Member:
        given = part.task.get("inputs", {})
        definitions = part.component.get("inputDefinitions", {})
        self._sources["parameters"] |= part.channels
        inner = {}
        for name, definition in definitions.get("parameters", {}).items():
            source = given.get("parameters", {}).get(name)
            if found := self._member_output(source, "taskOutputParameter", "outputParameterKey"):
                inner[name] = found
            else:
                self._add_input("parameters", plan.prefix(part.name) + name, source, definition)
        return Member(
            name=part.name,
            stage=part.stage,
            artifacts={
                name: self._artifact(source, definitions["artifacts"][name])
                for name, source in given.get("artifacts", {}).items()
            },
            parameters=inner,
            condition=part.condition.text if part.condition else "",
            compared=self._compared(part),
            cached=bool(part.task.get("cachingOptions", {}).get("enableCache")),
            variables=part.variable_names,
        )

    def _compared(self, part: Part) -> dict[str, Source]:
        found = {}
        for name, (source, definition) in part.condition.compared.items() if part.condition else ():
            inner = self._member_output(source, "taskOutputParameter", "outputParameterKey")
            assert part.condition
            found[name] = inner or Source(f"{plan.prefix(part.condition.name)}{name}")
            if not inner:
                self._add_input("parameters", found[name].name, source, definition)
        return found

    def _member_output(self, source: Json | None, kind: str, key: str) -> Source | None:
        wanted = (source or {}).get(kind, {})
        return Source(wanted[key], wanted["producerTask"]) if wanted.get("producerTask") in self._parts else None

    def _artifact(self, source: Json, definition: Json) -> Source:
        if inner := self._member_output(source, "taskOutputArtifact", "outputArtifactKey"):
            return inner
        name = self._unused_input_name(_artifact_name(source), source)
        is_optional = definition.get("isOptional") and self._definitions["artifacts"].get(name, definition).get(
            "isOptional"
        )
        self._add_input("artifacts", name, source, self._definitions["artifacts"].get(name, definition))
        if not is_optional:
            self._definitions["artifacts"][name] = {
                key: value for key, value in self._definitions["artifacts"][name].items() if key != "isOptional"
            }
        return Source(name)

    def _unused_input_name(self, name: str, source: Json) -> str:
        """An unused name for an input artifact; members that read the same artifact share it."""
        while self._sources["artifacts"].get(name, source) != source:
            name += "_"
        return name

    def _add_input(self, kind: str, name: str, source: Json | None, definition: Json) -> None:
        self._definitions[kind][name] = definition
        if source is not None:
            self._sources[kind][name] = source

    def _add(self, members: list[Member]) -> None:
        label = f"exec-{self._name}"
        container = _container(list(self._parts.values()), members)
        self._pipeline.spec["deploymentSpec"]["executors"][label] = {"container": container}
        self._pipeline.spec["components"][f"comp-{self._name}"] = _without_empty(
            {"executorLabel": label, "inputDefinitions": self._definitions, "outputDefinitions": self._outputs()}
        )
        if platform := _platform(list(self._parts.values())):
            executors = self._pipeline.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
            executors[label] = platform

    def _outputs(self) -> Json:
        return {
            kind: {
                plan.prefix(part.name) + name: definition
                for part in self._parts.values()
                for name, definition in part.component.get("outputDefinitions", {}).get(kind, {}).items()
            }
            for kind in ("parameters", "artifacts")
        }

    def _task(self) -> Json:
        tasks = [self._dag["tasks"][name] for name in self._tasks]
        before = {other for task in tasks for other in raw.dependencies(task)} - set(self._tasks)
        parts = [part.task for part in self._parts.values()]
        cached = all(task.get("cachingOptions", {}).get("enableCache") for task in parts)
        retries = [task["retryPolicy"] for task in parts if "retryPolicy" in task]
        task = {
            "componentRef": {"name": f"comp-{self._name}"},
            "dependentTasks": sorted(before),
            "inputs": self._sources,
            "retryPolicy": max(retries, key=lambda policy: policy.get("maxRetryCount", 0), default={}),
            "taskInfo": {"name": self._name},
        }
        return {"cachingOptions": {"enableCache": True} if cached else {}, **_without_empty(task)}


def _unused_name(name: str, pipeline: Pipeline, dag: Json) -> str:
    while name in dag["tasks"] or f"comp-{name}" in pipeline.spec["components"]:
        stem, _, number = name.rpartition("-")
        name = f"{stem}-{int(number) + 1}" if number.isdigit() else f"{name}-2"
    return name


def _artifact_name(source: Json) -> str:
    """A name for an input artifact, from the task that produces it."""
    if "componentInputArtifact" in source:
        return str(source["componentInputArtifact"]).removeprefix("pipelinechannel--").replace("-", "_")
    wanted = source["taskOutputArtifact"]
    key = str(wanted["outputArtifactKey"])
    return key if "__" in key else plan.prefix(wanted["producerTask"]) + key


def _container(parts: list[Part], members: list[Member]) -> Json:
    words = ["--executor-input", "{{$}}", "--plan", plan.written(members)]
    modules = next((part.modules for part in parts if part.modules), "")
    container = {
        "args": [*words, "--modules", modules] if modules else words,
        "command": ["python", "-m", "components", plan.NAME],
        "env": distinct([variable for part in parts for variable in part.variables]),
        "image": max(parts, key=lambda part: part.size).container["image"],
        "resources": _largest([part.container.get("resources", {}) for part in parts]),
    }
    return _without_empty(container)


def _largest(resources: list[Json]) -> Json:
    """The largest requests and limits of several containers; no limit if one of them has none."""
    found = {}
    for name in sorted({name for each in resources for name in each}):
        values = [each[name] for each in resources if name in each]
        if "Limit" not in name or len(values) == len(resources):
            found[name] = max(values, key=lambda value: parse_quantity(str(value)))
    return found


def _platform(parts: list[Part]) -> Json:
    """The Kubernetes settings: those that all parts share, and the entries of all lists."""
    found = dict(parts[0].platform)
    for name in sorted({name for part in parts for name, value in part.platform.items() if isinstance(value, list)}):
        found[name] = mounts([{name: part.platform.get(name, [])} for part in parts])
    return found


def _without_empty(value: Json) -> Json:
    """A document without empty values, on two levels."""
    found = {
        key: {name: inner for name, inner in each.items() if inner} if key.endswith(("inputs", "Definitions")) else each
        for key, each in value.items()
    }
    return {key: each for key, each in found.items() if each}


def _rewire(dag: Json, name: str, members: set[str]) -> None:
    """Makes the tasks outside of a group read the outputs of the fused task."""
    for task in dag["tasks"].values():
        if "dependentTasks" in task:
            task["dependentTasks"] = sorted({name if other in members else other for other in task["dependentTasks"]})
    for source in raw.references(dag):
        task_key = "producerTask" if "producerTask" in source else "producerSubtask"
        if source[task_key] in members:
            for output in ("outputParameterKey", "outputArtifactKey"):
                if output in source:
                    source[output] = plan.prefix(source[task_key]) + source[output]
            source[task_key] = name


def _remove_unused(pipeline: Pipeline) -> None:
    """Removes components and executors that no task uses any more."""
    components = pipeline.spec["components"]
    used = _used(components, pipeline.spec["root"])
    for name in components.keys() - used:
        del components[name]
    labels = {component.get("executorLabel") for component in components.values()}
    kubernetes = pipeline.platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
    for executors in (pipeline.spec["deploymentSpec"]["executors"], kubernetes.get("executors", {})):
        for label in executors.keys() - labels:
            del executors[label]


def _used(components: Json, component: Json) -> set[str]:
    found: set[str] = set()
    for task in component.get("dag", {}).get("tasks", {}).values():
        name = task["componentRef"]["name"]
        found |= {name} | _used(components, components[name])
    return found
