"""Converts Taxiway's values to ML Metadata's messages and back.

The artifact types are those of TFX (tfx 1.21, `tfx/types/standard_artifacts.py`): the same names, properties and base
types, so that TFX and Taxiway can share a store.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2
from ml_metadata.proto import metadata_store_pb2 as pb

from components.contract.artifacts import TFX_VERSION, Artifact
from components.execution import provenance

_SPLITS = {"span": pb.INT, "split_names": pb.STRING}
_PROPERTIES = {
    "Examples": {**_SPLITS, "version": pb.INT},
    "ExampleStatistics": _SPLITS,
    "ExampleAnomalies": _SPLITS,
}
_BASE_TYPES = {
    "Examples": pb.ArtifactType.DATASET,
    "ExampleStatistics": pb.ArtifactType.STATISTICS,
    "Model": pb.ArtifactType.MODEL,
    "PushedModel": pb.ArtifactType.MODEL,
}
_SINGLE = "__value__"  # TFX's key for a JSON value that is not an object, because a Struct can only hold objects


def artifact_type(name: str) -> pb.ArtifactType:
    """TFX's declaration of an artifact type."""
    return pb.ArtifactType(name=name, properties=_PROPERTIES.get(name), base_type=_BASE_TYPES.get(name))


def external_id(artifact: Artifact) -> str:
    """The identity of an artifact in the store: its URI and its content."""
    identity = f"{artifact.uri}\0{artifact.metadata.get('digest', '')}"
    return "taxiway:" + hashlib.sha256(identity.encode()).hexdigest()


def new_artifact(artifact: Artifact, type_id: int, port: str, maker: pb.Execution | None) -> pb.Artifact:
    """Builds an artifact that is not in the store yet.

    Args:
        artifact: An output or input of a stage.
        type_id: Its type in the store.
        port: The name of the output (or input), which TFX keeps as a custom property.
        maker: The execution whose output it is; None if it was made elsewhere.
    """
    stage = maker.custom_properties["stage"].string_value if maker else ""
    records = _records(artifact, stage)
    metadata = {"tfx_version": TFX_VERSION, **artifact.metadata, "name": port, **records}
    # The store assembles the chain from its own artifacts.
    metadata.pop(provenance.CHAIN_PROPERTY, None)
    declared = _PROPERTIES.get(artifact.type_name, {})
    return pb.Artifact(
        type_id=type_id,
        name=f"{maker.name}/{port}" if maker else None,
        uri=artifact.uri,
        external_id=external_id(artifact),
        state=pb.Artifact.LIVE,
        properties={key: _declared(metadata[key], declared[key]) for key in declared.keys() & metadata.keys()},
        custom_properties=values({key: metadata[key] for key in metadata.keys() - declared.keys()}),
    )


def values(properties: Mapping[str, Any]) -> dict[str, pb.Value]:
    """JSON values as properties, without nulls."""
    return {key: _value(value) for key, value in properties.items() if value is not None}


def plain(properties: Mapping[str, pb.Value]) -> dict[str, Any]:
    """Properties as JSON values."""
    return {key: _plain(value) for key, value in properties.items()}


def event(kind: pb.Event.Type, ports: list[str]) -> pb.Event:
    """How an execution used an artifact: under each port's name, at index 0, as in TFX."""
    steps = [step for port in ports for step in (pb.Event.Path.Step(key=port), pb.Event.Path.Step(index=0))]
    return pb.Event(type=kind, path=pb.Event.Path(steps=steps))


def _records(artifact: Artifact, stage: str) -> dict[str, str]:
    """The records beside an artifact that the store cannot assemble from other artifacts.

    This is its own record, because the metadata passed through runners replaces long parameters by digests. If the
    artifact or its source was not made by this stage but imported, these are all its records.
    """
    records = provenance.chain(artifact)
    if not records or records[0]["digest"] != artifact.metadata.get("digest"):
        return {}
    is_imported = records[0]["stage"] != stage or "source" in records[0]["inputs"]
    others = {"source_provenance": json.dumps(records[1:])} if is_imported else {}
    return {"provenance": json.dumps(records[0]), **others}


def _declared(value: Any, kind: int) -> pb.Value:
    if kind == pb.INT:
        return pb.Value(int_value=int(value))
    return pb.Value(string_value=value if isinstance(value, str) else json.dumps(value))


def _value(value: Any) -> pb.Value:
    if isinstance(value, bool | int):
        # TFX stores booleans as 0 and 1, and its readers only look at int_value.
        return pb.Value(int_value=int(value))
    if isinstance(value, float):
        return pb.Value(double_value=value)
    if isinstance(value, str):
        return pb.Value(string_value=value)
    struct = struct_pb2.Struct()
    json_format.ParseDict(value if isinstance(value, dict) else {_SINGLE: value}, struct)
    return pb.Value(struct_value=struct)


def _plain(value: pb.Value) -> Any:
    kind = value.WhichOneof("value")
    if kind == "struct_value":
        decoded = json_format.MessageToDict(value.struct_value)
        return decoded.get(_SINGLE, decoded)
    return getattr(value, kind) if kind else None
