"""Evidence from the inference table and the labels: read once, in the order of time."""

from __future__ import annotations

import threading
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.contract.errors import UserError
from components.inference import table
from components.monitoring.labels.add import add
from components.monitoring.store import Store
from taxiway.delivery.advance import placed
from taxiway.delivery.evidence.tables import Rows
from taxiway.delivery.evidence.witness import DeliveryWitness
from taxiway.delivery.rollout import FAILURE, INCONCLUSIVE, SUCCESS, Reading, Rollout, begun, from_json
from taxiway.delivery.settings import Delivery, parsed

START = datetime(2026, 11, 28, 9, tzinfo=UTC)
KSERVE = {"kserve": {"namespace": "ml", "name": "taxi"}}


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def requests(first: float, last: float, *, version: int, n: int, **columns: Any) -> pa.Table:
    """Rows of n requests, evenly between two times."""
    times = [at(first + (last - first) * number / n) for number in range(n)]
    ids = [f"{version}-{first:g}-{number}" for number in range(n)]
    known = {
        "request_id": pa.array(ids),
        "row": pa.array([0] * n, pa.int32()),
        "time": pa.array(times, pa.timestamp("us", "UTC")),
        "model": pa.array(["taxi"] * n),
        "version": pa.array([version] * n, pa.int64()),
        "status": pa.array(["OK"] * n),
        "latency_ms": pa.array([4.0] * n, pa.float32()),
        "share": pa.array([1.0] * n),
    }
    return pa.table({**known, **{name: pa.array(values) for name, values in columns.items()}})


def settings(tmp_path: Path, **guardrails: Any) -> Delivery:
    last = {"weight": 100, "least_time": "0s", "least_requests": 0}
    steps = [{"weight": 50, "least_time": "30s"}, last]
    given = {"weights": KSERVE, "evidence": "tables", "tables": str(tmp_path), "steps": steps}
    return parsed({**given, "guardrails": guardrails})


def looked(settings: Delivery, store: Store, *seconds: float) -> dict[str, Reading]:
    """What the guardrails say after looks at these times, with a kill between any two."""
    rollout = placed(begun("taxi", 1, 2, START), START, settings)
    for each in seconds:
        witness = DeliveryWitness(settings, None, Rows(store, 1, 2, ("stable", "canary")))
        gathered, evidence = witness.look(rollout, at(each))
        assert evidence.trouble == ""
        rollout = from_json(replace(rollout, gathered=gathered, readings=tuple(evidence.readings)).to_json())
    return {each.guardrail: each for each in rollout.readings}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "taxi"))


def test_errors_and_latency_by_version(store: Store, tmp_path: Path) -> None:
    given = settings(tmp_path, errors={}, latency={})
    table.append(store.root, requests(0, 60, version=1, n=3000))
    status = ["INTERNAL" if number % 20 == 0 else "CANCELLED" if number % 20 == 1 else "OK" for number in range(300)]
    table.append(store.root, requests(0, 60, version=2, n=300, status=status))
    found = looked(given, store, 30, 31, 120)
    assert found["errors"].verdict == FAILURE and found["latency"].verdict == SUCCESS
    assert found["errors"].challenger == pytest.approx(15 / 285)
    assert found["errors"].requests == (3000, 285)  # each once


def test_slower_by_version(store: Store, tmp_path: Path) -> None:
    slow = pa.array([5.4] * 300, pa.float32())
    table.append(store.root, requests(0, 60, version=1, n=3000))
    table.append(store.root, requests(0, 60, version=2, n=300, latency_ms=slow))
    found = looked(settings(tmp_path, latency={}), store, 100)
    assert found["latency"].verdict == FAILURE
    assert "latency: the challenger takes 5.4 ms instead of 4 ms on average" in found["latency"].sentence


def test_slower_within_the_tolerance(store: Store, tmp_path: Path) -> None:
    """Though all of the challenger's latencies are in the bin after the champion's, which is 26 % wide."""
    slow = pa.array([4.2] * 3000, pa.float32())
    table.append(store.root, requests(0, 60, version=1, n=3000))
    table.append(store.root, requests(0, 60, version=2, n=3000, latency_ms=slow))
    found = looked(settings(tmp_path, latency={"tolerance": 0.1}), store, 100)["latency"]
    assert found.verdict == SUCCESS and found.odds > 1000
    assert looked(settings(tmp_path, latency={"tolerance": 0.04}), store, 100)["latency"].verdict == FAILURE


