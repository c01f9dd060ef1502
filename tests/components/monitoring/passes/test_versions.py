"""Two versions side by side, one of which sees a slice change: alarms, quality and the report tell both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from components.inference import table
from components.monitoring.labels.add import add
from components.reports.monitoring.columns import ranked
from components.reports.monitoring.report import report
from components.reports.monitoring.scope import Scope
from components.reports.monitoring.watched import Watched as Shown
from tests.components.monitoring.passes.watched import HOUR, START, Watched, columns, recorded, spread, trained
from tests.components.reports.parsed import Page

ROWS, HOURS = 900, 3
CONFIG = {
    "model_specs": [{"label_key": "y"}],
    "slicing_specs": [{}, {"feature_keys": ["company"]}],
    "metrics_specs": [{"metrics": [{"class_name": "BinaryAccuracy"}, {"class_name": "AUC"}]}],
}


def served(hour: int, version: int) -> pa.Table:
    """An hour's rows; the second version gets other miles of company b, and answers worse."""
    random = np.random.default_rng(1000 + hour)
    given = columns(ROWS, hour)
    miles = given["miles"].to_numpy()
    is_b = np.asarray(pc.equal(given["company"], "b"))
    given["miles"] = pa.array(miles + 2.0 * (is_b & (version == 2)))
    noise = random.normal(0, 0.3 if version == 1 else 3.0, ROWS)
    return recorded(spread(START + hour * HOUR, ROWS), given, version).append_column(
        "output_score", pa.array(1 / (1 + np.exp(-(miles + noise))))
    )


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    folder = tmp_path_factory.mktemp("versions")
    found = Watched(folder, versions={each: trained(folder, each, eval_config=CONFIG) for each in (1, 2)})
    for hour in range(HOURS):
        for version in (1, 2):
            table.append(found.store.root, served(hour, version))
        rows = served(hour, 1)
        outcome = pc.cast(pc.greater(columns(ROWS, hour)["miles"], 0), pa.int64())
        add(found.store, pa.table({"request_id": rows["request_id"], "y": outcome}), now=START + HOURS * HOUR)
    found.pass_over(START + (HOURS + 1) * HOUR)
    return found


def alarms(watched: Watched) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = watched.store.read("alarms", [("state", "=", "open")]).to_pylist()
    return found


def test_alarms_say_which_version_and_which_slice(watched: Watched) -> None:
    found = [each for each in alarms(watched) if each["kind"] == "drift" and each["column"] == "miles"]
    assert {(each["version"], each["slice"]) for each in found} == {(2, ""), (2, "company:b")}
    [told] = [each["sentence"] for each in found if each["slice"]]
    assert "m version 2" in told and "where company:b" in told


def test_both_versions_are_measured_and_compared_on_the_same_requests(watched: Watched) -> None:
    rows = watched.store.read("quality", [("metric", "=", "auc"), ("slice", "=", "")]).to_pylist()
    last = {(each["version"], each["compared_with"]): each for each in rows if each["window_start"] == START + 2 * HOUR}
    assert last.keys() == {(1, None), (2, None), (2, "version 1"), (2, "version 1, same requests")}
    for name in ("version 1", "version 1, same requests"):
        assert last[2, name]["difference_high"] < 0
    paired, apart = last[2, "version 1, same requests"], last[2, "version 1"]
    assert paired["difference"] == pytest.approx(apart["difference"])


def test_a_column_is_listed_by_the_version_that_has_moved_most(watched: Watched) -> None:
    [miles, company] = ranked(Shown.of(watched.store, "m", Scope()))
    assert (miles.column, miles.signals, len(miles.effects)) == ("miles", 1.0, HOURS)
    assert min(miles.effects) > 0.4
    assert company.signals == 0


def test_the_report_shows_both_versions_and_the_slice(watched: Watched) -> None:
    page = Page(report(watched.store, "m"))
    assert page.wrong == []
    for words in ("Versions against each other", "Slices against all rows", "company:b", "version 1, same requests"):
        assert words in page.text, words
    for words in ("version 1", "miles version 2, where company:b"):
        assert words in page.text, words
