"""The statistics of the database are those of components/experiments on the raw rows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.experiments import arms, joint, metrics
from components.experiments.arms import Arm
from components.experiments.compare import cuped
from components.experiments.validity import sampling
from components.monitoring.labels.add import add
from components.monitoring.store import Store
from taxiway.experiments.data import sums, units
from taxiway.experiments.data.database import database
from taxiway.experiments.settings import parsed
from tests.taxiway.experiments.written import START, World, write

DAY = 86_400.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write(tmp_path_factory.mktemp("world"), rates=(0.1, 0.2))


def found(world: World, *, days: float = 5, **changed: Any) -> tuple[list[Arm], units.Counts, float]:
    """The arms of the first metric as they are compared, what was counted, and what CUPED left."""
    experiment = parsed(world.settings(**changed), "e")
    with database() as connection:
        built = units.build(connection, experiment, Store(str(world.root / "taxi")), START + timedelta(days=days))
        pair = sums.pair(built, experiment.metrics[0], *sums.at_all(sums.whole(built, 0)))
        return [pair.control, pair.treatment], built.counts, pair.kept


def in_window(world: World, until: float, start: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The users whose day is over, and which requests are in the first day of their user."""
    late, first = world.seconds >= start, first_of(world, start)
    ready = first + DAY <= until
    return np.flatnonzero(ready & np.isfinite(first)), late & (world.seconds < first[world.users] + DAY)


def first_of(world: World, start: float = 0.0) -> np.ndarray:
    first = np.full(world.users.max() + 1, np.inf)
    late = world.seconds >= start
    np.minimum.at(first, world.users[late], world.seconds[late])
    return first


