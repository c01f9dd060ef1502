"""Loads pipelines by name, `pipelines/<name>/pipeline.py` in the working folder, and compiles them to Kubeflow's IR."""

from __future__ import annotations

import difflib
import inspect
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from components.contract import files
from components.contract.errors import UserError
from components.execution import stages
from components.user_code import user_modules
from taxiway.language import model_cards, spec
from taxiway.language.spec import Pipeline

COMPILED = (".yaml", ".yml", ".json")
"""The extensions of files with a compiled pipeline or component."""


def load(target: str) -> Pipeline:
    """Loads a pipeline by name (`chicago_taxi`), from a Python file, or from a compiled file, and compiles it.

    A file with a component instead of a pipeline is loaded as a pipeline with one task, as kfp does.

    Raises:
        UserError: There is no such pipeline, its module fails, or kfp rejects it.
    """
    if target.endswith(COMPILED):
        path = Path(target)
        documents = spec.read_documents(path)
        pipeline = _component(path) if spec.is_component(documents) else spec.from_documents(documents, path)
        for text in spec.inlined_modules(pipeline):
            user_modules.unpack(text)
        return replace(pipeline, sources=frozenset({Path(target).resolve()}))
    return compiled(_pipeline_function(_module(target)))


def _component(path: Path) -> Pipeline:
    """Loads a component in the format of kfp 1 (`implementation:`) instead of IR."""
    from kfp import components

    try:
        component = components.load_component_from_file(str(path))
    except Exception as error:
        raise UserError(f"kfp rejects the component {path}: {error}") from error
    return compiled(component)


def compiled(pipeline: Any) -> Pipeline:
    """Compiles a function decorated with `@dsl.pipeline`, or a component.

    Raises:
        UserError: kfp rejects the pipeline; the error contains kfp's message.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compile_to(pipeline, path)
        read = replace(spec.read(path), sources=_sources(pipeline))
        return model_cards.filled(read, _folder(pipeline))


def _folder(pipeline: Any) -> Path | None:
    """The folder of a pipeline's file; None if it has none, as in a notebook."""
    function = getattr(pipeline, "pipeline_func", None)
    path = Path(inspect.unwrap(function).__code__.co_filename) if function else None
    return path.parent if path and path.is_file() else None


def compile_to(pipeline: Any, path: Path) -> None:
    """Compiles a pipeline into a file, written atomically."""
    from kfp import compiler

    try:
        with files.whole(path) as partial:
            compiler.Compiler().compile(pipeline, str(partial))
            partial.write_text(spec.with_whole_header(partial.read_text()))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error}") from error
    except Exception as error:
        raise UserError(f"kfp rejects the pipeline: {error}") from error


def _sources(pipeline: Any) -> frozenset[Path]:
    """A pipeline's file and the user's files that it imports; for a notebook cell, the name of a file not on disk."""
    function = getattr(pipeline, "pipeline_func", None) or getattr(pipeline, "python_func", None)
    if function is None:  # a component loaded from a file
        return frozenset()
    function = inspect.unwrap(function)
    path = Path(function.__code__.co_filename).absolute()
    return frozenset(user_modules.files(str(path))) if path.is_file() else frozenset({path})


def function(target: str) -> Any:
    """The function decorated with `@dsl.pipeline`, by name or Python file; if the file has only a component, that."""
    return _pipeline_function(_module(target))


def stages_named_in(target: str) -> list[str]:
    """The stages whose names occur in a pipeline's source: a guess at what it runs, used for preloading.

    The names of their components do not count: nearly every pipeline has them, and a run that finds everything in the
    cache must not load TensorFlow.
    """
    path = Path(target) if target.endswith((".py", *COMPILED)) else Path("pipelines", target, "pipeline.py")
    try:
        words = set(re.findall(r"\w+", path.read_text()))
    except (OSError, UnicodeDecodeError):
        return []
    return [stage for stage in stages.names() if stage in words]


def names(folder: Path) -> list[str]:
    """The pipelines in a working folder."""
    return sorted(path.parent.name for path in (folder / "pipelines").glob("*/pipeline.py"))


def _module(target: str) -> str:
    if target.endswith(".py"):
        return target
    here = Path.cwd()
    if (here / "pipelines" / target / "pipeline.py").is_file():
        return f"pipelines.{target}.pipeline"
    if "." in target:
        return target
    known = names(here)
    near = difflib.get_close_matches(target, known, n=1)
    raise UserError(
        f"there is no pipeline {target!r} in {here / 'pipelines'}",
        fix=f"did you mean {near[0]!r}?" if near else f"known pipelines: {', '.join(known) or 'none'}",
    )


def _pipeline_function(module: str) -> Any:
    here = str(Path.cwd())
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)
    from kfp.dsl.graph_component import GraphComponent

    imported = user_modules.load_module(module)
    found = [value for value in vars(imported).values() if isinstance(value, GraphComponent)]
    own = [value for value in found if value.pipeline_func.__module__ == imported.__name__] or found
    # A file may define sub-pipelines above the pipeline that uses them.
    return own[-1] if own else _only_component(imported)


def _only_component(imported: ModuleType) -> Any:
    """The single component defined by a file without a pipeline."""
    from kfp.dsl.base_component import BaseComponent

    named = {name: value for name, value in vars(imported).items() if isinstance(value, BaseComponent)}
    functions = {
        name: getattr(value, "python_func", None) or getattr(value, "pipeline_func", None)
        for name, value in named.items()
    }
    own = [name for name, function in functions.items() if getattr(function, "__module__", "") == imported.__name__]
    if len(own) != 1:
        several = f", and {len(own)} components: {', '.join(own)}" if own else ""
        fix = "decorate the function that uses the components with @dsl.pipeline"
        raise UserError(f"{imported.__file__} defines no pipeline{several}", fix=fix)
    return named[own[0]]
