"""Runs pipelines: the compiled spec, runners, lineage, data versions, model serving and the command line."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taxiway.reports.notebook import compare, list_runs, open_run
    from taxiway.runs.record import Run, RunFailedError
    from taxiway.runs.session import run

__all__ = ["Run", "RunFailedError", "compare", "list_runs", "open_run", "run"]

_FROM = {
    "Run": "taxiway.runs.record",
    "RunFailedError": "taxiway.runs.record",
    "compare": "taxiway.reports.notebook",
    "list_runs": "taxiway.reports.notebook",
    "open_run": "taxiway.reports.notebook",
    "run": "taxiway.runs.session",
}


def _import_components() -> None:
    """Imports Taxiway's `components`, whatever of that name comes first on the path: the user's has its place in it."""
    folder = Path(__file__).parents[1]
    found = sys.modules.get("components")
    if found and Path(found.__file__ or "").parent == folder / "components":
        return
    spec = PathFinder.find_spec("components", [str(folder)])
    assert spec and spec.loader
    sys.modules["components"] = components = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(components)
    if found:
        from components.user_code import package_names

        package_names.share(components, replaced=found)


_import_components()


def __getattr__(name: str) -> Any:
    # Lazy: the processes that run stages import this package, but need none of these names.
    if module := _FROM.get(name):
        return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
