"""Turns what a container wrote into the task's outputs: adds provenance and moves them to their final place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.contract.artifacts import TFX_VERSION, TYPES
from components.contract.digests import text_digest
from components.contract.errors import UserError
from components.execution import provenance
from components.execution.executor import local_path
from components.fused.plan import SKIPPED
from taxiway.fusion import members
from taxiway.language.executors import Importer
from taxiway.language.values import PYTHON_TYPES, Json, coerced
from taxiway.runner import outputs
from taxiway.runner.attempts import Attempt, commit, image
from taxiway.runner.call import Call, Context, Result, State, Values
from taxiway.runner.plan import Planned
from taxiway.storage import cache
from taxiway.storage.cache import Manifest


def kept(context: Context, planned: Planned, attempt: Attempt, seconds: float) -> Result:
    """Keeps the outputs of a container that succeeded.

    Raises:
        UserError: An output is missing or invalid.
    """
    output_file = Path(attempt.executor_input["outputs"]["outputFile"])
    output = json.loads(output_file.read_text()) if output_file.is_file() else {}
    output_file.unlink(missing_ok=True)
    parameters = dict(output.get("parameterValues", {}))
    artifacts = {
        name: _artifacts(context, planned, attempt, name, output.get("artifacts", {}).get(name, {}))
        for name in attempt.executor_input["outputs"]["artifacts"]
        if not _was_skipped(planned.call, output.get("artifacts", {}).get(name, {}))
    }
    manifest = Manifest(
        key=planned.key,
        parts=planned.parts,
        parameters=parameters | _written_parameters(planned.call, attempt.executor_input, parameters),
        artifacts=artifacts,
        seconds=round(seconds, 3),
    )
    cache.keep(attempt.staged / "outputs", planned.folder, manifest, context.digests)
    ended = attempt.ended
    return Result(State.SUCCEEDED, values(manifest), cpu_seconds=ended.cpu_seconds, peak_mb=ended.peak_mb)


def values(manifest: Manifest) -> Values:
    """The outputs in a manifest."""
    return Values(manifest.parameters, manifest.artifacts)


def imported(context: Context, call: Call, importer: Importer) -> Result:
    """Imports an artifact: it stays where it is, and its digest is recorded in the lineage.

    Raises:
        UserError: It does not exist.
    """
    uri = importer.uri or call.inputs.parameters[importer.parameter]
    path = local_path(str(uri).removeprefix("file://"))
    if not path.exists():
        raise UserError(f"{call.name} imports {uri}, which does not exist", fix="give a file or folder on this machine")
    metadata = {**importer.metadata, "digest": context.digests.tree(path)}
    artifact = {
        "name": call.name,
        "uri": str(path.absolute()),
        "type": importer.schema,
        "metadata": metadata,
    }
    return Result(State.SUCCEEDED, Values(artifacts={"artifact": [artifact]}))


def _artifacts(context: Context, planned: Planned, attempt: Attempt, name: str, described: Json) -> list[Json]:
    """The artifacts of an output, as the container described them, with their final URIs."""
    place, call = attempt.staged / "outputs" / name, planned.call
    declared = attempt.executor_input["outputs"]["artifacts"][name]["artifacts"]
    found = []
    for each in described.get("artifacts") or declared:
        artifact = outputs.kept(_merged(declared[0], each), place, attempt.seen, call.name)
        artifact["metadata"] = {**_typed(call, name), **artifact["metadata"]}
        _attach_provenance(context, call, name, artifact, attempt.staged)
        artifact["uri"] = artifact["uri"].replace(str(place.parent), str(planned.folder))
        found.append(artifact)
    return found


def _was_skipped(call: Call, described: Json) -> bool:
    """Whether a condition skipped the stage that would have written this output of a fused task."""
    skipped = [SKIPPED in each.get("metadata", {}) for each in described.get("artifacts", [])]
    return members.is_fused(call.executor) and any(skipped)


def _attach_provenance(context: Context, call: Call, name: str, artifact: Json, staged: Path) -> None:
    """Adds provenance to an output of a container that is not a Taxiway stage, so that no chain ends there."""
    path = local_path(artifact["uri"])
    if "provenance" in artifact["metadata"] or not path.exists():
        return
    inputs = {port: outputs.artifact_of(found[0]) for port, found in call.inputs.artifacts.items() if found}
    made_by = {
        **provenance.activity(call.name, call.inputs.parameters, {}, inputs, commit(context, call)),
        "stage_version": text_digest(json.dumps(call.executor.written, sort_keys=True)),
        "image": image(context, call),
    }
    recorded = outputs.artifact_of(artifact)
    # Nothing is written into a folder elsewhere, because it belongs to the user.
    provenance.attach(recorded, name, made_by, inputs, beside=path.is_relative_to(staged))
    artifact["metadata"] = recorded.metadata


def _typed(call: Call, output: str) -> Json:
    """The metadata for an output whose description begins with a TFX type in brackets."""
    kind = call.component.outputs.artifacts[output].tfx_type
    return {"tfx_type": kind, "tfx_version": TFX_VERSION} if kind in TYPES else {}


def _merged(declared: Json, written: Json) -> Json:
    return {**declared, **written, "metadata": {**declared["metadata"], **written.get("metadata", {})}}


def _written_parameters(call: Call, executor_input: Json, known: Json) -> Json:
    """Output parameters that the container wrote to files, but not to its ExecutorOutput."""
    specs = call.component.outputs.parameters
    found = {}
    for name, where in executor_input["outputs"]["parameters"].items():
        path = Path(where["outputFile"])
        if name not in known:
            if not path.is_file():
                raise UserError(f"{call.name} wrote no value for its output {name!r}")
            found[name] = _parsed(name, specs[name].type, path.read_bytes())
    return found


# As Go's strconv.ParseBool reads it.
_BOOLEANS = dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "false", "FALSE", "False"), False
)
_READERS: dict[str, Callable[[str], Any]] = {
    "STRING": str,
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": float,
    "BOOLEAN": lambda text: _BOOLEANS[text.strip()],
}


def _parsed(name: str, kind: str, written: bytes) -> Any:
    """Parses the file of an output parameter in the same way as Kubeflow's launcher."""
    try:
        value = _READERS.get(kind, json.loads)(written.decode())
    except (KeyError, ValueError):
        value = None
    if not isinstance(value, PYTHON_TYPES.get(kind, object)):
        shown = written[:100].decode(errors="replace")
        raise UserError(f"the output {name!r} takes a {kind.lower()}, not {shown!r}")
    return coerced(name, kind, value)
