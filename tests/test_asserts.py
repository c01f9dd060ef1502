"""No test asserts only inside a loop that may be empty."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "tests").rglob("test_*.py"))
# Calls that give as many iterations as their arguments.
_AS_LONG = {
    "enumerate",
    "items",
    "keys",
    "list",
    "map",
    "product",
    "reversed",
    "set",
    "sorted",
    "tuple",
    "values",
    "zip",
}


def test_no_test_asserts_only_in_a_loop_that_may_be_empty() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}" for path in FILES for line in _possibly_without_assertion(path.read_text())
    ]
    assert len(FILES) > 100
    assert found == [], "assert that the collection is not empty, or compare whole collections"


def _possibly_without_assertion(source: str) -> Iterator[int]:
    """The lines of tests that assert only in loops that may be empty."""
    tree = ast.parse(source)
    for test in ast.walk(tree):
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef) and test.name.startswith("test_"):
            # The values that parametrize a test are never empty.
            given = {each.arg: ast.Constant(True) for each in (*test.args.args, *test.args.kwonlyargs)}
            known = given | _literals(tree.body) | _literals(list(ast.walk(test)))
            asserted = list(_asserted(test.body, known))
            if asserted and not any(asserted):
                yield test.lineno


def _literals(statements: list[ast.stmt] | list[ast.AST]) -> dict[str, ast.expr]:
    """Names with the literals that are assigned to them."""
    return {
        target.id: node.value
        for node in statements
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }


def _asserted(statements: list[ast.stmt], known: dict[str, ast.expr], sure: bool = True) -> Iterator[bool]:
    """For each assertion in these statements, whether it is certain to run."""
    for statement in statements:
        inside = sure
        if isinstance(statement, ast.For | ast.AsyncFor):
            inside = sure and _is_never_empty(statement.iter, known)
        if _asserts(statement):
            yield inside
        for name in ("body", "orelse", "finalbody", "handlers"):
            inner = getattr(statement, name, [])
            if not isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                yield from _asserted(inner, known, inside)


def _asserts(statement: ast.stmt) -> bool:
    """Whether a statement is an assertion: `assert`, a block that must raise, or a call of such a function."""
    if isinstance(statement, ast.With | ast.AsyncWith):
        return any(_name(item.context_expr) in ("raises", "warns") for item in statement.items)
    if isinstance(statement, ast.Expr):
        return _name(statement.value).lstrip("_").startswith("assert")
    return isinstance(statement, ast.Assert)


def _name(node: ast.expr) -> str:
    """The last part of a called name."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _is_never_empty(node: ast.expr, known: dict[str, ast.expr]) -> bool:
    """Whether a loop over an expression certainly runs: over literals, constants, and expressions of these."""
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return any(not isinstance(each, ast.Starred) or _is_never_empty(each.value, known) for each in node.elts)
    if isinstance(node, ast.Dict):
        return bool(node.keys)
    if isinstance(node, ast.Constant):
        return bool(node.value)
    if isinstance(node, ast.Call):
        return _call_is_never_empty(node, known)
    if isinstance(node, ast.Attribute):
        return node.attr.isupper()
    if isinstance(node, ast.Name):
        others = {name: value for name, value in known.items() if name != node.id}
        # A constant, or an enumeration.
        return node.id[0].isupper() or (node.id in known and _is_never_empty(known[node.id], others))
    return False


def _call_is_never_empty(node: ast.Call, known: dict[str, ast.expr]) -> bool:
    name = _name(node)
    if name == "range":
        return _is_never_empty(node.args[0], known)
    given = [*node.args, *([node.func.value] if isinstance(node.func, ast.Attribute) else [])]
    return name in _AS_LONG and any(_is_never_empty(each, known) for each in given)


@pytest.mark.parametrize(
    ("body", "doubtful"),
    [
        ("for x in found(): assert x", True),
        ("for x in [y for y in found()]: assert x", True),
        ("for x in {}.items(): assert x", True),
        ("made = found()\n    for x in sorted(made):\n        with pytest.raises(E): x()", True),
        ("for x in found():\n        assert x\n    assert found()", False),
        ("made = [1, 2]\n    for x in zip(made, found(), strict=True): assert x", False),
        ("for x, y in NAMES.items(): assert_equal(x, y)", False),
        ("for x in range(3): assert x", False),
        ("for x in range(found()): assert x", True),
        ("for x in Colours: assert x", False),
        ("assert found() == 1", False),
        ("found()", False),
    ],
)
def test_such_a_test_is_found(body: str, doubtful: bool) -> None:
    assert list(_possibly_without_assertion(f"def test_it():\n    {body}\n")) == [1] * doubtful
