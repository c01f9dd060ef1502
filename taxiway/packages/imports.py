"""Finds what a task's code imports, from the compiled pipeline, without running anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from components.user_code import module_syntax
from components.user_code.module_syntax import ANYTHING

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
# Runs a lightweight Python component, whose source is the last word of the command.
_EXECUTOR = "kfp.dsl.executor_main"


def of_command(words: Iterable[str]) -> set[str]:
    """What a command of a container that is not a stage imports: ANYTHING unless it is one of kfp's functions.

    A shell command may start any program on the path.
    """
    words = list(words)
    trees = [tree for word in words if "def " in word and (tree := _parsed(word))]
    if not trees or not any(_EXECUTOR in word for word in words) or any(map(module_syntax.imports_anything, trees)):
        return {ANYTHING}
    return {_EXECUTOR}.union(*({name for _, name in module_syntax.imports(tree)} for tree in trees))


def named_in(value: Any) -> Iterator[str]:
    """The strings in a parameter that may be names of modules, such as the `module` of a metric."""
    if isinstance(value, str):
        yield from [value] if _DOTTED.fullmatch(value) else []
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from named_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from named_in(each)


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None
