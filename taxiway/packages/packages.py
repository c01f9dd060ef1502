"""Finds the installed packages behind a task's imports: those that its outputs can depend on.

An import leads to a package, and the metadata of that package to its dependencies. Packages that the task's code does
not reach, such as a notebook kernel, have no influence. Reading the metadata of a whole environment takes a tenth of a
second, so the results are cached in a file, package by package.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sys
import threading
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from components.contract import files
from components.execution import provenance
from components.user_code import module_syntax
from components.user_code.module_syntax import ANYTHING
from taxiway.packages import metadata
from taxiway.packages.metadata import Package

# What a package loads without declaring it: another Keras, CUDA's libraries, drivers for URL schemes.
_LOADS = {"tensorflow": ["tf-keras", "tensorflow[and-cuda]"], "fsspec": ["s3fs", "gcsfs", "adlfs"]}
_PLUGINS = "tensorflow-plugins"  # the folder from which TensorFlow loads devices
_OURS = "taxiway"  # the digest of its code is part of the cache key anyway


class Packages:
    """The packages installed in this environment, read on demand.

    Args:
        memory: The file that caches the results.
    """

    def __init__(self, memory: Path) -> None:
        self._file = memory
        self._lock = threading.Lock()
        self._is_new = False
        self._labels: dict[str, str] = {}

    def behind(self, imports: Iterable[str]) -> list[str]:
        """What code with these imports can depend on: Python, code that runs at its start, and packages with versions.

        Args:
            imports: Dotted names; names that belong to no package are ignored, and ANYTHING stands for all packages.
        """
        with self._lock:
            names = set(imports)
            roots = set(self._by_name) if ANYTHING in names else {each for name in names for each in self._owners(name)}
            self._remember()
            labels = [self._label(name) for name in sorted(self._closure(roots))]
        return [f"python {sys.version}", *self._startup, *labels]

    def stage_imports(self, stage: str) -> list[str]:
        """The names that a stage's code imports anywhere, without Taxiway's own modules."""
        with self._lock:
            known = self._memory["stages"]
            version = provenance.stage_version(stage)
            if version not in known:
                known[version] = sorted(_imports_of(stage))
                self._is_new = True
            return list(known[version])

    @cached_property
    def _startup(self) -> list[str]:
        return metadata.startup()

    @cached_property
    def _memory(self) -> dict[str, dict[str, Any]]:
        """`packages` by metadata folder, `owners` by import, and the imports of `stages` by stage version."""
        places = metadata.places()
        try:
            found: dict[str, dict[str, Any]] = json.loads(self._file.read_text())
            known, owners, stages = (found[name] for name in ("packages", "owners", "stages"))
        except (OSError, ValueError, KeyError, TypeError):
            known, owners, stages = {}, {}, {}
        same = list(known) == list(places)
        self._is_new = not same
        packages = {place: known[place] if place in known else metadata.read(path) for place, path in places.items()}
        return {"packages": packages, "owners": owners if same else {}, "stages": stages}

    @cached_property
    def _by_name(self) -> dict[str, Package]:
        """The packages by name; as in Python, the first on the path wins."""
        found: dict[str, Package] = {}
        for values in self._memory["packages"].values():
            package = Package(**values)
            if package.name != _OURS:
                found.setdefault(package.name, package)
        return found

    @cached_property
    def _by_module(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, package in self._by_name.items():
            for module in package.modules:
                found.setdefault(module, []).append(name)
        return found

    def _owners(self, name: str) -> list[str]:
        known: dict[str, list[str]] = self._memory["owners"]
        sharers = self._by_module.get(name.partition(".")[0], [])
        if len(sharers) > 1 and name not in known:
            known[name] = self._nearest(name, sharers)
            self._is_new = True
        return known[name] if len(sharers) > 1 else sharers

    def _label(self, name: str) -> str:
        if name not in self._labels:
            self._labels[name] = self._by_name[name].label
        return self._labels[name]

    def _nearest(self, name: str, sharers: list[str]) -> list[str]:
        """Of packages that share a namespace, such as `google`, those that match most of a module's name."""
        parts = name.split(".")
        for count in range(len(parts), 1, -1):
            path = "/".join(parts[:count])
            if found := [each for each in sharers if metadata.has_module(self._by_name[each], path)]:
                return found
        return sharers

    def _closure(self, roots: Iterable[str]) -> set[str]:
        done: set[tuple[str, str]] = set()
        waiting = [(root, "") for root in roots]
        while waiting:
            name, extra = waiting.pop()
            if name in self._by_name and (name, extra) not in done:
                done.add((name, extra))
                waiting += self._needs(name, extra)
        return {name for name, _ in done}

    def _needs(self, name: str, extra: str) -> Iterator[tuple[str, str]]:
        """What a package, or one of its extras, requires and loads: pairs of name and extra, "" for no extra."""
        needs = [(other, extras) for other, extras, condition in self._by_name[name].needs if condition == extra]
        if not extra:
            needs += [metadata.split(text) for text in _LOADS.get(name, [])]
            needs += [(plugin, []) for plugin in self._by_module.get(_PLUGINS, []) if name == "tensorflow"]
        for other, extras in needs:
            yield from ((other, each) for each in ("", *extras))

    def _remember(self) -> None:
        if not self._is_new:
            return
        with contextlib.suppress(OSError):  # It is only a cache.
            self._file.parent.mkdir(parents=True, exist_ok=True)
            files.write(self._file, json.dumps(self._memory))
        self._is_new = False


@functools.cache
def _imports(file: Path) -> set[str]:
    return {name for _, name in module_syntax.written_imports(module_syntax.parse(file))}


def _imports_of(stage: str) -> set[str]:
    """The imports of the entrypoint, of a stage, and of the modules of ours that they import.

    What the entrypoint imports to run several stages in one container does not count: the cache of that container's
    stages has keys of its own.
    """
    here = Path(provenance.__file__).parents[1]
    found, seen = set[str](), {*(here / "fused").glob("*.py")}
    waiting = [here / "__main__.py", here / stage / "stage.py"]
    while waiting:
        file = waiting.pop()
        if file in seen or not file.is_file():
            continue
        seen.add(file)
        for name in _imports(file):
            package, *inner = name.split(".")
            if package == here.name:
                place = here.joinpath(*inner)
                waiting += [place.with_suffix(".py"), place / "__init__.py"]
            else:
                found.add(name)
    return found
