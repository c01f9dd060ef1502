"""The labels that a models.config of TF Serving gives to a pushed version now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import text_format

from components.contract.artifacts import ELSEWHERE, Artifact
from components.data.serving_stubs import model_server_config_pb2

_CONFIG = "models.config"


def of_version(pushed_model: Artifact) -> list[str]:
    """The labels of a pushed version, sorted; empty if no models.config on this machine names it.

    The config is in the destination's folder or the one above it. It names the destination by its path or, as inside
    of a container, by the name of its folder.
    """
    found: set[str] = set()
    for version in _places(pushed_model):
        for file in (version.parent / _CONFIG, version.parent.parent / _CONFIG):
            if version.name.isdigit() and file.is_file():
                found |= set(_labels(file, version.parent, int(version.name)))
    return sorted(found)


def _places(pushed_model: Artifact) -> list[Path]:
    """Where the version lies on this machine."""
    places = json.loads(pushed_model.metadata.get(ELSEWHERE, "{}")).get("places", [])
    return [Path(place) for place in places if "://" not in place]


def _labels(file: Path, destination: Path, version: int) -> Iterator[str]:
    config = text_format.Parse(file.read_text("utf-8"), model_server_config_pb2.ModelServerConfig())
    for model in config.model_config_list.config:
        if model.name == destination.name or (model.base_path and Path(model.base_path).absolute() == destination):
            yield from (label for label, labelled in model.version_labels.items() if labelled == version)
