"""Odd rows, versions and values: what a window's tables say of them."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.contract.errors import ServiceError
from components.inference import table
from components.monitoring.passes.trained import Trained
from tests.components.monitoring.passes.watched import HOUR, START, Watched, columns, recorded, spread, trained

LATER = START + 2 * HOUR


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_window_without_a_change_has_no_signal_and_one_with_a_change_has(watched: Watched) -> None:
    watched.add(spread(START, 1000))
    watched.add(spread(START + HOUR, 1000), columns(1000, 5, shift=0.5))
    clean, moved = watched.pass_over(START + 3 * HOUR)[:2]
    assert clean.signals == 0 and moved.signals > 0
    where = [("column", "=", "miles"), ("against", "=", "training"), ("window_start", "=", START + HOUR)]
    [row] = watched.store.read("drift", [*where, ("test", "=", "values")]).to_pylist()
    assert row["effect"] == pytest.approx(0.5, abs=0.1) and row["p_value"] < 1e-6


def test_a_version_without_provenance_is_counted_and_asked_for_once_a_pass(watched: Watched) -> None:
    watched.add(spread(START, 20), version=7)
    watched.add(spread(START, 30), version=1)
    watched.add(spread(START, 5), version=None, status="INTERNAL")
    [computed] = watched.pass_over(LATER)
    assert computed.rows == 55 and computed.versions == [1, 7, None]
    assert set(watched.watch.unknown) == {7} and watched.asked.count(7) == 1
    requests = watched.store.read("profile", [("column", "=", "")]).to_pylist()
    assert {(each["version"], each["requests"], each["errors"]) for each in requests} == {
        *((1, 30, 0), (7, 20, 0), (None, 5, 5))
    }
    watched.versions[7] = trained(watched.folder, 7)
    watched.add(spread(START, 1), version=7)
    watched.pass_over(LATER)
    assert not watched.watch.unknown
    assert {each["version"] for each in watched.store.read("drift").to_pylist()} == {1, 7}


def test_a_store_that_is_away_is_no_version_without_provenance(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(version: int) -> Trained:
        raise ServiceError(f"version {version} cannot be read")

    watched.add(spread(START, 20))
    with monkeypatch.context() as patch:
        patch.setattr(watched.watch, "find", away)
        with pytest.raises(ServiceError):
            watched.pass_over(LATER)
    [computed] = watched.pass_over(LATER)
    assert computed.rows == 20 and watched.profile("miles")["rows"] == 20


def test_a_second_version_with_other_columns_tells_what_has_changed(watched: Watched) -> None:
    of_two = {"miles": pa.array(["x"] * 500), "tips": pa.array([1.0] * 500)}
    watched.versions[2] = trained(watched.folder, 2, of_two)
    watched.add(spread(START, 40))
    watched.pass_over(LATER)
    watched.restarted()
    watched.add(spread(START + HOUR, 40), {name: each.slice(0, 40) for name, each in of_two.items()}, version=2)
    watched.pass_over(LATER + HOUR)
    found = watched.store.read("signals", [("kind", "=", "schema")]).to_pylist()
    assert {(each["window_start"], each["column"]) for each in found} >= {
        (START + HOUR, "miles"),
        (START + HOUR, "tips"),
    }
    watched.add(spread(START + 2 * HOUR, 40), {name: each.slice(0, 40) for name, each in of_two.items()}, version=2)
    watched.pass_over(LATER + 2 * HOUR)
    assert len(watched.store.read("signals", [("kind", "=", "schema")])) == len(found)


def test_two_versions_in_a_window_are_compared_apart(watched: Watched) -> None:
    watched.versions[2] = trained(watched.folder, 2, columns(5000, 98, shift=3.0))
    watched.add(spread(START, 500))
    watched.add(spread(START, 500), columns(500, 4, shift=3.0), version=2)
    [computed] = watched.pass_over(LATER)
    assert (computed.rows, computed.signals) == (1000, 0)
    where = [("column", "=", "miles"), ("against", "=", "training")]
    assert {each["version"] for each in watched.store.read("drift", where).to_pylist()} == {1, 2}


def test_missing_and_infinite_values_and_rows_that_do_not_parse(watched: Watched) -> None:
    watched.add(spread(START, 30), {"miles": pa.nulls(30, pa.float64()), "company": pa.array(["a"] * 30)})
    watched.add(
        spread(START, 30), {"miles": pa.array([np.inf, -np.inf, np.nan] * 10), "company": pa.nulls(30, pa.string())}
    )
    watched.add(spread(START, 3), {"unparsed": pa.array([b"\xff"] * 3)}, status="INVALID_ARGUMENT")
    [computed] = watched.pass_over(LATER)
    assert computed.rows == 63
    miles = watched.profile("miles")
    assert miles["missing"] >= 30 and (miles["mean"] is None or np.isfinite(miles["mean"]))
    assert watched.profile("")["errors"] == 3


def test_a_column_that_is_all_missing_is_a_signal(watched: Watched) -> None:
    watched.add(spread(START, 300), {"miles": pa.nulls(300, pa.float64()), "company": columns(300)["company"]})
    [computed] = watched.pass_over(LATER)
    assert computed.signals
    found = watched.store.read("signals", [("column", "=", "miles"), ("kind", "=", "missing")]).to_pylist()
    assert found and found[0]["signal"]


def test_columns_of_another_type_than_in_training(watched: Watched) -> None:
    watched.add(spread(START, 100), {"miles": pa.array(["far"] * 100), "company": pa.array([7] * 100)})
    [computed] = watched.pass_over(LATER)
    assert computed.rows == 100 and computed.signals


@pytest.mark.slow
def test_a_million_categories_are_counted_in_bounded_memory(watched: Watched) -> None:
    names = pa.array(np.char.add("id-", np.arange(1_000_000).astype(str)))
    for part in range(4):
        rows = recorded([START] * 250_000, {"company": names.slice(part * 250_000, 250_000)})
        table.append(watched.store.root, rows)
    watched.add([START], columns(1))
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    [computed] = watched.pass_over(LATER)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert computed.rows == 1_000_001
    assert grown < 800, f"{grown:.0f} MiB in {time.monotonic() - began:.1f} s"
    assert watched.profile("company")["distinct"] == pytest.approx(1_000_000, rel=0.05)


def test_ignored_columns_are_in_no_table(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.settings = type(watched.settings)(ignore=["company"])
    watched.restarted()
    watched.add(spread(START, 50))
    watched.pass_over(LATER)
    assert set(watched.store.read("profile")["column"].to_pylist()) == {"", "miles"}
