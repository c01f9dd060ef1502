"""The installed packages that a task depends on, in folders on sys.path and in this environment."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

import taxiway
from components.user_code import user_modules
from components.user_code.module_syntax import ANYTHING
from taxiway import loading
from taxiway.dsl import ExampleGen
from taxiway.packages import imports, metadata
from taxiway.packages.packages import Packages
from taxiway.runner.call import State
from taxiway.runs.progress import Observer

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """`install(name, version, needs, modules=..., record=...)`: a package in a folder at the front of sys.path."""
    site = tmp_path / "lib/site-packages"
    site.mkdir(parents=True)
    monkeypatch.syspath_prepend(site)

    def run(name: str, version: str = "1.0", *needs: str, modules: str | None = None, record: str = "") -> Path:
        for older in site.glob(f"{name.replace('-', '_')}-*.dist-info"):
            older.rename(older.with_suffix(".old"))
        place = site / f"{name.replace('-', '_')}-{version}.dist-info"
        place.mkdir()
        requirements = "".join(f"Requires-Dist: {need}\n" for need in needs)
        (place / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n{requirements}\nRequires-Dist: no-need\n")
        if modules is not None:
            (place / "top_level.txt").write_text(modules)
        usual = f"{place.name.partition('-')[0]}/__init__.py,,\n{place.name}/RECORD,,\n"
        (place / "RECORD").write_text(record or usual)
        return place

    return run


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., set[str]]:
    """`found(*imports)`: the packages that they need, by name and version, in a new process each time."""
    memory = tmp_path / "packages.json"
    return lambda *names: {label for label in Packages(memory).behind(names) if "==" in label.split()[0]}


# From an import to packages


def test_an_import_counts_its_package_and_dependencies(install: Install, found: Any) -> None:
    install("Top.Level", "2.0", "first_need>=1", 'second ; python_version >= "3"', modules="top\n_top\n")
    install("first-need", "1.1", "third[fast]; platform_system == 'Linux'", "Top-Level")
    install("second", "1.2", "absent", record="second.py,sha256=,1\nsecond.cpython-313-x86_64-linux-gnu.so,,\n")
    install("third", "1.3", 'quick; extra == "fast"', 'other; extra == "slow"')
    install("quick", "1.4")
    install("other", "1.5")
    everything = {"top-level==2.0", "first-need==1.1", "second==1.2", "third==1.3", "quick==1.4"}
    assert found("top.inner") == found("_top", "json", "nosuch") == everything
    assert found("second") == {"second==1.2"}
    assert found("third") == {"third==1.3"}
    assert found("json", "top_level") == set()


def test_packages_that_share_a_namespace_are_distinguished(install: Install, found: Any) -> None:
    for name in ("storage", "bigquery"):
        files = f"space/cloud/{name}/__init__.py,,\nspace/cloud/{name}_v1.py,,\n"
        install(f"space-{name}", modules="space", record=files)
    install("space-core", modules="space", record="space/core/__init__.py,,\n")
    assert found("space.cloud.storage.blob") == found("space.cloud.storage_v1") == {"space-storage==1.0"}
    assert found("space.cloud") == {"space-storage==1.0", "space-bigquery==1.0"}
    assert found("space") == found("space.nosuch") == {"space-storage==1.0", "space-bigquery==1.0", "space-core==1.0"}


def test_the_first_package_on_the_path_counts(install: Install, found: Any, tmp_path: Path) -> None:
    install("numpy", "99.0")
    assert {label for label in found("numpy") if label.startswith("numpy==")} == {"numpy==99.0"}


def test_implicitly_loaded_modules_count(install: Install, found: Any) -> None:
    names = {label.partition("==")[0] for label in found("tensorflow", "fsspec")}
    assert {"tensorflow", "keras", "tf-keras", "numpy", "fsspec", "s3fs", "gcsfs"} <= names
    install("some-device", "3.0", modules="tensorflow-plugins")
    assert "some-device==3.0" in found("tensorflow")
    assert "some-device==3.0" not in found("pyarrow")


def test_the_code_of_an_editable_package_counts(install: Install, found: Any, tmp_path: Path) -> None:
    code = tmp_path / "my project/src/mine/__init__.py"
    code.parent.mkdir(parents=True)
    code.write_text("a = 1")
    place = install("my-project", modules=None, record="_my_project.pth,,\n")
    url = (tmp_path / "my project").as_uri()
    (place / "direct_url.json").write_text(json.dumps({"url": url, "dir_info": {"editable": True}}))
    before = found("mine")
    assert len(before) == 1
    code.write_text("a = 2")
    assert found("mine") != before
    code.write_text("a = 1")
    assert found("mine") == before


def test_code_in_pth_files_counts_but_their_paths_do_not(install: Install, tmp_path: Path) -> None:
    site, before = install("any").parent, metadata.startup()
    (site / "paths.pth").write_text(f"{tmp_path}\n# a comment\n")
    (site / "__editable__.tool-1.0.pth").write_text("import __editable___tool_finder\n")
    (site / "google_tool-1.0-nspkg.pth").write_text("import sys, types, os\n")
    assert metadata.startup() == before
    (site / "tool.pth").write_text("import os; os.environ['TF_DETERMINISTIC_OPS'] = '1'\n")
    assert metadata.startup() != before
    (site / "tool.pth").unlink()
    (site / "sitecustomize.py").write_text("a = 1")
    assert metadata.startup() != before


# The cache of results


def test_added_removed_and_changed_packages_are_noticed(install: Install, found: Any, tmp_path: Path) -> None:
    install("first", "1.0", "second")
    assert found("first") == {"first==1.0"}
    install("second", "1.0")
    assert found("first") == {"first==1.0", "second==1.0"}
    place = install("second", "2.0")
    assert found("first") == {"first==1.0", "second==2.0"}
    place.rename(tmp_path / "gone")
    assert found("first") == {"first==1.0"}


def test_metadata_of_unchanged_packages_are_read_once(
    install: Install, found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = metadata.read
    monkeypatch.setattr(metadata, "read", lambda place: read.append(place.name) or original(place))
    install("first")
    found("first")
    assert len(read) > 100
    read.clear()
    install("second")
    found("first")
    found("first")
    assert read == ["second-1.0.dist-info"]


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"packages": 1}', '{"packages": {}, "owners": {}}'])
def test_a_damaged_cache_is_rebuilt(install: Install, found: Any, tmp_path: Path, text: str) -> None:
    install("first", "1.0")
    (tmp_path / "packages.json").write_text(text)
    assert found("first") == {"first==1.0"}
    assert json.loads((tmp_path / "packages.json").read_text())["packages"]


def test_a_cache_that_cannot_be_written_is_not_used(install: Install, tmp_path: Path) -> None:
    install("first", "1.0")
    (tmp_path / "file").touch()
    assert "first==1.0" in Packages(tmp_path / "file/packages.json").behind(["first"])


# Imports of tasks


def _names(labels: list[str]) -> set[str]:
    return {label.partition("==")[0] for label in labels}


@pytest.mark.parametrize(
    ("stage", "expected", "missing"),
    [
        ("pusher", {"fsspec", "s3fs"}, {"tensorflow", "dvc", "kfp", "pandas", "apache-beam"}),
        ("example_gen", {"pyarrow", "dvc", "apache-beam"}, {"kfp", "tensorflow-transform", "typer"}),
        ("transform", {"tensorflow", "tensorflow-transform", "tf-keras", "numpy"}, {"kfp", "dvc"}),
        ("trainer", {"tensorflow", "numpy", "pyarrow"}, {"dvc", "kfp"}),
        ("evaluator", {"tensorflow-model-analysis", "apache-beam"}, {"dvc", "kfp"}),
    ],
)
def test_a_stage_depends_on_its_imports_and_not_on_tools(
    tmp_path: Path, stage: str, expected: set[str], missing: set[str]
) -> None:
    packages = Packages(tmp_path / "packages.json")
    names = _names(packages.behind(packages.stage_imports(stage)))
    assert expected <= names
    assert not names & (missing | {"pytest", "ruff", "mypy", "uv", "hypothesis", "moto", "taxiway"})


def test_a_users_module_depends_on_the_imports_of_all_its_modules(
    install: Install, found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("direct", "behind", "relative", "dynamic", "tool"):
        install(name)
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "near.py").write_text("import relative")
    (package / "model.py").write_text("import direct\nfrom . import near\ndef run_fn(x):\n    from helpers import a\n")
    (tmp_path / "helpers.py").write_text("from behind.inner import a\nfrom importlib import import_module as b\n")
    for module in ("mine.model", "mine/model.py"):
        assert found(*user_modules.imports_behind(module)) == {"direct==1.0", "behind==1.0", "relative==1.0"}
    (tmp_path / "helpers.py").write_text("import importlib\nimportlib.import_module('dynamic.inner')\n")
    assert found(*user_modules.imports_behind("mine.model")) == {"direct==1.0", "dynamic==1.0", "relative==1.0"}
    (tmp_path / "helpers.py").write_text("import importlib\nimportlib.import_module(NAME)\n")
    assert ANYTHING in user_modules.imports_behind("mine.model")
    assert "tool==1.0" in found(*user_modules.imports_behind("mine.model"))
    assert user_modules.imports_behind("yaml.loader") == {"yaml.loader"}


@pytest.mark.parametrize("name", ["tensorflow", "tensorflow-transform", "tf-keras", "numpy", "mine"])
def test_a_changed_package_of_a_module_is_a_cache_miss(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text("import tensorflow_transform\ndef run_fn(x):\n    import mine\n")
    install("mine")

    def key() -> list[str]:
        packages = Packages(tmp_path / "packages.json")
        return packages.behind({*packages.stage_imports("trainer"), *user_modules.imports_behind("model")})

    before = key()
    install("ipykernel", "7.0", "tensorflow")
    assert key() == before
    # Another version with the same dependencies.
    install(name, "99.0", *(metadata_of(name) if name != "mine" else []))
    changed = set(key()) ^ set(before)
    assert {label.partition("==")[0] for label in changed} == {name}


def metadata_of(name: str) -> list[str]:
    from importlib.metadata import PathDistribution, distributions

    places = (each for each in distributions(name=name) if isinstance(each, PathDistribution))
    return next(each.requires or [] for each in places)


def test_modules_named_by_parameters_count() -> None:
    config = {"metrics_specs": [{"metrics": [{"class_name": "Mine", "module": "my.metrics"}]}], "path": "a/b.csv"}
    assert set(imports.named_in({"eval_config": config, "n": 3})) == {"Mine", "my.metrics"}


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def counts(out: dsl.Output[dsl.Dataset]):
    import yaml

    with open(out.path, "w") as file:
        yaml.dump([1], file)


@dsl.pipeline(name="small")
def small(data: str):
    ExampleGen(input_path=data, allow_unversioned=True)
    counts()


def test_an_unused_tool_is_a_cache_hit_and_a_changed_package_a_miss(install: Install, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b\n1,2\n3,4\n5,6\n7,8\n")
    pipeline = loading.compiled(small)

    def made() -> set[str]:
        run = taxiway.run(pipeline, home=tmp_path / "home", observer=Observer(), data=str(tmp_path / "data.csv"))
        return {name for name, task in run.tasks.items() if task.state != State.CACHED}

    assert made() == {"example-gen", "counts"}
    install("ipykernel", "7.0", "jupyter-client", "pyarrow")
    install("jupyter-client", "9.0")
    assert made() == set()
    place = install("pyarrow", "99.0")
    assert made() == {"example-gen"}
    install("PyYAML", "99.0", modules="yaml\n_yaml\n")
    # DVC uses it to read its files.
    assert made() == {"example-gen", "counts"}
    place.rename(tmp_path / "gone")
    assert "counts" not in made()


def test_other_commands_may_import_any_package() -> None:
    function = loading.compiled(small).spec["deploymentSpec"]["executors"]["exec-counts"]["container"]["command"]
    assert {"yaml", "kfp.dsl.executor_main"} <= imports.of_command(function)
    assert ANYTHING not in imports.of_command(function)
    for command in (["sh", "-c", "python x.py"], ["python", "-c", "def f(): ...\nf()"], []):
        assert imports.of_command(command) == {ANYTHING}
    *shell, source = function
    assert imports.of_command([*shell, source + "\n__import__(x)"]) == {ANYTHING}
