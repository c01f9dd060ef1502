"""Where the demo happens: its own home, tables, versions and settings, so that nothing of yours is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from components.contract.errors import UserError
from components.execution.pushed_models import open_destination, versions
from components.monitoring.store import Store
from taxiway.lineage.store import LineageStore
from taxiway.loop.demo import trips
from taxiway.monitoring.demo import taxiway
from taxiway.storage.home import Home

MODEL, WINDOW, LATE, PIPELINE = "chicago_taxi", 10, 3, "chicago_taxi_retrain"
"""The model; the length of a window, and how long after its end it is computed, in seconds; what the loop runs."""

CANARY = {"weight": 10, "least_time": "25s", "least_requests": 100}
"""The step in which the challenger is tried."""

_KEPT = ("artifacts", "digests.db", "packages.json")
"""What makes the next demo quick: the cache of its pipelines."""


@dataclass(frozen=True)
class Ground:
    """The demo's folder.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def home(self) -> Home:
        """Its runs and its lineage."""
        return Home(self.root / "home")

    @property
    def tables(self) -> Path:
        """The tables of its model."""
        return self.home.monitoring

    @property
    def store(self) -> Store:
        """The model's tables."""
        return Store(f"{self.tables}/{MODEL}")

    @property
    def served(self) -> Path:
        """Where versions are pushed."""
        return self.root / "served" / MODEL

    @property
    def settings(self) -> Path:
        """The settings of its loop."""
        return self.root / "loop.yaml"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its processes."""
        own = {name: value for name, value in os.environ.items() if name != "TAXIWAY_LINEAGE"}
        return {**own, "TAXIWAY_HOME": str(self.home.root), "TF_CPP_MIN_LOG_LEVEL": "3"}

    def lineage(self) -> LineageStore:
        """Its lineage store."""
        return LineageStore.open(str(self.home.root / "lineage.db"))

    def clear(self) -> None:
        """Removes what an earlier demo left, but not its cache."""
        for each in [*self.root.glob("*"), *self.home.root.glob("*")]:
            if each != self.home.root and each.name not in _KEPT:
                shutil.rmtree(each) if each.is_dir() else each.unlink()
        self.root.mkdir(parents=True, exist_ok=True)

    def first_model(self) -> int:
        """Trains the model on the trips of the past, and lets it serve; returns its version.

        Raises:
            UserError: The pipeline has failed.
        """
        past = trips.past(self.root / "past")
        given = {"data": past, "destination": self.served, "allow_unversioned": "true", "train_steps": 300}
        options = [f"--param={name}={value}" for name, value in given.items()]
        if subprocess.run(taxiway("run", MODEL, *options), env=self.variables, check=False).returncode:
            raise UserError("the pipeline has failed", fix="see its message above")
        [version] = versions(open_destination(str(self.served)))
        (self.root / "served/models.config").write_text(_CONFIG % (MODEL, self.served, version.number))
        return version.number

    def write_settings(self, admin: str, *, approval: bool) -> None:
        """Writes the settings of the loop and of the monitor.

        Args:
            admin: The URL of the proxy's admin API.
            approval: Whether a person has to approve the challenger while it is tried.
        """
        self.settings.write_text(yaml.safe_dump(_loop(self, admin, approval), sort_keys=False))
        (self.root / "monitor.yaml").write_text(yaml.safe_dump(_MONITOR, sort_keys=False))


_CONFIG = """\
model_config_list {
  config {
    name: "%s"
    base_path: "%s"
    model_platform: "tensorflow"
    model_version_policy { latest { num_versions: 2 } }
    version_labels { key: "stable" value: %d }
  }
}
"""

_MONITOR = {
    "window": f"{WINDOW}s",
    "late": f"{LATE}s",
    "slices": False,
    "close_after": 2,
    # A version that was trained on the past and on some recent trips has seen both ways of writing payment types, but
    # in other shares than now. The floor keeps the monitor to values that no training has seen.
    "floors": {"variation": 0.7},
}


def _loop(ground: Ground, admin: str, approval: bool) -> dict[str, object]:
    places = {"tables": str(ground.tables), "destination": str(ground.served)}
    past = {"data": str(ground.root / "past"), "allow_unversioned": True}
    filled = {name: f"trigger.{name}" for name in ("window_start", "window_end", "champion")}
    return {
        "model": MODEL,
        "pipeline": PIPELINE,
        "parameters": {**filled, **places, **past, "train_steps": 300, "metric": "auc", "margin": 0.05},
        "tables": str(ground.tables),
        "triggers": [{"alarm": {"kinds": ["unseen"], "slices": False}}],
        "delivery": {
            "weights": {"route": admin},
            **places,
            "steps": [{**CANARY, "approval": approval}, {"weight": 100, "least_time": "0s", "least_requests": 0}],
            # The demo's own processes share the machine with the servers, so latencies are rough.
            "guardrails": {
                "errors": {"tolerance": 0.01},
                "latency": {"tolerance": 1.0},
                "business": {"label": trips.RIGHT, "margin": 0.05, "delay": "6s"},
            },
        },
    }
