"""The user's Python modules: found by import path or file, digested without being run, called with clear errors."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from components.digests import text_digest
from components.errors import UserError

_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib"))
# Where one of these is used, a name may be reached that no syntax shows: the whole file counts then.
_DYNAMIC = {"globals", "eval", "exec", "vars", "getattr", "__import__", "importlib", "locals"}


def source_file(module: str) -> Path:
    """The file of a module that is named by import path (`pipelines.taxi.model`) or by file (`taxi/model.py`).

    Nothing of the module, and no package above it, is run.

    Raises:
        UserError: There is no such module.
    """
    if module.endswith(".py"):
        if (path := Path(module).resolve()).is_file():
            return path
    elif all(part.isidentifier() for part in module.split(".")) and (found := _find(module)):
        return found
    raise UserError(
        f"the module {module!r} was not found in {Path.cwd()} or on the Python path",
        mend="give an import path (pipelines.taxi.model) or a file (pipelines/taxi/model.py)",
    )


def describe(module: str, function: str) -> dict[str, str]:
    """What the lineage says of a function in a user's module: `name`, `function`, `file_digest` and `digest`.

    `digest` covers the function and what it uses: the definitions in its module that it reaches, every import there,
    and the whole source of the modules beside it that are imported. So a change to `run_fn` alone leaves the digest
    of `preprocessing_fn` in the same file as it was.
    """
    path = source_file(module)
    source = _read(path)
    return {
        "name": module,
        "function": function,
        "file_digest": text_digest(source),
        "digest": text_digest("\0".join(_reached_sources(path, source, function))),
    }


def functions(module: str) -> set[str]:
    """The names that a module defines at its top level, read from its source.

    Raises:
        UserError: There is no such module, or its source has a syntax error.
    """
    path = source_file(module)
    return {name for node in _parse(path, _read(path)).body for name in _defined(node)}


def load(module: str, function: str) -> Callable[..., Any]:
    """Imports a module and returns one of its functions, wrapped so that what it raises is a `UserError`.

    Raises:
        UserError: The module is missing, cannot be imported, or has no such function.
    """
    path = source_file(module)
    imported = _calling(path, _import, module, path)
    if not hasattr(imported, function):
        defined = sorted(name for name, value in vars(imported).items() if callable(value) and not name.startswith("_"))
        raise UserError(
            f"{path} defines no {function}",
            mend=f"define {function} there (it has {', '.join(defined) or 'no functions'}), or name another module",
        )
    return getattr(imported, function)  # type: ignore[no-any-return]


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a user's function; what it raises becomes a `UserError` whose traceback ends in the user's line."""
    return _calling(Path(function.__code__.co_filename), function, *arguments)


def _calling(path: Path, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except UserError:
        raise
    except Exception as error:
        raise UserError(_short_traceback(path, error)) from error


def _short_traceback(path: Path, error: Exception) -> str:
    """The frames of the user's own files, then the error: libraries in between say little to the user."""
    frames = traceback.extract_tb(error.__traceback__)
    folder = path.parent
    own = [f for f in frames if Path(f.filename).is_relative_to(folder) and not _is_library(Path(f.filename))]
    own = own or [f for f in frames if f.filename == str(path)]
    lines = [f'  File "{f.filename}", line {f.lineno}, in {f.name}\n    {f.line}' for f in own]
    said = "".join(traceback.format_exception_only(error)).strip()
    return "\n".join([f"{path.name} raised {said}", *lines])


def _import(module: str, path: Path) -> ModuleType:
    if not module.endswith(".py"):
        return importlib.import_module(module)
    # Modules beside a file can be imported by it, as when Python runs a script.
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    imported = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = imported
    spec.loader.exec_module(imported)
    return imported


def _find(module: str) -> Path | None:
    """Finds a module's file on the path by folders alone; `importlib.util.find_spec` would run its parents."""
    parts = Path(*module.split("."))
    for root in [Path.cwd(), *map(Path, sys.path)]:
        for candidate in (root / parts.with_suffix(".py"), root / parts / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}", mend="save it as UTF-8") from error


def _parse(path: Path, source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise UserError(f'syntax error: {error.msg}\n  File "{path}", line {error.lineno}\n    {error.text}') from error


def _reached_sources(path: Path, source: str, function: str, seen: set[Path] | None = None) -> Iterator[str]:
    """The text of what a function uses in its module, then the whole text of the modules beside it, each once."""
    tree = _parse(path, source)
    yield "\n".join(ast.unparse(node) for node in _reached(tree, function))
    seen = {path} if seen is None else seen
    for imported in _imported_files(path, tree):
        if imported not in seen:
            seen.add(imported)
            yield from _reached_sources(imported, _read(imported), "", seen)


def _reached(tree: ast.Module, function: str) -> list[ast.stmt]:
    """The statements of a module that count for a function; all of them where that cannot be told."""
    definitions = {name: node for node in tree.body for name in _defined(node)}
    if function not in definitions or _DYNAMIC & {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}:
        return tree.body
    named = {id(node) for node in definitions.values()}
    reached = [node for node in tree.body if id(node) not in named]
    waiting = [definitions[function], *reached]
    kept = set(map(id, waiting))
    while waiting:
        used = {n.id for n in ast.walk(waiting.pop()) if isinstance(n, ast.Name)}
        for node in (definitions[name] for name in used & definitions.keys()):
            if id(node) not in kept:
                kept.add(id(node))
                waiting.append(node)
    return [node for node in tree.body if id(node) in kept]


def _defined(node: ast.stmt) -> list[str]:
    """The names that a definition or a plain assignment binds; every other statement always counts."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def _imported_files(path: Path, tree: ast.Module) -> list[Path]:
    """The files that a module imports and that belong to the user: not the standard library, not site-packages."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {(0, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names |= {(node.level, base)} | {(node.level, f"{base}.{alias.name}".strip(".")) for alias in node.names}
    found = {_beside(path, level, name) for level, name in names if name}
    return sorted(file for file in found if file and not _is_library(file))


def _beside(path: Path, level: int, name: str) -> Path | None:
    if level == 0:
        return _file_in(path.parent, name) or _find(name)
    return _file_in(path.parents[level - 1], name)


def _file_in(folder: Path, name: str) -> Path | None:
    parts = Path(*name.split("."))
    candidates = (folder / parts.with_suffix(".py"), folder / parts / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _is_library(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _LIBRARIES)
