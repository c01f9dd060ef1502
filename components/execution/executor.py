"""The container contract of Kubeflow Pipelines v2: reads an ExecutorInput and writes an ExecutorOutput.

Source: kubeflow/pipelines, `api/v2alpha1/pipeline_spec.proto` (ExecutorInput, ExecutorOutput) and
`backend/src/v2/component/launcher_v2.go` (the local paths of remote artifacts).
"""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.contract import files
from components.contract.artifacts import TFX_VERSION, Artifact, Role
from components.contract.errors import UserError
from components.contract.signature import REPORT, Port, ports
from components.execution import provenance

CHANNEL = "pipelinechannel--"
"""The prefix of the inputs that Kubeflow's compiler adds to a task for the placeholders in its other inputs."""

_MOUNTS = {"gs://": "/gcs/", "s3://": "/s3/", "minio://": "/minio/"}
# The inputs that the compiler adds for container settings that are pipeline parameters.
_SETTINGS = {
    "base_image",
    *(f"{what}_{how}" for what in ("cpu", "memory") for how in ("limit", "request")),
    *(f"accelerator_{what}" for what in ("count", "type")),
}


WriteReport = Callable[[Path, Mapping[str, Artifact], Mapping[str, Artifact]], None]
"""Writes a page about a call to a file: its inputs and its outputs, by name."""


def local_path(uri: str) -> Path:
    """The local path where Kubeflow's launcher puts the artifact with this URI."""
    for scheme, mount in _MOUNTS.items():
        if uri.startswith(scheme):
            return Path(mount + uri.removeprefix(scheme))
    return Path(uri)


def execute(
    stage: Callable[..., Any], executor_input: Mapping[str, Any], write_report: WriteReport | None = None
) -> None:
    """Calls a stage with the inputs in an ExecutorInput, and writes the ExecutorOutput to the requested file.

    Args:
        stage: The stage's function.
        executor_input: The document.
        write_report: Writes the output `report`, if the document has one.

    Raises:
        UserError: A required input is missing, the stage has no such input, or a parameter has the wrong type.
    """
    interface = ports(stage)
    _require_known(stage, interface, executor_input)
    given = _arguments(interface, executor_input)
    outputs = {p.name: given[p.name] for p in interface if p.direction == "output" and p.kind}
    for artifact in outputs.values():
        artifact.path.parent.mkdir(parents=True, exist_ok=True)
    result = stage(**given)
    values = result._asdict() if hasattr(result, "_asdict") else {}
    call = _called(interface, given)
    made_by = _attach_provenance(stage, call, outputs)
    if write_report and REPORT.name in executor_input["outputs"].get("artifacts", {}):
        report = _argument(REPORT, executor_input)
        _report(stage.__name__, report, lambda: write_report(report.path, call.inputs, outputs))
        provenance.attach_own(report, REPORT.name, made_by)
        outputs[REPORT.name] = report
    write_parameters(values, executor_input)
    _write_output(values, outputs, executor_input)


_ABSENT = object()


@dataclass(frozen=True)
class Called:
    """What a stage is called with.

    Attributes:
        parameters: Its parameters, defaults included.
        roles: What they refer to, by name.
        inputs: Its input artifacts.
    """

    parameters: dict[str, Any]
    roles: dict[str, Role]
    inputs: dict[str, Artifact]


def called(stage: Callable[..., Any], executor_input: Mapping[str, Any]) -> Called:
    """What an ExecutorInput calls a stage with; raises the same errors as `execute`."""
    interface = ports(stage)
    return _called(interface, _arguments(interface, executor_input))


def _called(interface: list[Port], given: Mapping[str, Any]) -> Called:
    return Called(
        {p.name: given.get(p.name, p.default) for p in interface if p.direction == "input" and not p.kind},
        {p.name: p.role for p in interface if p.role},
        {p.name: given[p.name] for p in interface if _is_input_artifact(p, given)},
    )


def _arguments(interface: list[Port], executor_input: Mapping[str, Any]) -> dict[str, Any]:
    return {p.name: value for p in interface if (value := _argument(p, executor_input)) is not _ABSENT}