def test_an_empty_table_is_inconclusive(store: Store, tmp_path: Path) -> None:
    found = looked(settings(tmp_path, drift={}, business={"label": "paid"}), store, 700)
    assert {each.verdict for each in found.values()} == {INCONCLUSIVE}


def test_drift_of_predictions(store: Store, tmp_path: Path) -> None:
    given = settings(tmp_path, drift={"tolerance": 0.2})
    source = np.random.default_rng(1)
    table.append(store.root, requests(0, 60, version=1, n=4000, output_score=source.normal(0, 1, 4000).tolist()))
    table.append(store.root, requests(0, 60, version=2, n=2000, output_score=source.normal(0.1, 1, 2000).tolist()))
    near = looked(given, store, 40, 100)["drift"]
    assert near.verdict == SUCCESS and near.requests == (4000, 2000)
    table.append(store.root, requests(60, 90, version=1, n=4000, output_score=source.normal(0, 1, 4000).tolist()))
    table.append(store.root, requests(60, 90, version=2, n=4000, output_score=source.normal(2, 1, 4000).tolist()))
    far = looked(given, store, 60, 200)["drift"]
    assert far.verdict == FAILURE and "0.2 is allowed" in far.sentence


def test_predictions_may_be_lists_and_strings(store: Store, tmp_path: Path) -> None:
    """Of several numbers, which one is the largest counts."""
    given = settings(tmp_path, drift={"output": "scores"})
    table.append(
        store.root, requests(0, 60, version=1, n=600, output_scores=[[0.9, 0.1]] * 600, output_name=["a"] * 600)
    )
    table.append(store.root, requests(0, 60, version=2, n=600, output_scores=[[0.2, 0.8]] * 600))
    assert looked(given, store, 100)["drift"].challenger == 1
    assert looked(settings(tmp_path, drift={"output": "name"}), store, 100)["drift"].verdict == INCONCLUSIVE
    witness = DeliveryWitness(settings(tmp_path, drift={}), None, Rows(store, 1, 2, ("stable", "canary")))
    _, evidence = witness.look(placed(begun("taxi", 1, 2, START), START, given), at(100))
    assert "drift.output is '', which is no output" in evidence.trouble


