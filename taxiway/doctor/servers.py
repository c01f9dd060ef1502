"""Compares TensorFlow's version with the TF Serving images that will load its models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import yaml

from taxiway.doctor.findings import Check, Line, State, Use

_IMAGES = Path("manifests/components/images/kustomization.yaml")
_NAME = "TF Serving image"


def checks(use: Use) -> list[Check]:
    """The images in the manifests and in the pipeline."""
    return [Check(_NAME, "this machine", lambda: list(_lines(use)))]


def _lines(use: Use) -> Iterator[Line]:
    images = [*_in_manifests(use.folder), *_in_pipeline(use)]
    for where, image in dict.fromkeys(images):
        yield _line(where, image)


def _in_manifests(folder: Path) -> Iterator[tuple[str, str]]:
    file = folder / _IMAGES
    if not file.is_file():
        return
    for image in (yaml.safe_load(file.read_text()) or {}).get("images", []):
        name = str(image.get("newName") or image["name"])
        if name.endswith("tensorflow/serving"):
            yield "manifests", f"{name}:{image.get('newTag', 'latest')}"


def _in_pipeline(use: Use) -> Iterator[tuple[str, str]]:
    for task in use.tasks:
        for settings in task.serving.values():
            if isinstance(settings, dict) and settings.get("image"):
                yield task.name, str(settings["image"])


def _line(where: str, image: str) -> Line:
    trained = metadata.version("tensorflow")
    served = re.fullmatch(r".*tensorflow/serving:(\d+)\.(\d+)[\w.-]*", image)
    shown = f"{image} ({where})"
    if not served:
        return Line(_NAME, State.UNKNOWN, f"{shown}: the name does not contain TF Serving's version")
    if (int(served[1]), int(served[2])) >= _minor(trained):
        return Line(_NAME, State.OK, f"{shown} reads what TensorFlow {trained} writes")
    found = f"{shown} is older than TensorFlow {trained} and may not read its models"
    return Line(
        _NAME,
        State.WARNING,
        found,
        f"use tensorflow/serving:{trained} in {_IMAGES if where == 'manifests' else where}",
    )


def _minor(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")[:2]))
