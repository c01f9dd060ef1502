"""Lets the user have packages named `components` and `pipelines` beside Taxiway's.

Python allows only one package per name. So Taxiway's packages search every folder of their name on the path:
`components` searches Taxiway's folder first, because its modules must not be replaced; `pipelines` follows the order of
the path. The user's `components/__init__.py` or `components.py` runs when it is first used, and its names can be
imported from `components`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from importlib.abc import Loader  # importing it takes longer than importing this package

OURS = "components"
SHARED = "pipelines"
FOLDER = Path(__file__).parents[1]
_MARK = "contract/artifacts.py"
_users: dict[Path, ModuleType] = {}
"""The user's packages named `components` that have run, by file; one for each working folder of the process."""


class Folders(Sequence[str]):
    """The folders that are searched for a package's modules: those with its name on the current path."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _found(self) -> list[str]:
        found = [Path(root).absolute() / self._name for root in sys.path]
        own = [FOLDER] if self._name == OURS else []
        others = (folder for folder in found if folder.is_dir() and not is_taxiways(folder))
        return [str(folder) for folder in dict.fromkeys([*own, *others])]

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        return self._found()[place]

    def __len__(self) -> int:
        return len(self._found())

    def __repr__(self) -> str:
        return repr(self._found())


def is_taxiways(folder: Path) -> bool:
    """Whether a folder is Taxiway's `components`: the running package, or a copy such as a checkout in an image."""
    return (folder / _MARK).is_file()


def is_taken(module: str) -> bool:
    """Whether Taxiway has a module `components.<module>`."""
    return (FOLDER / module).is_dir() or (FOLDER / f"{module}.py").is_file()


def users_file(root: Path) -> Path | None:
    """The user's `components/__init__.py` or `components.py` in a folder on the path."""
    places = (root / OURS / "__init__.py", root / f"{OURS}.py")
    return next((file.resolve() for file in places if file.is_file() and not is_taxiways(file.parent)), None)


def users_attribute(name: str) -> Any:
    """An attribute of the user's package named `components`.

    Raises:
        AttributeError: There is no such package, or it has no such attribute.
    """
    # Python looks up its special names in every module.
    package = None if name.startswith("__") else _users_package()
    if package is None or not hasattr(package, name):
        raise AttributeError(f"module {OURS!r} has no attribute {name!r}")
    return getattr(package, name)


def share(components: ModuleType, replaced: ModuleType | None = None) -> None:
    """Makes Taxiway's `components` include the user's, and `pipelines` all packages of that name.

    Args:
        components: Taxiway's package.
        replaced: The user's package, if it was imported under that name before.
    """
    components.__path__ = Folders(OURS)  # type: ignore[assignment]
    if replaced and replaced.__file__:
        _users[Path(replaced.__file__).resolve()] = replaced
    if loaded := sys.modules.get(SHARED):
        loaded.__path__ = Folders(SHARED)  # type: ignore[assignment]
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())  # type: ignore[arg-type]


def _users_package() -> ModuleType | None:
    file = next((file for root in sys.path if (file := users_file(Path(root).absolute()))), None)
    if file is None:
        return None
    if file not in _users:
        spec = importlib.util.spec_from_file_location(OURS, file, submodule_search_locations=[])
        assert spec and spec.loader
        package = importlib.util.module_from_spec(spec)
        package.__path__ = Folders(OURS)  # type: ignore[assignment]
        _users[file] = package
        try:
            spec.loader.exec_module(package)
        except BaseException:
            del _users[file]
            raise
    return _users[file]


class _Finder:
    """Finds `pipelines` with all of its folders, and runs the user's `components` before its modules."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == SHARED:
            spec = PathFinder.find_spec(name)
            if spec:
                spec.submodule_search_locations = Folders(SHARED)  # type: ignore[assignment]
            return spec
        package, _, module = name.rpartition(".")
        return _users_module(name, path) if package == OURS and not is_taken(module) else None


def _users_module(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    spec = PathFinder.find_spec(name, path)
    if spec and spec.loader and _users_package():
        spec.loader = _Once(spec.loader)  # type: ignore[assignment]
    return spec


class _Once:
    """Loads a module once: its package, which runs during the search for the module, may have imported it already."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._module: ModuleType | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._module or self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module is not self._module:
            self._module = module
            self._loader.exec_module(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
