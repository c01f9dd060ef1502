"""A pipeline that watches a model, and does something about an alarm."""

from __future__ import annotations

import importlib.util
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.csv
import pytest

from taxiway import loading
from tests.components.monitor.served import HOUR, Served, read_trips
from tests.pipelines.project import Project, environment

PAGE = Path(__file__).parents[2] / "docs/monitoring/stage.md"
PIPELINE = """
from kfp import dsl

from taxiway.dsl import ExampleGen, Monitor


@dsl.container_component
def train_again(alarms: int, out: dsl.Output[dsl.Dataset]):
    return dsl.ContainerSpec(image="any:1", command=["sh", "-ec", 'echo "$1" > "$0"'], args=[out.path, alarms])


@dsl.pipeline(name="watched")
def watched(data: str, tables: str):
    examples = ExampleGen(input_path=data, splits={"train": 1}, allow_unversioned=True).outputs["examples"]
    passed = Monitor(examples=examples, tables=tables, model_name="taxi")
    with dsl.If(passed.outputs["alarms"] > 0, "changed"):
        train_again(alarms=passed.outputs["alarms"])
"""


@pytest.fixture
def served(tmp_path: Path, taxi_csv: Path) -> Served:
    """A model that was served in the last hours, and the first trips as its training data."""
    trips = read_trips(taxi_csv)
    (tmp_path / "data").mkdir()
    pyarrow.csv.write_csv(trips[:10_000], tmp_path / "data/trips.csv")
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 4 * HOUR
    return Served(tmp_path / "tables", trips, start)


@pytest.mark.slow
def test_an_alarm_starts_a_branch_and_the_stage_is_never_taken_from_the_cache(served: Served, tmp_path: Path) -> None:
    project = Project(tmp_path, tmp_path / "home", environment(tmp_path)).warm()
    (tmp_path / "watched.py").write_text(PIPELINE)
    served.hours(1)
    first = project.run("watched.py", data="data", tables="tables")
    assert first.ran == {"example-gen", "monitor"}
    served.hours(1, miles=1.609344)
    second = project.run("watched.py", data="data", tables="tables")
    assert (
        second.states.items() >= {"example-gen": "CACHED", "monitor": "SUCCEEDED", "train-again": "SUCCEEDED"}.items()
    )
    alarms = json.loads((second.path("monitor", "monitoring") / "alarms.json").read_text())
    assert [each["column"] for each in alarms] == ["trip_miles", "*"]
    assert second.path("train-again", "out").read_text() == "2\n"
    assert "trip_miles" in second.path("monitor", "report").read_text()


def test_the_pipeline_of_the_page_trains_again_on_an_alarm(tmp_path: Path) -> None:
    [text] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "page.py").write_text(text)
    spec = importlib.util.spec_from_file_location("page", tmp_path / "page.py")
    assert spec and spec.loader
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    tasks = loading.compiled(page.watched).spec["root"]["dag"]["tasks"]
    assert tasks["monitor"]["cachingOptions"] == {}
    assert "alarms" in tasks["condition-1"]["triggerPolicy"]["condition"]