def test_a_slow_table_keeps_nobody_waiting(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy's figures are looked at while the tables are read; what is read of an earlier step does not count."""
    table.append(store.root, requests(0, 60, version=1, n=400, output_score=[1.0] * 400))
    given, going, read = settings(tmp_path, drift={}), threading.Event(), Rows.predictions

    def slow(*arguments: Any) -> Any:
        assert going.wait(20)
        return read(*arguments)

    monkeypatch.setattr(Rows, "predictions", slow)
    witness = DeliveryWitness(given, None, Rows(store, 1, 2, ("stable", "canary")), in_background=True)
    rollout = placed(begun("taxi", 1, 2, START), START, given)
    gathered, evidence = witness.look(rollout, at(100))
    assert gathered["read"] == "" and evidence.readings[0].requests == (0, 0)
    going.set()
    while gathered["read"] == "":
        gathered, evidence = witness.look(replace(rollout, gathered=gathered), at(101))
    assert evidence.readings[0].requests == (400, 0)
    witness._looked = None
    going.clear()
    witness.look(replace(rollout, gathered=gathered), at(120))
    going.set()
    later = replace(rollout, gathered=gathered, step=1, since=at(121))
    for seconds in range(5):
        gathered, _ = witness.look(replace(later, gathered=gathered), at(122 + seconds))
    assert gathered["read"] == at(85).isoformat()


def label(store: Store, rows: pa.Table, values: list[float], seconds: float) -> None:
    source = pa.table({"request_id": rows["request_id"], "paid": pa.array(values)})
    add(store, source, labels=["paid"], now=at(seconds))


def worse(store: Store, good: float, n: int = 3000) -> None:
    source = np.random.default_rng(2)
    for version, share in ((1, 0.5), (2, good)):
        rows = requests(0, 60, version=version, n=n)
        table.append(store.root, rows)
        label(store, rows, (source.random(n) < share).astype(float).tolist(), 61)


def test_a_worse_business_metric(store: Store, tmp_path: Path) -> None:
    worse(store, 0.4)
    given = settings(tmp_path, business={"label": "paid", "delay": "60s"})
    assert looked(given, store, 30)["business"].verdict == INCONCLUSIVE  # nothing is due yet
    found = looked(given, store, 100, 130, 200)["business"]
    assert found.verdict == FAILURE
    assert found.requests == (3000, 3000)
    assert found.sentence.startswith("business: paid is 0.4")
    lower = settings(tmp_path, business={"label": "paid", "delay": "60s", "better": "lower"})
    assert looked(lower, store, 200)["business"].verdict == SUCCESS
    allowed = settings(tmp_path, business={"label": "paid", "delay": "60s", "tolerance": 0.15})
    assert looked(allowed, store, 200)["business"].verdict == SUCCESS


def test_a_margin_has_to_be_shown(store: Store, tmp_path: Path) -> None:
    worse(store, 0.5)
    shown = settings(tmp_path, business={"label": "paid", "delay": "60s", "margin": 0.1})
    assert looked(shown, store, 200)["business"].verdict == SUCCESS
    narrow = settings(tmp_path, business={"label": "paid", "delay": "60s", "margin": 0.005})
    assert looked(narrow, store, 200)["business"].verdict == INCONCLUSIVE


def test_a_step_waits_for_the_outcomes_of_its_least_time(store: Store, tmp_path: Path) -> None:
    worse(store, 0.5, n=400)
    given = settings(tmp_path, business={"label": "paid", "delay": "60s"})
    early = looked(given, store, 89)["business"]
    assert early.verdict == INCONCLUSIVE
    assert early.sentence.endswith("; outcomes of requests until 2026-11-28 09:00:30 UTC are waited for")
    assert looked(given, store, 90)["business"].verdict == SUCCESS


def test_before_the_challenger_has_requests_nothing_is_missing(store: Store, tmp_path: Path) -> None:
    off = {"errors": False, "latency": False}
    given = {"weights": {"route": "http://127.0.0.1:1"}, "strategy": "shadow", "tables": str(tmp_path)}
    shadow = parsed({**given, "guardrails": {**off, "drift": {}, "business": {"label": "paid"}}})
    assert {each.verdict for each in looked(shadow, store, 700).values()} == {SUCCESS}


def test_absent_outcomes_count_if_the_settings_say_so(store: Store, tmp_path: Path) -> None:
    rows = requests(0, 60, version=1, n=400)
    table.append(store.root, rows)
    table.append(store.root, requests(0, 60, version=2, n=400))
    label(store, rows.slice(0, 100), [1.0] * 100, 61)
    without = looked(settings(tmp_path, business={"label": "paid", "delay": "60s"}), store, 200)["business"]
    assert without.requests == (0, 0)  # no stratum has outcomes of both
    counted = looked(settings(tmp_path, business={"label": "paid", "delay": "60s", "absent": 0}), store, 200)
    assert counted["business"].requests == (400, 400) and counted["business"].challenger == 0


def test_an_unknown_outcome_is_told(store: Store, tmp_path: Path) -> None:
    worse(store, 0.5, n=10)
    rows = Rows(store, 1, 2, ("stable", "canary"))
    with pytest.raises(UserError, match="labels have no 'sold'") as refused:
        list(rows.outcomes(START, at(60), "sold", None))
    assert refused.value.fix == "use one of paid in business.label"


def test_rows_without_a_version_belong_to_their_target(store: Store) -> None:
    nobody = pa.array([None] * 10, pa.int64())
    table.append(store.root, requests(0, 1, version=7, n=10, version_=[0] * 10).drop(["version_"]))
    for target in ("stable", "canary"):
        rows = requests(0, 1, version=1, n=10).set_column(4, "version", nobody)
        table.append(store.root, rows.append_column("target", pa.array([target] * 10)))
    [second] = Rows(store, 1, 2, ("stable", "canary")).seconds(START, at(60))
    assert (second.champion.requests, second.challenger.requests) == (10, 10)


def test_the_evidence_is_plain_json(store: Store, tmp_path: Path) -> None:
    worse(store, 0.4, n=200)
    given = settings(tmp_path, errors={}, latency={}, business={"label": "paid", "delay": "60s"})
    rollout: Rollout = placed(begun("taxi", 1, 2, START), START, given)
    gathered, _ = DeliveryWitness(given, None, Rows(store, 1, 2, ("stable", "canary"))).look(rollout, at(100))
    assert len(replace(rollout, gathered=gathered).to_json()) < 40_000
    assert asdict(replace(rollout, gathered=gathered))["gathered"]["judged"] == at(40).isoformat()
