"""Pipelines by name: `pipelines/<name>/pipeline.py` in the working folder, compiled to Kubeflow's IR."""

from __future__ import annotations

import difflib
import inspect
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from components import preload, user_modules
from components.errors import UserError
from taxiway import spec
from taxiway.spec import Pipeline


def load(target: str) -> Pipeline:
    """A pipeline, compiled: by name (`chicago_taxi`), by Python file, or from a compiled YAML file.

    Raises:
        UserError: There is no such pipeline, its module fails, or kfp refuses it.
    """
    if target.endswith((".yaml", ".yml")):
        pipeline = spec.read(Path(target))
        for text in spec.inlined_modules(pipeline):
            user_modules.unpack(text)
        return replace(pipeline, sources=frozenset({Path(target).resolve()}))
    return compiled(_pipeline_function(_module(target)))


def compiled(pipeline: Any) -> Pipeline:
    """Compiles a function decorated with `@dsl.pipeline`.

    Raises:
        UserError: kfp refuses the pipeline; its own words are in the error.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compile_to(pipeline, path)
        return replace(spec.read(path), sources=_sources(pipeline))


def compile_to(pipeline: Any, path: Path) -> None:
    """Compiles a pipeline into a file, which appears whole or not at all."""
    from kfp import compiler

    partial = path.with_name(f".{path.stem}.partial.yaml")
    try:
        compiler.Compiler().compile(pipeline, str(partial))
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error}") from error
    except Exception as error:
        raise UserError(f"kfp refuses the pipeline: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _sources(pipeline: Any) -> frozenset[Path]:
    """A pipeline's file and the user's files behind it; for a notebook's cell the name of a file that is not there."""
    function = inspect.unwrap(pipeline.pipeline_func)
    path = Path(function.__code__.co_filename).absolute()
    return frozenset(user_modules.files(str(path))) if path.is_file() else frozenset({path})


def function(target: str) -> Any:
    """The function decorated with `@dsl.pipeline` of a pipeline by name or Python file."""
    return _pipeline_function(_module(target))


def stages_named_in(target: str) -> list[str]:
    """The stages whose names occur in a pipeline's source: a guess at what it runs, for what is done ahead."""
    path = Path(target) if target.endswith((".py", ".yaml", ".yml")) else Path("pipelines", target, "pipeline.py")
    try:
        words = set(re.findall(r"[a-z_]+", path.read_text()))
    except (OSError, UnicodeDecodeError):
        return []
    return [stage for tree in (preload.LIGHT, preload.HEAVY) for stage in tree.served() if stage in words]


def names(folder: Path) -> list[str]:
    """The pipelines that a working folder holds."""
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
        mend=f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}",
    )


def _pipeline_function(module: str) -> Any:
    here = str(Path.cwd())
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)
    from kfp.dsl.graph_component import GraphComponent

    imported = user_modules.load_module(module)
    found = [value for value in vars(imported).values() if isinstance(value, GraphComponent)]
    own = [value for value in found if value.pipeline_func.__module__ == imported.__name__] or found
    if not own:
        raise UserError(f"{imported.__file__} defines no pipeline", mend="decorate its function with @dsl.pipeline")
    # A file may define sub-pipelines above the pipeline that uses them.
    return own[-1]
