"""The user's Python modules: finds them by import path or file, digests them without running them, and calls them."""

from __future__ import annotations

import ast
import atexit
import functools
import importlib
import importlib.util
import inspect
import json
import shutil
import sys
import sysconfig
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from components.contract.commands import shown, typed
from components.contract.digests import file_digest, text_digest
from components.contract.errors import UserError
from components.user_code import module_syntax, package_names

_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()
_INSTALLED = {"site-packages", "dist-packages"}
_OURS = (package_names.FOLDER, package_names.FOLDER.parent / "taxiway")
# Optional functions that a stage calls besides the required one.
_BESIDE = {"preprocessing_fn": {"stats_options_updater_fn"}}
# Libraries that do not mention the user's columns, features or signatures.
_NAME_NOTHING = {
    *("", "absl", "components", "keras", "keras_tuner", "kfp", "numpy", "pandas", "pyarrow", "tensorflow", "tf_keras"),
    *("tensorflow_data_validation", "tensorflow_metadata", "tensorflow_model_analysis", "tensorflow_transform"),
    *("tfx_bsl",),
}
_INLINE_LIMIT = 100_000  # bytes; Linux limits an argument to 128 KiB
_INLINE_AGAIN = "compile the pipeline again with --inline-modules"
_inlined: list[Path] = []
"""Folders with modules that were inlined in a compiled pipeline; they are searched first."""


def source_file(module: str) -> Path:
    """The file of a module, given by import path (`pipelines.taxi.model`) or file (`taxi/model.py`).

    Neither the module nor the packages above it are run.

    Raises:
        UserError: There is no such module.
    """
    if module.endswith(".py"):
        if files := [file for root in [*_inlined, Path()] if (file := root / module).is_file()]:
            return files[0].resolve()
    elif all(part.isidentifier() for part in module.split(".")) and (found := _find(module)):
        return _with_own_name(found)
    raise UserError(
        f"the module {module!r} was not found in {Path.cwd()} or on the Python path",
        fix="use an import path (pipelines.taxi.model) or a file (pipelines/taxi/model.py)",
    )


def own_source(module: str) -> Path | None:
    """The file of a module, if it is the user's own; None if it is installed or missing."""
    try:
        path = source_file(module)
    except UserError:
        return None
    return path if _is_users(path) else None


def describe(module: str, function: str) -> dict[str, str]:
    """The lineage's record of a function in a user's module: `name`, `function`, `file_digest` and `digest`.

    `digest` covers the function and everything that it uses: the definitions that it reaches in its module, the code
    that runs when the module is imported, and the whole source of the user's modules that it imports. So a change to
    `run_fn` does not change the digest of `preprocessing_fn` in the same file.

    Raises:
        UserError: There is no such module, or a source has a syntax error.
    """
    path = source_file(module)
    return {
        "name": module,
        "function": function,
        "file_digest": file_digest(path),
        "digest": text_digest("\0".join(_sources(path, function))),
    }


def files(module: str) -> set[Path]:
    """The user's files that `digest` may cover: the module and its imports; none for an installed module.

    Raises:
        UserError: There is no such module, or a source has a syntax error.
    """
    path = source_file(module)
    return {file for file, _ in _trees(path)} if _is_users(path) else set()


def is_installed(path: Path) -> bool:
    """Whether a file or folder belongs to an installed package."""
    return bool(_INSTALLED & set(path.parts))


def functions(module: str) -> set[str]:
    """The names that a module binds at its top level, read from its source.

    Raises:
        UserError: There is no such module, or its source has a syntax error.
    """
    return _bound_names(source_file(module), set())


def imports(module: str) -> set[str]:
    """The dotted names that a module imports itself, and the packages above them.

    Raises:
        UserError: There is no such module, or its source has a syntax error.
    """
    tree = module_syntax.parse(source_file(module))
    return {name for level, name in module_syntax.imports(tree) if not level}


