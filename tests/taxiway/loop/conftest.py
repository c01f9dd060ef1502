"""A loop over a model with an open alarm, whose pipeline retrains in no time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.monitoring.store import Store
from taxiway import loading
from taxiway.lineage.loop import history
from taxiway.lineage.loop.cycle import Cycle
from taxiway.lineage.store import LineageStore
from taxiway.loop.loop import Loop
from taxiway.loop.settings import parsed
from taxiway.loop.world import World
from taxiway.storage.home import Home
from tests.components.monitoring.alarms.windows import STRONG, Watch
from tests.taxiway.delivery.conftest import server as server
from tests.taxiway.delivery.conftest import setup as setup
from tests.taxiway.delivery.conftest import traffic as traffic
from tests.taxiway.loop.quick import quick as pipeline

NOW = datetime(2026, 1, 5, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclass
class Site:
    """A folder with a model's tables, a home and a served folder."""

    folder: Path
    pipeline: Path
    given: dict[str, Any] = field(default_factory=dict)

    @property
    def home(self) -> Home:
        return Home(self.folder / "home")

    @property
    def watch(self) -> Watch:
        return Watch(self.folder / "tables")

    @property
    def served(self) -> Path:
        return self.folder / "served" / "taxi"

    @property
    def lineage(self) -> LineageStore:
        return LineageStore.open(self.home.lineage)

    @property
    def cycles(self) -> list[Cycle]:
        return history(self.lineage, "taxi")

    @property
    def pushes(self) -> list[str]:
        """What each version was trained on."""
        files = sorted(self.served.glob("*/saved_model.pb"), key=lambda file: int(file.parent.name))
        return [file.read_text().strip() for file in files]

    def settings(self, **changed: Any) -> dict[str, Any]:
        parameters = {
            "destination": str(self.served),
            "window_start": "trigger.window_start",
            "window_end": "trigger.window_end",
        }
        given = {
            "model": "taxi",
            "pipeline": str(self.pipeline),
            "tables": str(self.folder / "tables"),
            "triggers": [{"alarm": {}}],
            **self.given,
            **changed,
        }
        return {**given, "parameters": {**parameters, **given.get("parameters", {})}}

    def file(self, **changed: Any) -> Path:
        file = self.folder / "loop.yaml"
        file.write_text(yaml.safe_dump(self.settings(**changed)))
        return file

    def loop(self, **changed: Any) -> Loop:
        lineage = self.lineage
        world = World(lineage, self.home)
        return Loop(parsed(self.settings(**changed)), lineage, Store(f"{self.folder}/tables/taxi"), world)


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quick pipeline, compiled: a run of it begins at once."""
    file = tmp_path_factory.mktemp("compiled") / "quick.yaml"
    loading.compile_to(pipeline, file)
    return file


@pytest.fixture
def site(tmp_path: Path, quick: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TAXIWAY_LINEAGE", raising=False)
    found = Site(tmp_path, quick)
    found.served.mkdir(parents=True)
    return found


@pytest.fixture
def drifted(site: Site) -> Site:
    """A site whose monitor has raised an alarm."""
    site.watch.see(0, STRONG)
    return site


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What a condition returns as soon as that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def ended(loop: Loop, now: datetime = NOW) -> Cycle:
    """The cycle that the loop carries on, when it is over."""

    def look() -> Cycle | None:
        loop.tick(now)
        latest = history(loop.lineage, "taxi")
        return latest[0] if latest and latest[0].is_over else None

    return until(look)
