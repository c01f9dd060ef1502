"""Looks from the command line: the verdict, the log of looks, and what cannot be believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from typer.testing import CliRunner

from components.contract.errors import DataError
from components.experiments import arms
from components.experiments.compare import proportions
from components.experiments.sequential import Plan, sequence
from components.monitoring.store import Store
from taxiway.cli import app
from taxiway.experiments import tables
from taxiway.experiments.look import Look, look
from taxiway.experiments.settings import parsed
from tests.taxiway.experiments.written import ARMS, START, World, write


def looked(world: World, *, days: float = 9, **changed: Any) -> Look:
    experiment = parsed(world.settings(**changed), "e")
    return look(experiment, Store(str(world.root / "taxi")), START + timedelta(days=days))


def verdicts(found: Look) -> dict[str, str]:
    return {check.name: check.state for check in found.checks}


Write = Callable[..., World]


@pytest.fixture
def world(tmp_path: Path) -> Write:
    return lambda **given: write(tmp_path, **given)


def test_a_better_arm_is_shipped_and_the_figures_are_those_of_the_statistics(world: Write) -> None:
    made = world(requests=8000, users=4000, rates=(0.1, 0.3))
    found = looked(made)
    assert (found.decision.kind, found.decision.arm) == ("ship", "canary")
    each = found.found[0]
    pair = [
        arms.of_counts(round(n * mean), n)
        for n, mean in ((each.n_control, each.control), (each.n_treatment, each.treatment))
    ]
    expected = sequence(*pair, Plan(level=0.05, units=10_000))
    assert (each.low, each.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert "tipped is better by" in found.decision.sentence


def test_the_command_says_and_exits_with_the_verdict_and_logs_each_look(world: Write, tmp_path: Path) -> None:
    made = world(requests=2000, users=1000, rates=(0.3, 0.05))
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(made.settings()))
    line = ["experiment", "look", str(file), "--tables", str(tmp_path), "--until", "2026-11-10", "--check"]
    first = CliRunner().invoke(app, line)
    assert first.exit_code == 5, first.output
    assert first.output.startswith("new-model: Stop it\ncanary against stable: tipped is worse by")
    second = CliRunner().invoke(app, [*line, "--json"])
    assert second.exit_code == 5 and json.loads(second.output)["decision"] == "stop"
    third = CliRunner().invoke(app, line)
    assert "This was look 3." in third.output
    rows = tables.rows(Store(str(tmp_path / "taxi")), tables.LOOKS)
    assert [(row["decision"], row["by"]) for row in rows] == [("stop", "look")] * 3
    assert len({row["settings"] for row in rows}) == 1


def test_settings_that_change_after_a_look_are_told(world: Write) -> None:
    made = world()
    assert verdicts(looked(made))["Settings"] == "good"
    assert verdicts(looked(made, level=0.1))["Settings"] == "warn"


def test_a_fixed_size_decides_at_its_end_only_and_always_the_same(world: Write) -> None:
    made = world(requests=8000, users=2000, rates=(0.1, 0.3))
    early = looked(made, days=1.2, method="fixed", units=1000)
    assert early.decision.kind == "wait" and "planned units" in early.decision.sentence
    late, later = (looked(made, days=days, method="fixed", units=1000) for days in (3.5, 9))
    assert late.decision.kind == later.decision.kind == "ship"
    each, same = late.found[0], later.found[0]
    assert (each.n_control, each.n_treatment) == (same.n_control, same.n_treatment)
    assert (each.low, each.high) == pytest.approx((same.low, same.high), rel=1e-9)
    pair = [
        arms.of_counts(round(n * mean), n)
        for n, mean in ((each.n_control, each.control), (each.n_treatment, each.treatment))
    ]
    expected = proportions.z(*pair)
    assert (each.low, each.p_value) == pytest.approx((expected.low, expected.p_value), rel=1e-9)
    assert each.n_control + each.n_treatment == 1000


def test_bayesian_says_how_probable_it_is(world: Write) -> None:
    found = looked(world(rates=(0.1, 0.3)), method="bayesian")
    assert found.found[0].above > 0.999 and found.decision.kind == "ship"


def test_units_that_do_not_fit_the_weights_make_it_invalid(world: Write) -> None:
    found = looked(world(shares=(0.6, 0.4), rates=(0.1, 0.3)))
    assert found.decision.kind == "invalid"
    assert found.decision.sentence.startswith("Sample-ratio mismatch")


def test_a_guardrail_that_is_broken_stops_a_better_arm(world: Write) -> None:
    latency = 10.0 + np.random.default_rng(1).normal(0, 1, 4000)
    made = world(rates=(0.1, 0.3))
    slow = {"name": "latency", "kind": "ratio", "column": "latency_ms", "goal": "down", "margin": 0.5}
    assert looked(made, metrics=[*made.settings()["metrics"], slow]).decision.kind in ("ship", "wait")
    other = write(made.root / "slow", rates=(0.1, 0.3))
    shifted = pa.array(latency + 5 * other.arms, pa.float32())
    slower = write(made.root / "slower", rates=(0.1, 0.3), columns={"latency_ms": shifted})
    found = looked(slower, metrics=[*slower.settings()["metrics"], slow])
    assert [each.state for each in found.found] == ["better", "broken"]
    assert found.decision.kind == "stop"


def test_an_arm_without_units_is_waited_for(world: Write) -> None:
    made = world(requests=300, users=100, shares=(1.0, 0.0))
    found = looked(
        made,
        arms={"stable": {"target": "stable", "share": 1}, "canary": {"target": "canary", "share": 0}},
    )
    assert found.decision.kind == "wait" and found.units == {"stable": len(set(made.users)), "canary": 0}
    assert "nothing known yet" in found.decision.sentence


@pytest.mark.parametrize("method", ["sequential", "fixed", "bayesian"])
def test_one_unit_says_nothing(world: Write, method: str) -> None:
    found = looked(world(requests=1, users=1), method=method)
    assert found.decision.kind == "wait"


def test_no_request_of_the_arms_is_an_error(world: Write) -> None:
    made = world()
    given = {name: {"target": f"{name}-9", "share": 1} for name in ARMS}
    with pytest.raises(DataError, match="no request of the arms") as error:
        looked(made, arms=given)
    assert "compare start and arms" in str(error.value)


def test_an_a_a_run_says_whether_the_split_can_be_trusted(world: Write) -> None:
    found = looked(world(), same=True)
    assert found.decision.kind == "same" and "split can be trusted" in found.decision.sentence
    assert verdicts(found)["A/A of tipped"] == "good"
    assert looked(world(rates=(0.1, 0.4), seed=2, requests=4000), same=True).decision.kind == "invalid"


def test_simpsons_paradox_is_warned_of(world: Write) -> None:
    chance, n = np.random.default_rng(1), 4000
    city = chance.random(n) < 0.5
    arm = (chance.random(n) < np.where(city, 0.9, 0.1)).astype(int)
    tipped = chance.random(n) < np.where(city, 0.2, 0.6) + 0.1 * arm
    made = world(
        users=4000,
        columns={
            "input_user": [f"u{each}" for each in range(n)],
            "input_city": np.where(city, "Rome", "Paris"),
            "target": [ARMS[each] for each in arm],
            "input_tipped": tipped * 1.0,
        },
    )
    metric = {"name": "tipped", "kind": "proportion", "column": "tipped"}
    found = looked(made, metrics=[metric], slices=["city"])
    assert found.found[0].difference < 0 < found.sliced[0].within
    assert verdicts(found)["Simpson's paradox"] == "warn"


def test_another_experiment_at_the_same_time_is_told_unless_they_share_a_layer(world: Write) -> None:
    made = world()
    looked(made, name="first")
    assert verdicts(looked(made, name="second"))["Other experiments"] == "warn"
    layer = {"name": "ranking", "shares": {"third": 0.5, "fourth": 0.5}}
    looked(made, name="third", layer=layer, end=str(datetime(2026, 11, 20)))
    words = {check.name: check.words for check in looked(made, name="fourth", layer=layer).checks}
    assert "third" not in words["Other experiments"] and "first" in words["Other experiments"]


def test_changed_weights_are_compared_by_stretch(world: Write) -> None:
    ramp = [{"start": str(START + timedelta(days=2)), "shares": {"stable": 0.5, "canary": 0.5}}]
    found = looked(world(), ramp=ramp, slices=["city"])
    assert {each.name for each in found.sliced} == {"city", "weights"}
    assert verdicts(found)["Units per arm"] == "good"