def words(module: str) -> set[str] | None:
    """Every name and string in a module and in the user's modules that it imports.

    None if it imports a library, other than Python's and TensorFlow's, that may refer to columns or features for it.

    Raises:
        UserError: There is no such module, or a source has a syntax error.
    """
    found, seen, waiting = set[str](), set[Path](), [source_file(module)]
    while waiting:
        file = waiting.pop()
        seen.add(file)
        tree = module_syntax.parse(file)
        if not _is_users(file) or any(
            _may_name_things(level, name, file) for level, name in module_syntax.imports(tree)
        ):
            return None
        found |= module_syntax.words(tree)
        waiting += [other for other in _imported_files(file, tree) if other not in seen]
    return found


def _may_name_things(level: int, name: str, file: Path) -> bool:
    top = name.partition(".")[0]
    if level or top in _NAME_NOTHING or top in sys.stdlib_module_names:
        return False
    if top == "tfx":
        return name.startswith("tfx.examples")
    return not any((folder / top).is_dir() or (folder / f"{top}.py").is_file() for folder in (file.parent, Path.cwd()))


def imports_behind(module: str) -> set[str]:
    """The dotted names that a module and the user's modules behind it import; for an installed module, its own name.

    They include ANYTHING if a module's imports are known only at run time.

    Raises:
        UserError: There is no such module, or a source has a syntax error.
    """
    path = source_file(module)
    if not _is_users(path):
        return {module_syntax.ANYTHING if module.endswith(".py") else module}
    trees = [tree for _, tree in _trees(path)]
    found = {name for tree in trees for level, name in module_syntax.imports(tree) if not level}
    return found | {module_syntax.ANYTHING for tree in trees if module_syntax.imports_anything(tree)}


def packed(modules: Iterable[str]) -> str:
    """The source of modules and of the user's modules that they import, as JSON by path; empty if none is the user's.

    The paths are relative to the folder that the modules are imported from. The JSON contains no `$` and no double
    braces, which Kubernetes, Kubeflow and Argo would interpret.

    Raises:
        UserError: There is no such module, a file is outside of that folder, or the JSON is too long for an argument.
    """
    sources: dict[str, str] = {}
    for module in modules:
        path = source_file(module)
        if _is_users(path):
            root = _import_root(module, path)
            sources |= {_name_below(root, file): file.read_bytes().decode() for file in _needed(root, path)}
    text = json.dumps(dict(sorted(sources.items()))) if sources else ""
    text = text.replace("$", r"\u0024").replace("{{", r"{\u007b").replace("}}", r"}\u007d")
    if len(text) > _INLINE_LIMIT:
        raise UserError(
            f"the user's modules have {len(text):,} bytes, but only {_INLINE_LIMIT:,} fit into a compiled pipeline",
            fix="build them into the image, and compile without --inline-modules",
        )
    return text


@functools.cache
def unpack(text: str) -> None:
    """Makes the result of `packed` importable, with priority over other modules of the same name.

    Raises:
        UserError: The text is not from `packed`, or a path in it leads out of the folder that it is unpacked into.
    """
    sources = _texts(text)
    folder = Path(tempfile.mkdtemp(prefix="taxiway-modules-")).resolve()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, source in sources.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source.encode())
    _inlined.insert(0, folder)
    sys.path.insert(0, str(folder))


def _texts(text: str) -> dict[str, str]:
    try:
        sources = dict[str, str](json.loads(text))
    except (ValueError, TypeError) as error:
        raise UserError(f"the inlined modules are not a JSON object: {error}", fix=_INLINE_AGAIN) from error
    for name, source in sources.items():
        path = PurePosixPath(name)
        if not isinstance(source, str) or path.is_absolute() or ".." in path.parts or path.suffix != ".py":
            raise UserError(f"the inlined modules have the invalid entry {name!r}", fix=_INLINE_AGAIN)
    return sources


def _import_root(module: str, path: Path) -> Path:
    """The folder that a module's import path or file is relative to."""
    if module.endswith(".py"):
        if Path(module).is_absolute():
            fix = "use a path relative to the working folder, or an import path"
            raise UserError(f"{module} is an absolute path, which exists only on this machine", fix=fix)
        return Path.cwd().resolve()
    return next(root for root in _roots() if _file_below(root, module) == path).resolve()


