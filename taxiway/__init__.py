"""How pipelines run: the compiled spec, the runners, lineage, data versions and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taxiway.session import Run, RunFailedError, run

__all__ = ["Run", "RunFailedError", "run"]


def __getattr__(name: str) -> Any:
    # Loaded on use: the processes that stages start in import this package, and need nothing of it.
    if name in __all__:
        import importlib

        return getattr(importlib.import_module("taxiway.session"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
