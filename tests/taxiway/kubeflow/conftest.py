"""A stub of Kubeflow on loopback, and a small compiled pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taxiway.kubeflow import compilation
from taxiway.language.spec import Pipeline
from tests.taxiway.kubeflow.stub import Kubeflow, serving

SMALL = str(Path(__file__).with_name("pipelines") / "small.py")


@pytest.fixture
def kubeflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubeflow]:
    """A running stub of Kubeflow; runs are recorded in the test's folder."""
    monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TAXIWAY_LINEAGE", raising=False)
    monkeypatch.setenv("TAXIWAY_COMMIT", "c0ffee")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    with serving(Kubeflow()) as served:
        yield served


@pytest.fixture(scope="session")
def small() -> Pipeline:
    return compilation.compiled(SMALL)
