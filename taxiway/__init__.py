"""Runs pipelines: the compiled spec, runners, lineage, data versions, model serving and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taxiway.runs.record import Run, RunFailedError
    from taxiway.runs.session import run

__all__ = ["Run", "RunFailedError", "run"]

_FROM = {"Run": "taxiway.runs.record", "RunFailedError": "taxiway.runs.record", "run": "taxiway.runs.session"}


def __getattr__(name: str) -> Any:
    # Lazy: the processes that run stages import this package, but need none of these names.
    if module := _FROM.get(name):
        import importlib

        return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
