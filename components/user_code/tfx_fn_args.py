"""`tfx.components.trainer.fn_args_utils` without the packages around it.

Modules written for TFX import the class of their arguments from there. That module is small, but Python first runs the
`__init__` of `tfx.components`, which imports every component of TFX, the Kubernetes client, a tuner, and all of TFMA.
This takes as long as a whole stage. Importing the present module loads `fn_args_utils` alone. Any other import from
these packages loads them in full: their `__init__` runs then.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Collection, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

MODULE = "tfx.components.trainer.fn_args_utils"
_TFX, _TFMA = "tfx.components", "tensorflow_model_analysis"
_PACKAGES = (_TFX, _TFMA)


class _Loader(SourceFileLoader):
    """Loads a package as usual, and adds its modules that were loaded before as attributes."""

    def __init__(self, name: str, path: str, packages: Collection[str]) -> None:
        super().__init__(name, path)
        self._packages = packages

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        package = ModuleType(spec.name)
        for name, module in list(sys.modules.items()):
            above, _, inner = name.rpartition(".")
            if above == spec.name:
                setattr(package, inner, module)
        return package

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        for name in self._packages:
            if name.rpartition(".")[0] == module.__name__:
                importlib.import_module(name)
        if module.__name__ == _TFMA:
            # TFX adds names to TFMA that other code expects.
            importlib.import_module(_TFX)


class _Finder:
    """Finds the packages for `_Loader`."""

    def __init__(self, packages: Collection[str]) -> None:
        self._packages = packages

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name in self._packages else None
        if spec and spec.origin:
            spec.loader = _Loader(name, spec.origin, self._packages)
        return spec


def _bare(name: str) -> ModuleType:
    """An empty package with the right location."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return importlib.util.module_from_spec(spec)


def _components(name: str) -> Any:
    if name == "components":
        return importlib.import_module(_TFX)
    raise AttributeError(f"module 'tfx' has no attribute {name!r}")


def _load() -> None:
    sys.modules.update({name: _bare(name) for name in _PACKAGES})
    try:
        importlib.import_module(MODULE)
    finally:
        # Remove inner packages too: their modules could otherwise be loaded without the outer package's `__init__`.
        inside = {name: module for name, module in sys.modules.items() if name.startswith(_PACKAGES)}
        packages = [name for name, module in inside.items() if hasattr(module, "__path__")]
        for name in {*packages, f"{_TFMA}.sdk"}:
            sys.modules.pop(name, None)
    # Directly before Python's own finder, so that finders that watch imports see these imports too.
    sys.meta_path.insert(sys.meta_path.index(PathFinder), _Finder(packages))  # type: ignore[arg-type]
    # `import tfx.components.trainer.fn_args_utils` finds the module, but code then reaches it through `tfx.components`.
    sys.modules["tfx"].__getattr__ = _components  # type: ignore[method-assign]


if not sys.modules.keys() & set(_PACKAGES):
    _load()