def _name_below(root: Path, file: Path) -> str:
    if not file.is_relative_to(root):
        raise UserError(
            f"{file} is outside of {root}, which the modules are imported from",
            fix="move it there, or build the modules into the image",
        )
    return str(file.relative_to(root))


def _needed(root: Path, path: Path) -> set[Path]:
    """A module's file, the user's files that it imports, and the `__init__.py` of the packages above them."""
    needed, waiting = set[Path](), {path}
    while waiting:
        file = waiting.pop()
        needed.add(file)
        found = set(_imported_files(file, module_syntax.parse(file)))
        above = [folder / "__init__.py" for folder in file.parents if folder != root and folder.is_relative_to(root)]
        waiting |= (found | {package for package in above if package.is_file()}) - needed
    return needed


def load(module: str, function: str) -> Callable[..., Any]:
    """Imports a module and returns one of its functions; see `call`.

    Raises:
        UserError: The module is missing, cannot be imported, or has no such function.
    """
    path = source_file(module)
    imported = load_module(module)
    if not callable(getattr(imported, function, None)):
        defined = sorted(name for name, value in vars(imported).items() if callable(value) and not name.startswith("_"))
        raise UserError(
            f"{path} defines no {function}",
            fix=f"define {function} there (it has {', '.join(defined) or 'no functions'}), or use another module",
        )
    return getattr(imported, function)  # type: ignore[no-any-return]


def load_module(module: str) -> ModuleType:
    """Imports a module by import path or file; any exception becomes a `UserError`."""
    path = source_file(module)
    # Raises an error if a module behind it has a name that Taxiway uses.
    files(module)
    imported: ModuleType = _calling(path, _import, module, path)
    return imported


