"""What a container left as its output artifacts: brought to where they are kept, refused where there is nothing.

Source: backend/src/v2/component/launcher_v2.go, `uploadOutputArtifacts`. It lets an output pass of which there is no
file, and a task that wants to read it fails later, elsewhere.
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

# How protobuf and kfp write the name of the same field.
_CUSTOM_PATH = ("customPath", "custom_path")
# Kubeflow's types whose content is their metadata.
_WITHOUT_FILES = {"system.Metrics", "system.ClassificationMetrics", "system.SlicedClassificationMetrics"}

Seen = Callable[[Path], Path | None]
"""Where this machine has what a container wrote to a path; None where only the container saw it."""


def artifact_of(runtime: Mapping[str, Any]) -> Artifact:
    """A RuntimeArtifact document as an artifact of its TFX type; of Kubeflow's, where that has metrics; or of none."""
    metadata = dict(runtime.get("metadata", {}))
    title = runtime.get("type", {}).get("schemaTitle")
    kind = TYPES.get(metadata.get("tfx_type", ""), Metrics if title == Metrics.schema_title else Artifact)
    return kind(local_path(runtime["uri"]), metadata, runtime["uri"])


def kept(artifact: Json, place: Path, seen: Seen, task: str) -> Json:
    """An artifact as its container described it, with its content where it is kept.

    Kubeflow's launcher uploads what lies at a custom path to the artifact's URI; so it is copied here. A URI that leads
    to another place of this machine stays: the artifact lies there.

    Args:
        artifact: A RuntimeArtifact document.
        place: Where the output was to be written, in the folder that is kept.
        seen: See `Seen`.
        task: The task's name.

    Raises:
        UserError: Only the container saw the content, or there is neither content nor metadata.
    """
    described = _brought(artifact, place, seen, task)
    _require_content(described, task, place.name)
    return described


def _brought(artifact: Json, place: Path, seen: Seen, task: str) -> Json:
    custom = next((artifact[key] for key in _CUSTOM_PATH if artifact.get(key)), "")
    described = {key: value for key, value in artifact.items() if key not in _CUSTOM_PATH}
    written = Path(custom or local_path(artifact["uri"])).absolute()
    if not custom and ("://" in artifact["uri"] or written.is_relative_to(place.parent)):
        return described
    found = seen(written)
    if found is None:
        raise UserError(
            f"{task} wrote its output {place.name!r} to {written}, which only its container saw",
            fix="write it below the working folder or /tmp, or to the path that the component is given",
        )
    if not custom and found == written and not written.is_relative_to(place.parent.parent):
        return {**described, "uri": str(written)}
    _copy(found, place)
    return {**described, "uri": str(place)}


def _require_content(artifact: Json, task: str, name: str) -> None:
    says = artifact["metadata"] or "://" in artifact["uri"] or artifact["type"].get("schemaTitle") in _WITHOUT_FILES
    if not says and not local_path(artifact["uri"]).exists():
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
