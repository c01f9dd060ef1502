"""Static analysis of a module's source: the names that it binds, what a function uses, what is imported."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from components.contract.errors import UserError

ANYTHING = "*"
"""Stands among imported names for imports that are known only at run time."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Code that uses one of these may reach names or modules that static analysis cannot see.
_DYNAMIC = {"globals", "eval", "exec", "vars", "getattr", "__import__", "importlib", "locals"}
_IMPORTING = {"__import__", "import_module"}
_DYNAMIC_ATTRIBUTES = {"import_module", "modules", "__dict__"}


def parse(path: Path) -> ast.Module:
    """The syntax tree of a source file.

    Raises:
        UserError: It is not UTF-8 or has a syntax error.
    """
    try:
        return _parsed(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}", fix="save it as UTF-8") from error
    except SyntaxError as error:
        line = f"\n    {error.text.strip()}" if error.text else ""
        raise UserError(f'syntax error: {error.msg}\n  File "{path}", line {error.lineno}{line}') from error


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> ast.Module:
    """The tree is shared by several analyses, which do not change it."""
    return ast.parse(text)


def bound_names(tree: ast.Module) -> set[str]:
    """The names that a module binds at its top level, in any branch; `*` for a star import."""
    return {name for node in _top_level(tree) for name in _bound_by(node)}


def words(tree: ast.Module) -> set[str]:
    """Every name and every string in a module."""
    names = {getattr(node, field, None) for node in ast.walk(tree) for field in ("id", "attr", "name", "arg")}
    return _strings(tree) | {name for name in names if isinstance(name, str)}


def star_imports(tree: ast.Module) -> set[tuple[int, str]]:
    """The modules that `from ... import *` names, in the form of `imports`."""
    return {
        (node.level, node.module or "")
        for node in _top_level(tree)
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    }


def imports(tree: ast.Module) -> set[tuple[int, str]]:
    """Everything that a module may import, anywhere: the number of leading dots, and the dotted name.

    `from a.b import c` gives a, a.b and, because c may be a module, a.b.c. If the module imports dynamically, every
    string that looks like a module name counts too.
    """
    found = written_imports(tree)
    if _is_dynamic(tree):
        texts = (text for text in _strings(tree) if all(part.isidentifier() for part in text.split(".")))
        found |= {(0, prefix) for text in texts for prefix in _prefixes(text) if prefix}
    return found


def written_imports(tree: ast.Module) -> set[tuple[int, str]]:
    """Like `imports`, but from import statements only."""
    named = {each for node in ast.walk(tree) for each in _imported_by(node)}
    return {(level, prefix) for level, name in named for prefix in _prefixes(name) if level or prefix}


def imports_anything(tree: ast.Module) -> bool:
    """Whether a module imports others whose names are not strings in its source, but come from a setting, say."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) in _IMPORTING)
    return any(not (call.args and isinstance(call.args[0], ast.Constant)) for call in calls)


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def reached(tree: ast.Module, functions: set[str]) -> list[ast.stmt]:
    """The statements of a module that some of its functions depend on; all statements if that cannot be determined.

    A plain definition is included if included statements use its name. All other top-level statements are included,
    because importing the module runs them.
    """
    defined = {name for node in tree.body for name in _defined(node)}
    if _is_dynamic(tree) or not functions <= defined:
        return tree.body
    definitions = {name: node for node in tree.body if _is_plain(node) for name in _defined(node)}
    named = {id(node) for node in definitions.values()}
    waiting = [node for node in tree.body if id(node) not in named]
    waiting += [definitions[name] for name in functions & definitions.keys()]
    kept = set(map(id, waiting))
    while waiting:
        for name in _names(waiting.pop()) & definitions.keys():
            if id(definitions[name]) not in kept:
                kept.add(id(definitions[name]))
                waiting.append(definitions[name])
    return [node for node in tree.body if id(node) in kept]


def _defined(node: ast.stmt) -> list[str]:
    """The names that a definition or a simple assignment binds."""
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def _is_plain(node: ast.stmt) -> bool:
    """Whether a definition only binds its names.

    A decorator, a call or a base class may register a function elsewhere, where it is found without its name.
    """
    if isinstance(node, _FUNCTIONS):
        defaults = [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]
        return not node.decorator_list and not any(map(_runs_code, defaults))
    return isinstance(node, ast.Assign | ast.AnnAssign) and not (node.value and _runs_code(node.value))


def _runs_code(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Call | ast.NamedExpr) for each in ast.walk(node))


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _is_dynamic(tree: ast.Module) -> bool:
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    return bool(_names(tree) & _DYNAMIC or (attributes | imported) & _DYNAMIC_ATTRIBUTES)


def _strings(tree: ast.Module) -> set[str]:
    constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {value for value in constants if isinstance(value, str)}


def _top_level(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, (*_FUNCTIONS, ast.ClassDef, ast.Lambda)):
            yield from _top_level(child)


def _bound_by(node: ast.AST) -> list[str]:
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    return []


def _imported_by(node: ast.AST) -> set[tuple[int, str]]:
    if isinstance(node, ast.Import):
        return {(0, alias.name) for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {(node.level, ".".join(filter(None, (node.module, alias.name)))) for alias in node.names}
    return set()


def _prefixes(name: str) -> list[str]:
    """A name and the packages above it, whose `__init__.py` run first; the empty name is the module's own package."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts) + 1)]
