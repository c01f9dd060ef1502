"""The page, the plan and the settings file."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from components.experiments import arms, design
from components.experiments.sequential import Plan, sequence
from components.monitoring.store import Store
from taxiway.cli import app
from taxiway.experiments import planning, tables
from taxiway.experiments.checks import expected_arm
from taxiway.experiments.settings import parsed
from tests.taxiway.experiments.written import START, World, write


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write(tmp_path_factory.mktemp("world"), rates=(0.1, 0.3))


def invoked(*line: str) -> str:
    found = CliRunner().invoke(app, ["experiment", *line])
    assert found.exit_code == 0, found.output
    return found.output


def written(world: World, file: Path, **changed: object) -> str:
    file.write_text(yaml.safe_dump(world.settings(**changed)))
    return str(file)


def test_the_page_has_the_figures_of_the_look_and_is_one_of_the_looks(world: World, tmp_path: Path) -> None:
    file = written(world, tmp_path / "e.yaml", name="page", hypothesis="More <tips>.", slices=["city"])
    where = ["--tables", str(world.root), "--until", "2026-11-10"]
    said = invoked("look", file, *where)
    invoked("report", file, "-o", str(tmp_path / "page.html"), *where)
    page = re.sub(r"<[^>]+>", " ", (tmp_path / "page.html").read_text())
    change, ends = re.findall(r"([+-][\d.]+ points) \(([^)]+)\)", said)[0]
    for words in ("Ship it.", change, ends, "More &lt;tips&gt;.", "looked at 1 times before", "tipped by city"):
        assert words in page
    looks = tables.rows(Store(str(world.root / "taxi")), tables.LOOKS, "page")
    assert [each["by"] for each in looks] == ["look", "report"]


@pytest.mark.parametrize("method", ["fixed", "bayesian"])
def test_every_method_has_a_page_also_without_units(world: World, tmp_path: Path, method: str) -> None:
    for name, until in (("none", "2026-11-01T12:00"), ("all", "2026-11-10")):
        file = written(world, tmp_path / f"{name}.yaml", name=f"{method}-{name}", method=method, slices=["city"])
        output = tmp_path / f"{name}.html"
        invoked("report", file, "-o", str(output), "--tables", str(world.root), "--until", until)
        assert "How it was computed" in output.read_text()


def test_the_plan_is_that_of_the_traffic(world: World) -> None:
    metric = {"name": "tipped", "kind": "proportion", "column": "tips", "matters": 0.05}
    experiment = parsed(world.settings(method="fixed", metrics=[metric]), "e")
    until = START + timedelta(days=5)
    traffic, (plan,) = planning.plans(experiment, Store(str(world.root / "taxi")), 5, 0.8, until)
    assert traffic.units == len(set(world.users))
    assert plan.units == design.sample_size(design.of_share(plan.mean), 0.05)
    assert plan.days and plan.days >= 1


def test_a_sequential_plan_is_as_strict_as_the_sequence_at_the_planned_size() -> None:
    experiment = parsed(
        {
            "name": "a",
            "model": "m",
            "arms": {"a": {"target": "a", "share": 1}, "b": {"target": "b", "share": 1}},
            "control": "a",
            "start": "2026-01-01",
            "metrics": [{"name": "x", "kind": "mean", "column": "x"}],
        },
        "e",
    )
    n = 10_000_000
    pair = arms.Arm(n / 2, 0.0, n / 2), arms.Arm(n / 2, 0.0, n / 2)
    half = float(sequence(*pair, Plan(units=n)).high) / (4 / n) ** 0.5
    from scipy.stats import norm

    assert planning._level(experiment) == pytest.approx(2 * norm.sf(half), rel=1e-3)


def test_design_and_init_and_assign_from_the_command_line(world: World, tmp_path: Path) -> None:
    file = written(world, tmp_path / "e.yaml")
    said = invoked("design", file, "--tables", str(world.root), "--until", "2026-11-05", "--days", "4")
    assert "tipped: " in said and "with 80% power by" in said and "about " in said
    output = tmp_path / "experiment.yaml"
    invoked("init", "taxi", "--tables", str(world.root), "-o", str(output))
    found = parsed(yaml.safe_load(output.read_text()), "experiment.yaml")
    assert set(found.arms) == {"stable", "canary"} and found.unit == "feature:user"
    assert all(line.startswith(("#", "-", " ")) or ":" in line for line in output.read_text().splitlines() if line)
    assert invoked("assign", file, "u7").strip() == expected_arm(parsed(world.settings(), "e"), "u7")


def test_a_layer_gives_each_key_to_one_experiment() -> None:
    world = World(Path("/none"), None, *[None] * 4)  # type: ignore[arg-type, list-item]
    layer = {"name": "ranking", "shares": {"first": 0.3, "second": 0.3}}
    found = [parsed(world.settings(name=name, layer=layer), "e") for name in ("first", "second")]
    arms_ = [[expected_arm(each, f"u{key}") for key in range(2000)] for each in found]
    both = [first for first, second in zip(*arms_, strict=True) if first and second]
    taken = [sum(arm is not None for arm in each) / 2000 for each in arms_]
    assert not both and taken == pytest.approx([0.3, 0.3], abs=0.04)
