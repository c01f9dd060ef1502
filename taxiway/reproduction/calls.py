"""The stage calls in an artifact's lineage, and a pipeline that repeats them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from components.contract.errors import UserError
from components.execution.provenance import Record
from components.execution.records import sources
from taxiway.language.components import ExecutorComponent
from taxiway.language.values import Json

_SAME = ("stage", "stage_version", "parameters", "inputs")
NAME = "reproduce"


@dataclass(frozen=True)
class Call:
    """A call of a stage in the lineage.

    Attributes:
        task: Its name in the new pipeline: the stage's, with a number if the stage is called more than once.
        record: What the records of its outputs have in common.
        outputs: The records by output.
        sources: Where its inputs come from: by port, the task and the output.
        external: Digests by port of the inputs that none of the calls makes.
    """

    task: str
    record: Record
    outputs: dict[str, Record]
    sources: dict[str, tuple[str, str]]
    external: dict[str, str]

    @property
    def stage(self) -> str:
        """The stage's name."""
        return str(self.record["stage"])

    @property
    def parameters(self) -> Json:
        """Its parameters."""
        return dict(self.record["parameters"])


def component(stage: str, checkout: Path) -> Json:
    """The compiled component of a stage, from the checkout, else from the installed code.

    Raises:
        UserError: There is no such stage.
    """
    import components

    folders = [checkout / "components", *map(Path, components.__path__)]
    files = [file for folder in folders if (file := folder / stage / "component.yaml").is_file()]
    if not files:
        raise UserError(
            f"{stage} is not a stage of Taxiway: its lineage does not say how to run it",
            fix="run its pipeline from that commit, and compare the digests",
        )
    found: Json = yaml.safe_load(files[0].read_text())
    return found


def calls(records: Sequence[Record], skip: Iterable[str]) -> list[Call]:
    """The calls behind some records, in topological order.

    Args:
        records: The records of a chain (`taxiway.lineage.chain`).
        skip: Stages that are not repeated.
    """
    passed = set(skip)
    grouped: dict[str, dict[str, Record]] = {}
    for record in records:
        if record["stage"] not in passed:
            grouped.setdefault(_identity(record), {}).setdefault(record["output"], record)
    names = _names(grouped)
    found = {key: _call(names, outputs, records, names[key]) for key, outputs in grouped.items()}
    return _ordered({call.task: call for call in found.values()})


def pipeline(found: Sequence[Call], components: Mapping[str, Json], imported: Mapping[str, tuple[str, str]]) -> Json:
    """A compiled pipeline of the calls.

    Args:
        found: The calls.
        components: The compiled component of each stage.
        imported: Inputs to import: URI and TFX type by digest. Other inputs from elsewhere are omitted.
    """
    tasks = {call.task: _task(call, components[call.stage], imported) for call in found}
    used = {digest for call in found for digest in call.external.values() if digest in imported}
    inner, executors = dict[str, Json](), dict[str, Json]()
    for each in components.values():
        inner |= {name: c for name, c in each["components"].items() if "executorLabel" in c}
        executors |= each["deploymentSpec"]["executors"]
    for digest in used:
        place, kind = imported[digest]
        name = _importer(digest)
        tasks[name] = {"componentRef": {"name": f"comp-{name}"}, "taskInfo": {"name": name}}
        inner[f"comp-{name}"] = _importer_component(name)
        executors[f"exec-{name}"] = _importer_executor(place, kind)
    return {
        "pipelineInfo": {"name": NAME},
        "schemaVersion": "2.1.0",
        "root": {"dag": {"tasks": tasks}},
        "components": inner,
        "deploymentSpec": {"executors": executors},
    }


def with_parameters(call: Call, changed: Json) -> Call:
    """A call with some parameters changed."""
    return replace(call, record={**call.record, "parameters": {**call.parameters, **changed}})


def _identity(record: Record) -> str:
    return json.dumps([record.get(key) for key in _SAME], sort_keys=True)


def _names(grouped: Mapping[str, Mapping[str, Record]]) -> dict[str, str]:
    counts: dict[str, int] = {}
    names = {}
    for key, outputs in grouped.items():
        stage = next(iter(outputs.values()))["stage"].replace("_", "-")
        counts[stage] = counts.get(stage, 0) + 1
        names[key] = stage if counts[stage] == 1 else f"{stage}-{counts[stage]}"
    return names


def _call(names: Mapping[str, str], outputs: dict[str, Record], records: Sequence[Record], task: str) -> Call:
    record = next(iter(outputs.values()))
    behind = {port: source for port, source in sources(record, records).items() if _identity(source) in names}
    external = {port: digest for port, digest in record["inputs"].items() if port not in behind}
    known = {port: (names[_identity(source)], source["output"]) for port, source in behind.items()}
    return Call(task, record, outputs, known, external)


def _ordered(found: Mapping[str, Call]) -> list[Call]:
    done: dict[str, Call] = {}

    def visit(task: str) -> None:
        if task not in done:
            for other, _ in found[task].sources.values():
                visit(other)
            done[task] = found[task]

    for task in found:
        visit(task)
    return list(done.values())


def _task(call: Call, compiled: Json, imported: Mapping[str, tuple[str, str]]) -> Json:
    [name] = [name for name, each in compiled["components"].items() if "executorLabel" in each]
    inputs = ExecutorComponent.of(compiled["components"][name]).inputs
    parameters = {
        key: {"runtimeValue": {"constant": value}} for key, value in call.parameters.items() if key in inputs.parameters
    }
    artifacts = {port: _output(*source) for port, source in call.sources.items()}
    for port, digest in call.external.items():
        if digest in imported:
            artifacts[port] = _output(_importer(digest), "artifact")
    artifacts = {port: source for port, source in artifacts.items() if port in inputs.artifacts}
    tasks = {source["taskOutputArtifact"]["producerTask"] for source in artifacts.values()}
    return {
        "componentRef": {"name": name},
        "inputs": {"parameters": parameters, "artifacts": artifacts},
        "dependentTasks": sorted(tasks),
        "taskInfo": {"name": call.task},
    }


def _output(task: str, output: str) -> Json:
    return {"taskOutputArtifact": {"producerTask": task, "outputArtifactKey": output}}


def _importer(digest: str) -> str:
    return f"importer-{digest.removeprefix('sha256:')[:12]}"


def _importer_component(name: str) -> Json:
    kind = {"artifactType": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}}
    return {"executorLabel": f"exec-{name}", "outputDefinitions": {"artifacts": {"artifact": kind}}}


def _importer_executor(place: str, kind: str) -> Json:
    return {
        "importer": {
            "artifactUri": {"constant": place},
            "typeSchema": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"},
            "metadata": {"tfx_type": kind},
        }
    }


def roles(compiled: Json) -> dict[str, str]:
    """The roles of a component's parameters, such as `Data` or `Destination`, by parameter."""
    return {name: parameter.role for name, parameter in _only(compiled).inputs.parameters.items()}


def optional(compiled: Json, port: str) -> bool:
    """Whether a component runs without an input artifact."""
    return _only(compiled).inputs.artifacts[port].is_optional


def _only(compiled: Json) -> ExecutorComponent:
    [found] = [each for each in compiled["components"].values() if "executorLabel" in each]
    return ExecutorComponent.of(found)