def per_user(world: World, values: np.ndarray, users: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.bincount(world.users[rows], values[rows], minlength=world.users.max() + 1)[users]


def arm_of(world: World, users: np.ndarray) -> np.ndarray:
    arm = np.zeros(world.users.max() + 1, int)
    arm[world.users] = world.arms
    return arm[users]


def close(one: Arm, other: Arm) -> None:
    for name in ("n", "mean", "squares"):
        assert float(getattr(one, name)) == pytest.approx(float(getattr(other, name)), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("kind", ["proportion", "mean", "ratio"])
def test_users_with_many_requests_are_one_unit(world: World, kind: str) -> None:
    column = "tip" if kind == "mean" else "tips"
    got, counts, _ = found(world, metrics=[{"name": "m", "kind": kind, "column": column}])
    users, rows = in_window(world, 5 * DAY)
    in_time = rows & (world.seconds + 600 < first_of(world)[world.users] + DAY)
    tipped, asked = per_user(world, (world.tips > 0) * 1.0, users, in_time), per_user(world, rows * 1.0, users, rows)
    for number, arm in enumerate(got):
        mine = arm_of(world, users) == number
        tips = per_user(world, world.tips, users, in_time)[mine]
        expected = {
            "proportion": arms.of_values(tipped[mine] > 0),
            "mean": arms.of_values(tips),
            "ratio": joint.ratio(joint.of_columns(tipped[mine], asked[mine])),
        }[kind]
        close(arm, expected)
    assert counts.units == len(np.unique(world.users)) and counts.mixed == 0


def test_units_wait_until_their_window_is_over(world: World) -> None:
    got, counts, _ = found(world, days=1.5)
    users, _ = in_window(world, 1.5 * DAY)
    assert sum(float(arm.n) for arm in got) == len(users)
    assert counts.waiting == counts.units - len(users) > 0


def test_late_outcomes_do_not_count(tmp_path: Path) -> None:
    world = write(tmp_path, rates=(0.9, 0.9), late=timedelta(hours=23, minutes=59))
    got, counts, _ = found(world, days=9)
    users, rows = in_window(world, 9 * DAY)
    in_time = rows & (world.seconds + DAY - 60 < first_of(world)[world.users] + DAY)
    tipped = per_user(world, (world.tips > 0) * 1.0, users, in_time) > 0
    for number, arm in enumerate(got):
        close(arm, arms.of_values(tipped[arm_of(world, users) == number]))
    assert counts.lost == {"tips": 0}


def test_outcomes_by_key_count_from_the_first_request_on(world: World) -> None:
    source = {"source": str(world.root / "tips.parquet"), "name": "tips", "key": "user", "time": "at"}
    got, _, _ = found(world, outcomes=[source], metrics=[{"name": "m", "kind": "mean", "column": "tip"}])
    users, _ = in_window(world, 5 * DAY)
    values = per_user(world, world.tips, users, world.seconds + 600 < first_of(world)[world.users] + DAY)
    for number, arm in enumerate(got):
        close(arm, arms.of_values(values[arm_of(world, users) == number]))


def test_cuped_takes_out_what_was_known_before(tmp_path: Path) -> None:
    world = write(tmp_path, requests=8000, users=600, days=8)
    metric = {"name": "m", "kind": "mean", "column": "requests", "covariate": "before"}
    start = START + timedelta(days=4)
    got, _, kept = found(world, days=9, start=str(start), before="4d", metrics=[metric])
    users, rows = in_window(world, 9 * DAY, 4 * DAY)
    now = per_user(world, rows * 1.0, users, rows)
    before = world.seconds < 4 * DAY
    past = per_user(world, before * 1.0, users, before)
    columns = [joint.of_columns(now[mine], past[mine]) for mine in (arm_of(world, users) == n for n in (0, 1))]
    expected = cuped.means(*columns)
    close(got[0], expected.control)
    close(got[1], expected.treatment)
    assert kept == pytest.approx(float(expected.kept), rel=1e-9)


def test_requests_that_were_recorded_with_other_shares_are_weighted(tmp_path: Path) -> None:
    share = np.where(np.arange(4000) % 4 == 0, 0.1, 1.0)
    world = write(tmp_path, columns={"share": share})
    metric = {"name": "m", "kind": "mean", "column": "latency_ms"}
    got, _, _ = found(world, unit="request", outcomes=[], window="0s", metrics=[metric])
    latency = world.rows["latency_ms"].to_numpy().astype(float)
    for number, arm in enumerate(got):
        mine = world.arms == number
        close(arm, sampling.weighted(latency[mine], share[mine]))


def test_offline_metrics_compare_labels_with_scores(world: World) -> None:
    labels = world.root / "labels.parquet"
    ids = world.rows["request_id"].to_pylist()[::2]
    truth = (np.arange(len(ids)) % 3 == 0) * 1.0
    pq.write_table(pa.table({"request_id": ids, "converted": truth}), labels)
    given: dict[str, Any] = {
        "unit": "request",
        "outcomes": [{"source": str(labels), "name": "labels", "id": "request_id", "missing": "left out"}],
    }
    score, mine = world.rows["output_score"].to_numpy()[::2], world.arms[::2] == 1
    precision, recall = metrics.precision_recall(truth[mine], score[mine], 0.4)
    for kind, expected in (
        ("log loss", metrics.log_loss(truth[mine], score[mine]).mean()),
        ("precision", precision),
        ("recall", recall),
    ):
        metric = {"name": "m", "kind": kind, "column": "converted", "score": "output_score", "threshold": 0.4}
        got, _, _ = found(world, **given, metrics=[metric])
        assert float(got[1].mean) == pytest.approx(expected, rel=1e-9)


def test_ndcg_ranks_the_rows_of_each_request(tmp_path: Path) -> None:
    lists = np.repeat(np.arange(1000), 4)
    columns = {"request_id": [f"r{each}" for each in lists], "row": pa.array(np.arange(4000) % 4, pa.int32())}
    columns["version"] = pa.array(1 + lists % 2, pa.int64())
    gains = (np.arange(4000) * 7 % 5 % 3).astype(float)
    world = write(tmp_path, columns={**columns, "input_gain": gains})
    metric = {"name": "m", "kind": "ndcg", "column": "gain", "score": "score", "top": 3}
    arms_of_lists = {"stable": {"version": 1, "share": 1}, "canary": {"version": 2, "share": 1}}
    got, counts, _ = found(world, unit="request", outcomes=[], window="0s", metrics=[metric], arms=arms_of_lists)
    scores = world.rows["output_score"].to_numpy()
    assert counts.units == 1000
    for number, arm in enumerate(got):
        mine = lists % 2 == number
        assert float(arm.mean) == pytest.approx(
            metrics.ndcg(lists[mine], gains[mine], scores[mine], 3).mean(), rel=1e-9
        )


def test_keys_in_headers_come_from_a_source_of_their_own(world: World) -> None:
    keys = world.root / "keys.parquet"
    named = {"id": world.rows["request_id"], "rider": world.rows["input_user"]}
    pq.write_table(pa.table(named), keys)
    given = {"source": str(keys), "id": "id", "key": "rider"}
    got, counts, _ = found(world, unit="header:x-rider", keys=given)
    expected, others, _ = found(world)
    assert counts.units == others.units
    for one, other in zip(got, expected, strict=True):
        close(one, other)


def test_the_models_own_labels_are_a_source(tmp_path: Path) -> None:
    world = write(tmp_path, requests=400)
    truth = np.arange(400) % 2 * 1.0
    rows = pa.table({"request_id": world.rows["request_id"], "paid": truth, "time": world.rows["time"]}).slice(0, 300)
    add(Store(str(world.root / "taxi")), rows, time="time", labels=["paid"])
    metric = {"name": "m", "kind": "mean", "column": "paid"}
    source = {"source": "labels", "name": "labels"}
    got, _, _ = found(world, unit="request", outcomes=[source], metrics=[metric])
    for number, arm in enumerate(got):
        close(arm, arms.of_values(truth[:300][world.arms[:300] == number]))


def test_users_in_both_arms_count_for_their_first(tmp_path: Path) -> None:
    world = write(tmp_path, requests=200, users=10, columns={"target": ["stable", "canary"] * 100})
    got, counts, _ = found(world)
    assert counts.mixed == 10
    assert sum(float(arm.n) for arm in got) == 10
