"""The structure of the folders: their size, and import rules that pyproject.toml cannot express."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest
from packaging.utils import canonicalize_name

from components.contract.artifacts import TYPES
from components.execution import stages

ROOT = Path(__file__).parents[1]
SOURCE = ("benchmarks", "components", "docker", "docs", "manifests", "pipelines", "taxiway", "tests")
OURS = ("benchmarks.", "components.", "pipelines.", "taxiway.")
OTHERS = {
    "_git",
    "_git_names",
    "fill_attributes",
    "info",
    "labels",
    "pack",
    "taxiway",
    "trace_and_write_v2_saved_model",
}
"""Calls of libraries, and of programs by their words."""
OF_ONE_KIND = {"_schema", "typed"}
"""Calls with any number of values of one kind."""
SHARED = {"Examples", "Schema", "Model"}
"""Types that belong to no single stage."""
COMMANDS = {"monitor"}
"""Stages that are commands as well: `taxiway monitor` does for a model what the stage does in a pipeline."""
OF_LINEAGE = {
    ("taxiway/lineage/lookup.py", "PushedModel"),
    ("taxiway/lineage/messages.py", "ExampleAnomalies"),
    ("taxiway/lineage/messages.py", "ExampleStatistics"),
    ("taxiway/lineage/messages.py", "PushedModel"),
    ("taxiway/lineage/rollbacks.py", "PushedModel"),
    ("taxiway/lineage/store.py", "ModelBlessing"),
    ("taxiway/lineage/store.py", "PushedModel"),
}
"""TFX's types of evaluations and pushes, which the lineage shows."""
QUALITY_BY_EVALUATOR = ("components.monitoring", "components.evaluator")
"""The one shared room that imports a stage: what a model is worth in use is computed as it was for its blessing."""
IMAGES = ("serve", "data", "train")
"""Each image also has the packages of the previous one."""


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Taxiway's modules that each module imports, including imports in functions."""
    graph = grimp.build_graph("components", "pipelines", "taxiway")
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_no_folder_has_more_than_fourteen_files() -> None:
    files = (path for folder in SOURCE for path in (ROOT / folder).rglob("*") if path.is_file())
    counts = Counter(path.parent.relative_to(ROOT) for path in files if _is_source(path))
    assert len(counts) > 50
    assert {str(folder): count for folder, count in counts.items() if count > 14} == {}


