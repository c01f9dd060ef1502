"""A user's project in its own folder, and the `taxiway` command in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from components.contract.digests import tree_digest
from components.execution import stages
from taxiway.storage.home import Home
from tests import forked

CHECKOUT = Path(__file__).parents[2]
EARLY = str(Path(__file__).with_name("early_pipeline.py"))
"""The path of `early_pipeline.py`."""

DATA_STAGES = ("example-gen", "statistics-gen", "schema-gen", "example-validator", "transform")

# Every process of a command records the heavy libraries that it imports.
NOTING = """
import os, sys

class Noting:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("tensorflow") and "." not in name or name == "apache_beam":
            with open(os.environ["TEST_IMPORTED"], "a") as noted:
                noted.write(name + "\\n")

sys.meta_path.insert(0, Noting())
"""
# In a warm project, commands and the processes from which they fork stages are themselves forked.
WARM = f"""
{forked.HAND_OVER}
import os, sys

if "TEST_WARM" in os.environ:
    command, server = os.environ["TEST_WARM"].split()
    if os.path.basename("".join(sys.orig_argv[1:2])) == "taxiway":
        hand_over(command)
    if sys.orig_argv[1:3] == ["-m", "taxiway.runner.forkserver"]:
        hand_over(server)
"""


@dataclass(frozen=True)
class Done:
    """The exit status and output of a command, and the heavy libraries that it imported."""

    status: int
    shown: str
    printed: str
    imported: set[str]

    @cached_property
    def record(self) -> dict[str, Any]:
        """A run's `run.json`."""
        return dict(json.loads(self.printed))

    @property
    def states(self) -> dict[str, str]:
        """The tasks' states by name."""
        return {name: task["state"] for name, task in self.record["tasks"].items()}

    @property
    def ran(self) -> set[str]:
        """The tasks that were not cache hits."""
        return {name for name, state in self.states.items() if state != "CACHED"}

    def path(self, task: str, output: str) -> Path:
        """The path of an output."""
        return Path(self.record["tasks"][task]["outputs"][output])

    def digests(self, *tasks: str) -> dict[str, str]:
        """The digests of all outputs of some tasks, without reports: those show times, which differ between runs."""
        outputs = {f"{task}.{name}": self.path(task, name) for task in tasks for name in self._outputs(task)}
        return {name: tree_digest(path) for name, path in outputs.items()}

    def _outputs(self, task: str) -> list[str]:
        return [name for name in self.record["tasks"][task]["outputs"] if not name.endswith("report")]


@dataclass(frozen=True)
class Project:
    """A folder with `pipelines/`, `data.dvc` and `data/`, the home of its runs, and more environment variables."""

    folder: Path
    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def copy(self, folder: Path, home: Path | None = None) -> Project:
        """A copy of the project, without its pushed models; it shares the cache unless another home is given."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(".taxiway", "served"))
        return replace(self, folder=folder, home=home or self.home)

    def warm(self) -> Project:
        """The project, with commands and stages forked with their libraries loaded; imports are not recorded."""
        loaded = {module for stage in stages.in_order() for libraries in stage.loads for module in libraries.modules}
        addresses = f"{forked.address('taxiway.cli')} {forked.address(*sorted(loaded))}"
        return replace(self, environment={**self.environment, "TEST_WARM": addresses})

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Starts `taxiway ARGUMENTS`."""
        command = [str(Path(sys.executable).with_name("taxiway")), *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=self.folder, env=self.variables(), text=True, **{**pipes, **options})

    def taxiway(self, *arguments: str, status: int = 0) -> Done:
        """Runs `taxiway ARGUMENTS`, and asserts the exit status."""
        self._recorded_imports.unlink(missing_ok=True)
        process = self.start(*arguments)
        printed, shown = process.communicate(timeout=240)
        assert process.returncode == status, f"exit status {process.returncode}\n{printed}\n{shown}"
        imported = set(self._recorded_imports.read_text().split()) if self._recorded_imports.exists() else set[str]()
        return Done(status, shown, printed, imported)

    def run(self, pipeline: str = "chicago_taxi", status: int = 0, **parameters: Any) -> Done:
        """Runs a pipeline."""
        return self.taxiway("run", "--json", pipeline, *as_options(parameters), status=status)

    def lineage(self, target: str | Path) -> dict[str, Any]:
        """The output of `taxiway lineage TARGET --json`."""
        return dict(json.loads(self.taxiway("lineage", "--json", str(target)).printed))

    def git(self, *arguments: str) -> str:
        """The output of a Git command."""
        return self._tool("git", *arguments)

    def dvc(self, *arguments: str) -> str:
        """The output of a DVC command."""
        return self._tool(sys.executable, "-m", "dvc", *arguments)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replaces the first occurrence of a text in a file."""
        path = self.folder / file
        text = path.read_text()
        assert old in text
        # A new file, as editors write it, because the old one may be a link into DVC's cache.
        path.unlink()
        path.write_text(text.replace(old, new, 1))

    def half_written(self, after_a_kill: bool = False) -> list[Path]:
        """Paths in the home or among the pushed models that are not complete artifacts.

        Unfinished files of a killed runner stay under `work/`, where nothing reads them, until the next run.
        """
        home = Home(self.home)
        kept = [folder for folder in home.artifacts.glob("*/*/*") if folder.is_dir()]
        pushed = [entry for entry in self.folder.glob("served/*/*") if entry.is_dir()]
        return [
            *(folder for folder in kept if not (folder / "manifest.json").is_file()),
            *(version for version in pushed if not (version / "saved_model.pb").is_file()),
            *([] if after_a_kill else home.work.glob("*")),
        ]

    def variables(self) -> dict[str, str]:
        """The environment of its commands."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("TAXIWAY_LINEAGE")}
        return {**own, **self.environment, "TAXIWAY_HOME": str(self.home), "TEST_IMPORTED": str(self._recorded_imports)}

    @property
    def _recorded_imports(self) -> Path:
        return self.folder / ".imported"

    def _tool(self, *command: str) -> str:
        result = subprocess.run(
            command, cwd=self.folder, env=self.variables(), capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


def as_options(parameters: Mapping[str, Any]) -> list[str]:
    """Pipeline parameters as command-line options."""
    strings = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    return [f"--param={name}={text}" for name, text in strings.items()]


def make_project(folder: Path, taxi_csv: Path) -> Project:
    """The taxi pipeline as in a user's project: code in Git, trips in DVC, tagged `v1`."""
    project = Project(folder / "project", folder / "project/.taxiway", environment(folder))
    shutil.copytree(CHECKOUT / "pipelines", project.folder / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    (project.folder / "data/chicago_taxi").mkdir(parents=True)
    shutil.copy(taxi_csv, project.folder / "data/chicago_taxi/data.csv")
    (project.folder / ".gitignore").write_text("/.taxiway/\n/served/\n/.imported\n__pycache__/\n")
    project.git("init", "--quiet")
    project.dvc("init", "--quiet")
    project.dvc("add", "--quiet", "data")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "The taxi pipeline and its data")
    project.git("tag", "v1")
    return project


def environment(folder: Path) -> dict[str, str]:
    """An environment without the user's settings, which records imports."""
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(NOTING + WARM)
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    who = {f"GIT_{role}_{key}": "tester" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    settings = {f"DVC_{kind}_DIR": str(folder / kind) for kind in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE")}
    return {
        "PYTHONPATH": path,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "COLUMNS": "200",
        "DVC_NO_ANALYTICS": "1",
        **who,
        **settings,
    }
