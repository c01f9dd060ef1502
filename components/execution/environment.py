"""The environment that a stage's results may depend on: Python, the numeric libraries and the processor."""

from __future__ import annotations

import functools
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

_LIBRARIES = (
    "apache-beam",
    "keras",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "tensorflow",
    "tensorflow-data-validation",
    "tensorflow-metadata",
    "tensorflow-model-analysis",
    "tensorflow-transform",
    "tf-keras",
    "tfx",
    "tfx-bsl",
)


@functools.cache
def described() -> dict[str, Any]:
    """`python`, `processor`, and `packages` with the versions of the installed libraries."""
    return {
        "python": platform.python_version(),
        "processor": _processor(),
        "packages": {name: version for name in _LIBRARIES if (version := _version(name))},
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    """The processor's model: processors may round differently, so that trained models differ in their last bits."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