def _is_source(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return "__pycache__" not in parts and "out" not in parts and not any(part.startswith(".") for part in parts)


def test_no_modules_import_each_other_in_a_circle(imports: Mapping[str, set[str]]) -> None:
    assert len(imports) > 200
    assert list(_circles(imports)) == []


def test_circles_are_found() -> None:
    assert list(_circles({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == [{"b", "c"}]
    assert list(_circles({"a": {"b", "c"}, "b": {"c"}, "c": set()})) == []


def _circles(imports: Mapping[str, set[str]]) -> Iterator[set[str]]:
    """The modules in circles: all others are removed one by one, from both ends."""
    left = dict(imports)
    while True:
        needed = set().union(*left.values())
        outer = {module for module, found in left.items() if not found & left.keys() or module not in needed}
        if not outer:
            break
        left = {module: found - outer for module, found in left.items() if module not in outer}
    if left:
        yield set(left)


def test_stages_import_no_other_stages_than_they_declare(imports: Mapping[str, set[str]]) -> None:
    found = {
        (room, other)
        for module, names in imports.items()
        for name in names
        if (room := _room(module)) != (other := _room(name)) and other.removeprefix("components.") in stages.names()
        if room.startswith("components.")
    }
    declared = {
        (f"components.{stage.name}", f"components.{name}") for stage in stages.in_order() for name in stage.calls
    }
    assert found == declared | {QUALITY_BY_EVALUATOR}


def test_only_the_quality_of_the_monitor_imports_the_evaluator(imports: Mapping[str, set[str]]) -> None:
    room, stage = QUALITY_BY_EVALUATOR
    importing = {
        module
        for module, names in imports.items()
        if _room(module) == room and any(_room(name) == stage for name in names)
    }
    assert importing and all(module.startswith("components.monitoring.quality.") for module in importing)


def test_imports_of_benchmarks_and_tools_exist() -> None:
    """They rarely run, and mypy does not check them."""
    folders = (ROOT / name for name in ("benchmarks", "docker", "docs"))
    files = [path for folder in folders for path in folder.rglob("*.py") if _is_source(path)]
    found = [
        (path.relative_to(ROOT), node.module)
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(OURS)
    ]
    assert len(found) > 20
    assert [each for each in found if not _is_module(each[1])] == []


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_calls_with_many_arguments_use_keywords() -> None:
    """Six positional values are easily mixed up."""
    files = [*(ROOT / "components").rglob("*.py"), *(ROOT / "taxiway").rglob("*.py")]
    found = {ast.unparse(call.func).split(".")[-1] for file in files for call in _calls(file) if len(call.args) >= 6}
    assert len(files) > 200
    assert found - OTHERS - OF_ONE_KIND == set()


def _calls(file: Path) -> Iterator[ast.Call]:
    nodes = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
    yield from (node for node in nodes if not any(isinstance(each, ast.Starred) for each in node.args))


def test_taxiway_knows_no_stage_by_name() -> None:
    """Stages declare what a runner shows or checks, in marks of parameters and metadata of artifacts."""
    files = [file for file in (ROOT / "taxiway").rglob("*.py") if "dsl" not in file.relative_to(ROOT).parts]
    found = {
        (file.relative_to(ROOT).as_posix(), name) for file in files for name in _words(file) & {*stages.names(), *TYPES}
    }
    assert len(files) > 100
    assert {each for each in found if each[1] not in SHARED | COMMANDS} - OF_LINEAGE == set()


def test_only_one_module_syncs_files_to_the_disk() -> None:
    """All others share its atomic writes of files and folders."""
    sources = [file for name in ("components", "taxiway", "manifests") for file in (ROOT / name).rglob("*.py")]
    syncing = {file.relative_to(ROOT).as_posix() for file in sources if _words(file) & {"fsync", "fdatasync"}}
    assert syncing == {"components/contract/files.py"}


def _words(file: Path) -> set[str]:
    """The names and the words in strings of a module, except docstrings."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    docs = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    strings = (node.value for node in nodes if isinstance(node, ast.Constant) and id(node) not in docs)
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names |= {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    names |= {part for node in nodes if isinstance(node, ast.ImportFrom) for part in (node.module or "").split(".")}
    return names.union(*(re.findall(r"\w+", text) for text in strings if isinstance(text, str)))


def test_stages_import_only_packages_of_their_image() -> None:
    graph = grimp.build_graph("components", include_external_packages=True)
    foreign = {stage.name: _foreign(graph, stage.name, stage.image) for stage in stages.in_order()}
    assert {stage: found for stage, found in foreign.items() if found} == {}
    assert "tensorflow" in _foreign(graph, "trainer", "serve")


def _foreign(graph: grimp.ImportGraph, stage: str, image: str) -> set[str]:
    """The libraries that a stage needs, directly or through Taxiway's modules, and that its image lacks."""
    own = {module for module in graph.modules if _room(module) == f"components.{stage}"}
    found = own.union(*(graph.find_upstream_modules(module) for module in own))
    names = {module.partition(".")[0] for module in found} - {"components", *sys.stdlib_module_names}
    kinds = IMAGES[: IMAGES.index(image) + 1]
    installed = {name for kind in kinds for name in (ROOT / f"docker/packages/{kind}.txt").read_text().split()}
    packages = packages_distributions()
    return {name for name in names if not {canonicalize_name(each) for each in packages.get(name, ())} & installed}


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])