def call(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Calls a user's function; any exception becomes a `UserError` whose traceback ends in the user's code."""
    return _calling(_file_of(function), function, *arguments, **named)


def _file_of(function: Callable[..., Any]) -> Path:
    """The file that defines a function; for a callable object, its module's file."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    module = sys.modules.get(getattr(function, "__module__", ""))
    return Path(code.co_filename if code else getattr(module, "__file__", None) or "the module")


def _calling(path: Path, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    try:
        return function(*arguments, **named)
    except UserError:
        raise
    # SystemExit too: a module that exits would look like a stage that succeeded.
    except (Exception, SystemExit) as error:
        raise UserError(_short_traceback(path, error)) from error


def _short_traceback(path: Path, error: BaseException) -> str:
    """The frames in the user's own files, and the error; frames in libraries would not help the user."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename == str(path) or _is_users(Path(f.filename))]
    lines = [f'  File "{f.filename}", line {f.lineno}, in {f.name}\n    {f.line}' for f in own]
    said = "".join(traceback.format_exception_only(error)).strip()
    return "\n".join([f"{path.name} raised {said}", *lines])


def _import(module: str, path: Path) -> ModuleType:
    if not module.endswith(".py"):
        _join_package(module, path)
        return importlib.import_module(module)
    # A file can import the modules beside it, as when Python runs a script.
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    imported = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = imported
    try:
        spec.loader.exec_module(imported)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return imported


def _join_package(module: str, path: Path) -> None:
    """Adds a folder without `__init__.py` to an installed package of the same name, which would otherwise hide it."""
    name, *inner = module.split(".")
    folder = path.parents[len(inner) - (path.name != "__init__.py")] if inner else path.parent
    if inner and name not in (package_names.OURS, package_names.SHARED) and not (folder / "__init__.py").exists():
        package = importlib.import_module(name)
        if str(folder) not in package.__path__:
            package.__path__ = [*package.__path__, str(folder)]


def _find(module: str) -> Path | None:
    """Finds a module's file by looking in folders; `importlib.util.find_spec` would run its parent packages."""
    roots = _roots()
    if module == package_names.SHARED:
        # If a folder of the user comes first, Taxiway's `__init__.py` is not the user's.
        roots = [root for root in roots if (root / module).is_dir()][:1]
    return next((file for root in roots if (file := _file_below(root, module))), None)


def _roots() -> list[Path]:
    return [*_inlined, Path.cwd(), *map(Path, sys.path)]


def _file_below(root: Path, module: str) -> Path | None:
    """The file of a module in a folder on the path, unless it is Taxiway's."""
    name, _, inner = module.partition(".")
    if name != package_names.OURS:
        return _file_in(root, module)
    if not inner:
        return package_names.users_file(root)
    return None if package_names.is_taxiways(root / name) else _file_in(root, module)


def _file_in(folder: Path, name: str) -> Path | None:
    """The file of a module in a folder; a package takes precedence over a module, as in Python."""
    inner = folder.joinpath(*filter(None, name.split(".")))
    candidates = (inner / "__init__.py", inner.with_name(inner.name + ".py"))
    return next((file.resolve() for file in candidates if file.is_file()), None)


def _sources(path: Path, function: str) -> Iterator[str]:
    """The source that a function uses in its module, then that of the user's modules behind it, each once."""
    (_, tree), *imported = _trees(path)
    beside = _BESIDE.get(function, set()) & module_syntax.bound_names(tree)
    yield _text(module_syntax.reached(tree, {function} | beside))
    yield from (_text(tree.body) for _, tree in imported)


def _trees(path: Path) -> Iterator[tuple[Path, ast.Module]]:
    """A module's file and syntax tree, then those of the user's modules behind it, each once."""
    seen, waiting = set[Path](), [path]
    while waiting:
        file = waiting.pop(0)
        if file not in seen:
            seen.add(file)
            tree = module_syntax.parse(file)
            yield file, tree
            waiting += _imported_files(file, tree)


def _text(statements: list[ast.stmt]) -> str:
    """The source without comments and formatting, which have no effect."""
    return "\n".join(map(ast.unparse, statements))


def _imported_files(path: Path, tree: ast.Module) -> list[Path]:
    """The user's files that a module imports."""
    found = {file for level, name in module_syntax.imports(tree) for file in _candidates(path, level, name)}
    return sorted(filter(_is_users, found))


def _candidates(path: Path, level: int, name: str) -> list[Path]:
    """The files that an import may refer to; if the module is run as a file, that includes the files beside it."""
    if level:
        found = [_file_in(folder, name) for folder in path.parents[level - 1 : level]]
    elif name.partition(".")[0] == "taxiway":
        # The package that runs, even if the working folder has one of the same name: a checkout in an image, say.
        found = []
    else:
        found = [_file_below(path.parent, name), _find(name)]
    return [_with_own_name(file) for file in found if file]


def _with_own_name(file: Path) -> Path:
    """The file, unless Taxiway has a module of the same name.

    Raises:
        UserError: It is in a package named `components`, where Taxiway's modules take precedence.
    """
    for folder in {Path(root, package_names.OURS).resolve() for root in _roots()}:
        if file.is_relative_to(folder) and not package_names.is_taxiways(folder):
            place = folder / file.relative_to(folder).parts[0]
            if place.stem != "__init__" and package_names.is_taken(place.stem):
                renamed = typed("mv", shown(place), shown(place.with_name(f"my_{place.name}")))
                raise UserError(
                    f"{file} cannot be imported: Taxiway has a module components.{place.stem}",
                    fix=f"{renamed}, and import it by that name",
                )
    return file


def _bound_names(path: Path, seen: set[Path]) -> set[str]:
    tree = module_syntax.parse(path)
    seen.add(path)
    stars = [file for level, name in module_syntax.star_imports(tree) for file in _candidates(path, level, name)]
    return module_syntax.bound_names(tree).union(*(_bound_names(file, seen) for file in stars if file not in seen))


def _is_users(path: Path) -> bool:
    """Whether a file is the user's own: not Python's, not installed, not Taxiway's, not generated by AutoGraph."""
    library = path.is_relative_to(_STANDARD_LIBRARY) or is_installed(path)
    generated = not path.is_absolute() or path.name.startswith("__autograph_generated")
    return not (generated or library or any(path.is_relative_to(package) for package in _OURS))