def _require_known(stage: Callable[..., Any], interface: list[Port], executor_input: Mapping[str, Any]) -> None:
    known = {port.name for port in interface if port.direction == "input"}
    inputs = executor_input.get("inputs", {})
    for name in [*inputs.get("parameterValues", {}), *inputs.get("artifacts", {})]:
        if name not in known | _SETTINGS and not name.startswith(CHANNEL):
            raise UserError(
                f"the stage {stage.__name__} has no input {name!r}",
                fix=f"compile the pipeline with this version of Taxiway; the inputs are {', '.join(sorted(known))}",
            )


def _argument(port: Port, executor_input: Mapping[str, Any]) -> Any:
    side = executor_input.get(f"{port.direction}s", {})
    if port.kind:
        runtime = side.get("artifacts", {}).get(port.name, {}).get("artifacts", [])
        if runtime:
            # Like Kubeflow's launcher, use the first artifact only.
            return _artifact(port.kind, runtime[0])
    elif port.direction == "output":
        return _ABSENT
    # An optional input that the pipeline does not set is passed as null.
    elif (value := side.get("parameterValues", {}).get(port.name)) is not None:
        return _coerced(port, value)
    if port.required:
        raise UserError(f"the {port.direction} {port.name!r} is missing from the ExecutorInput")
    return _ABSENT


def _artifact(kind: type[Artifact], runtime: Mapping[str, Any]) -> Artifact:
    return kind(local_path(runtime["uri"]), dict(runtime.get("metadata", {})), runtime["uri"])


def _coerced(port: Port, value: Any) -> Any:
    """A JSON value as the declared type: compiled pipelines store every number as a double."""
    if port.type is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if port.type is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, port.type) and not (port.type is int and isinstance(value, bool)):
        return value
    raise UserError(f"the parameter {port.name!r} takes {port.type.__name__}, not {value!r}")


def _report(stage: str, report: Artifact, write: Callable[[], None]) -> None:
    """Writes a report; whatever goes wrong costs the reader a page, and never the stage its work."""
    report.metadata.update(tfx_version=TFX_VERSION, tfx_type=report.type_name)
    report.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write()
    except Exception as error:
        words = f"the report of {stage} could not be made: {type(error).__name__}: {error}"
        print(f"warning: {words}", file=sys.stderr, flush=True)
        report.note(words)
        with suppress(OSError):
            report.path.write_text(f"<!DOCTYPE html>\n<title>{stage}</title>\n<p>{html.escape(words)}</p>\n")


def _attach_provenance(stage: Callable[..., Any], call: Called, outputs: Mapping[str, Artifact]) -> provenance.Record:
    made_by = provenance.activity(stage.__name__, call.parameters, call.roles, call.inputs)
    for name, artifact in outputs.items():
        if not artifact.path.exists():
            raise RuntimeError(f"the stage {stage.__name__} did not write its output {name!r} to {artifact.path}")
        artifact.metadata["tfx_version"] = TFX_VERSION
        artifact.metadata["tfx_type"] = artifact.type_name
    provenance.attach_all(outputs, made_by, call.inputs)
    return made_by


def _is_input_artifact(port: Port, arguments: Mapping[str, Any]) -> bool:
    return port.direction == "input" and port.kind is not None and arguments.get(port.name) is not None


def write_parameters(values: Mapping[str, Any], executor_input: Mapping[str, Any]) -> None:
    """Writes output parameters to the files that the ExecutorInput names."""
    for name, where in executor_input.get("outputs", {}).get("parameters", {}).items():
        path = Path(where["outputFile"])
        path.parent.mkdir(parents=True, exist_ok=True)
        value = values[name]
        path.write_text(value if isinstance(value, str) else json.dumps(value))


def _write_output(
    values: Mapping[str, Any], outputs: Mapping[str, Artifact], executor_input: Mapping[str, Any]
) -> None:
    output = {
        "parameterValues": dict(values),
        "artifacts": {
            name: {
                "artifacts": [
                    {
                        "name": artifact.metadata.get("name", name),
                        "uri": artifact.uri,
                        "type": {"schemaTitle": artifact.schema_title, "schemaVersion": "0.0.1"},
                        "metadata": artifact.metadata,
                    }
                ]
            }
            for name, artifact in outputs.items()
        },
    }
    path = Path(executor_input["outputs"]["outputFile"])
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written last and atomically: once it exists, readers can rely on every artifact that it names.
    # Only read once, as soon as the stage has ended.
    files.write(path, json.dumps(output))
