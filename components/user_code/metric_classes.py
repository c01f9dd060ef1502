"""The metrics that an EvalConfig may name, read from the source of TFMA and Keras: importing them takes ten seconds."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from pathlib import Path

_REGISTERED = re.compile(r"^(?:metric_types\.)?register_metric\((\w+)\)", re.MULTILINE)
_KERAS_NAMES = re.compile(r"^from (tf_keras\.\S+) import (\w+)(?: as (\w+))?$", re.MULTILINE)


@functools.cache
def known() -> dict[str, Path]:
    """The classes that need no `module`, and the files that define them; empty if TFMA is not installed."""
    return {**_keras(), **_registered()}


def settings(class_name: str) -> set[str] | None:
    """The settings that the `config` of a class may have; None if its constructor takes any (`**kwargs`)."""
    tree = ast.parse(known()[class_name].read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    node = classes.get(class_name)
    while node is not None:
        for each in node.body:
            if isinstance(each, ast.FunctionDef) and each.name == "__init__":
                return _parameters(each.args)
        node = next(
            (classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes), None
        )
    return None


def _parameters(arguments: ast.arguments) -> set[str] | None:
    if arguments.kwarg:
        return None
    return {argument.arg for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]} - {"self"}


def _registered() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in _folders("tensorflow_model_analysis"):
        imported = set(re.findall(r"\w+", (folder / "metrics" / "__init__.py").read_text()))
        for file in (folder / "metrics").glob("*.py"):
            if file.stem in imported:
                found |= dict.fromkeys(_REGISTERED.findall(file.read_text()), file)
    return found


def _keras() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in _folders("tf_keras"):
        for module, name, alias in _KERAS_NAMES.findall((folder / "metrics" / "__init__.py").read_text()):
            if (shown := alias or name)[0].isupper():
                file = folder.parent.joinpath(*module.split(".")).with_suffix(".py")
                found[shown] = file if file.exists() else file.with_suffix("") / "__init__.py"
    return found


def _folders(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or []]
