"""The sections about artifacts, by type, in the order of a page."""

from __future__ import annotations

from collections.abc import Callable

from components.contract.artifacts import Artifact
from components.reports.data import anomalies, schema, statistics
from components.reports.page import Section

RENDERERS: dict[str, Callable[[Artifact], Section]] = {
    "ExampleStatistics": statistics.of_artifact,
    "Schema": schema.of_artifact,
    "ExampleAnomalies": anomalies.of_artifact,
}
"""By the name of the artifact's type. A renderer reads the artifact's files and may raise anything."""
