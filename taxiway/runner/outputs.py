"""Moves a container's output artifacts to their final place, and rejects outputs without content.

Source: backend/src/v2/component/launcher_v2.go, `uploadOutputArtifacts`. Kubeflow accepts an output without a file, so
that a later task fails when it reads the output.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components.contract.artifacts import TYPES, Artifact, Metrics
from components.contract.errors import UserError
from components.execution.executor import local_path
from taxiway.language.values import Json

# The same field, as protobuf and as kfp spell it.
_CUSTOM_PATH = ("customPath", "custom_path")
# Kubeflow's types whose content is in their metadata.
_WITHOUT_FILES = {"system.Metrics", "system.ClassificationMetrics", "system.SlicedClassificationMetrics"}

Seen = Callable[[Path], Path | None]
"""The path on this machine of what a container wrote to a path; None if it exists only in the container."""


def artifact_of(runtime: Mapping[str, Any]) -> Artifact:
    """Converts a RuntimeArtifact document to its TFX type, to `Metrics` for Kubeflow's metrics, or to `Artifact`."""
    metadata = dict(runtime.get("metadata", {}))
    title = runtime.get("type", {}).get("schemaTitle")
    kind = TYPES.get(metadata.get("tfx_type", ""), Metrics if title == Metrics.schema_title else Artifact)
    return kind(local_path(runtime["uri"]), metadata, runtime["uri"])


def kept(artifact: Json, place: Path, seen: Seen, task: str) -> Json:
    """An artifact as its container described it, with its content in its final place.

    The content of a custom path is copied to the artifact's URI, where Kubeflow's launcher would upload it. A URI of
    another place on this machine is unchanged: the artifact stays there.

    Args:
        artifact: A RuntimeArtifact document.
        place: The path that the component was given for the output, in the folder that is kept.
        seen: See `Seen`.
        task: The task's name.

    Raises:
        UserError: The content exists only in the container, or there is neither content nor metadata.
    """
    described = _in_place(artifact, place, seen, task)
    _require_content(described, task, place.name)
    return described


def _in_place(artifact: Json, place: Path, seen: Seen, task: str) -> Json:
    custom = next((artifact[key] for key in _CUSTOM_PATH if artifact.get(key)), "")
    described = {key: value for key, value in artifact.items() if key not in _CUSTOM_PATH}
    written = Path(custom or local_path(artifact["uri"])).absolute()
    if not custom and ("://" in artifact["uri"] or written.is_relative_to(place.parent)):
        return described
    found = seen(written)
    if found is None:
        raise UserError(
            f"{task} wrote its output {place.name!r} to {written}, which exists only in its container",
            fix="write it inside the working folder or /tmp, or to the path that the component is given",
        )
    if not custom and found == written and not written.is_relative_to(place.parent.parent):
        return {**described, "uri": str(written)}
    _copy(found, place)
    return {**described, "uri": str(place)}


def _require_content(artifact: Json, task: str, name: str) -> None:
    has_content = (
        artifact["metadata"] or "://" in artifact["uri"] or artifact["type"].get("schemaTitle") in _WITHOUT_FILES
    )
    if not has_content and not local_path(artifact["uri"]).exists():
        raise UserError(
            f"{task} wrote nothing for its output {name!r}",
            fix="write a file or a folder to the path that the component is given, or give the artifact metadata",
        )


def _copy(found: Path, place: Path) -> None:
    if not found.exists():
        return
    if place.is_dir():
        shutil.rmtree(place)
    if found.is_dir():
        shutil.copytree(found, place)
    else:
        place.parent.mkdir(exist_ok=True)
        shutil.copyfile(found, place)
