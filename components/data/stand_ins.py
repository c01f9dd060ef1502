"""Imports modules of a package without the package's own `__init__`, which may load all of TensorFlow or Beam."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


def module(name: str) -> Any:
    """A module of generated code, whose names no type checker knows."""
    return importlib.import_module(name)


@contextmanager
def stood_in_for(*packages: str) -> Iterator[None]:
    """Empty packages take the place of those that are not loaded yet, as long as the block lasts.

    Only for modules of protos: a later import of the package gets the real one, and both have the same message
    classes, because protobuf creates one class per message in a process.

    Raises:
        ModuleNotFoundError: There is no such package.
    """
    missing = [package for package in packages if package not in sys.modules]
    sys.modules.update({package: _stand_in(package) for package in missing})
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] in missing]:
            del sys.modules[name]


def _stand_in(package: str) -> ModuleType:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    stand_in = ModuleType(package)
    stand_in.__path__ = list(spec.submodule_search_locations)
    return stand_in
