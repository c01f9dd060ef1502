"""The profile of the training data as a table, so that pages and SQL show it beside the windows."""

from __future__ import annotations

from components.monitoring.profile.rows import rows
from components.monitoring.store import Store
from components.monitoring.summaries import Reference
from components.monitoring.tables import TRAINING


def record(store: Store, model: str, reference: Reference) -> None:
    """Writes the profile of what a version was trained on; again does no harm."""
    key = {"model": model, "version": reference.version, "slice": ""}
    store.replace(TRAINING, rows(key, reference.columns), f"version = {reference.version}")
