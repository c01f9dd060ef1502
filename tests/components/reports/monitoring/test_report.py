"""The report on a watched model, and what it is made of, from real tables."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.monitoring.profile.quantiles import histogram
from components.monitoring.store import Store
from components.reports.monitoring import alarms, column, columns, differences, distributions, window
from components.reports.monitoring.report import report
from components.reports.monitoring.scope import Scope
from components.reports.monitoring.watched import Watched
from tests.components.monitoring.profile.test_rows import _summary as summary
from tests.components.reports.monitoring.watched import ALARM, COLUMN, HOUR, NEW, OLD, START, Size, fill
from tests.components.reports.parsed import Page

SIZE = Size(96)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    found = Store(str(tmp_path_factory.mktemp("watched") / "taxi"))
    fill(found, SIZE)
    return found


def test_a_report_is_one_file_with_everything(store: Store) -> None:
    html = report(store, "taxi")
    page = Page(html)
    assert page.wrong == []
    assert "http" not in html.replace("http-equiv", "")
    assert 'http-equiv="Content-Security-Policy" content="default-src' in html
    for words in ("92 windows of 1 h", "version 8", "✗ open", "trip_miles: mean 2.9 -> 4.67", "KS distance", "auc"):
        assert words in page.text, words
    assert page.all("a")  # the list of contents, and no links to pages that a file does not have
    assert {each["href"][0] for each in page.all("a")} == {"#"}


def test_differences_of_slices_and_versions_are_those_of_the_latest_window_with_labels(store: Store) -> None:
    text = Page(str(differences.tables(Watched.of(store, "taxi", Scope())))).text
    versions, slices = text.split("Slices against all rows")
    assert "Versions against each other" in versions and f"version {OLD}" in versions
    assert "−0.04" in slices and "−0.05 to −0.03" in slices and "differs" in slices
    assert "−0.05 to +0.01" in versions and "differs" not in versions
    assert differences.tables(Watched.of(store, "taxi", Scope(slice="payment_type:Unknown"))) is None


def test_the_quality_of_the_last_window_is_a_table_and_says_which_estimates_not_to_trust(store: Store) -> None:
    text = Page(report(store, "taxi")).text
    assert "version 8, estimated, not to be trusted" in text
    assert "37% of the rows have a value of trip_miles beyond the range of the calibration" in text
    last = Page(str(differences.latest(Watched.of(store, "taxi", Scope())))).text
    assert last.count("not to be trusted") == 1 + 2  # why, and both metrics
    early = Page(str(differences.latest(Watched.of(store, "taxi", Scope(until=START + 20 * HOUR))))).text
    assert "labels" in early and "0.93" in early and "not to be trusted" not in early


def test_a_doubt_names_its_column_as_it_is_written(store: Store, tmp_path: Path) -> None:
    other, rows = Store(str(tmp_path)), store.read("quality", [("trusted", "=", False)])
    place = rows.column_names.index("beyond_column")
    other.append("quality", rows.set_column(place, "beyond_column", pa.array(["TripMiles"] * rows.num_rows)))
    other.append("windows", store.read("windows"))
    text = Page(str(differences.latest(Watched.of(other, "taxi", Scope())))).text
    assert "Version 8: the estimated quality is not to be trusted: 37% of the rows have a value of TripMiles" in text


def test_a_columns_page_has_the_distance_from_the_window_before(store: Store) -> None:
    text = str(column.measures(Watched.of(store, "taxi", Scope()), COLUMN))
    assert "from the window before" in text
    assert "from the window before" not in str(column.measures(Watched.of(store, "taxi", Scope()), "payment_type"))


def test_a_report_on_a_range_has_its_windows_and_alarms_only(store: Store) -> None:
    page = Page(report(store, "taxi", START, START + 10 * HOUR))
    assert "10 windows of 1 h" in page.text
    assert "No alarm was raised in this time." in page.text
    assert "version 8" not in page.text


def test_without_tables_and_without_windows_a_report_says_so(store: Store, tmp_path: Path) -> None:
    for found in (Store(str(tmp_path / "none")), store):
        page = Page(report(found, "taxi", START - timedelta(days=9), START - timedelta(days=8)))
        assert "has computed no window" in page.text


def test_columns_with_signals_come_first_and_by_what_they_move(store: Store) -> None:
    found = columns.ranked(Watched.of(store, "taxi", Scope()))
    assert [each.column for each in found[:2]] == [COLUMN, "output_probabilities"]
    assert [each.signals > 0 for each in found] == [True, True, *[False] * (len(found) - 2)]
    assert found[0].last_signal == START + 95 * HOUR


def test_a_version_and_a_slice_are_chosen(store: Store) -> None:
    assert [version for version, _ in Watched.of(store, "taxi", Scope()).versions] == [OLD, NEW]
    old = Watched.of(store, "taxi", Scope(version=OLD))
    assert [version for version, _ in old.versions] == [OLD]
    assert [each.column for each in old.alarms] == ["company"]
    sliced = Watched.of(store, "taxi", Scope(slice="payment_type:Cash"))
    assert [each.column for each in columns.ranked(sliced)] == [COLUMN]
    assert [each.kind for each in sliced.alarms] == ["quality"]


def test_a_window_is_beside_the_training_data_of_its_version(store: Store) -> None:
    watched = Watched.of(store, "taxi", Scope())
    at = START + 95 * HOUR
    page = Page(f"<main>{window.listing(watched, at)}</main>")
    assert page.wrong == []
    [found] = page.tables.values()
    assert found.row(COLUMN)["Test"] == "✗ values"
    assert found.row("fare")["Test"] == "✓ as usual"
    one = Page(f"<main>{window.one(watched, at, COLUMN)}</main>")
    assert all(each in one.text for each in ("training", "this window", "window before", "version 8"))


def test_pictures_of_alarms_are_drawn_and_broken_ones_are_not(store: Store) -> None:
    assert "training" in (distributions.of_alarm(alarms.picture(store, ALARM)) or "")
    values = {"kind": "values", "column": "a", "values": [{"value": "<b>", "before": 0.1, "now": 0.2, "is_new": True}]}
    drawn = distributions.of_alarm(json.dumps({**values, "rest": {"before": 0.9, "now": 0.8}}))
    assert drawn
    assert "&lt;b&gt; (new)" in drawn
    shares = {"kind": "shares", "column": "a", "label": "missing", "before": 0.02, "now": 0.5}
    assert "50 %" in (distributions.of_alarm(json.dumps(shares)) or "")
    for broken in ("", "null", "[]", "{}", '{"kind": "numbers"}', '{"kind": "new", "column": "a"}'):
        assert distributions.of_alarm(broken) is None


def test_a_skewed_column_in_another_unit_is_drawn_on_one_scale_with_what_lies_beyond() -> None:
    random = np.random.default_rng(2)
    training = random.lognormal(0, 1.5, 9000)
    drawn = {"training": _profile(training, training), "window": _profile(training, random.lognormal(7, 1.5, 1000))}
    text = str(distributions.beside(drawn, "miles"))
    assert "logarithmic axis; the outer bars have the values beyond" in text
    assert "1 % of training" in text and ">1,000</text>" in text and ">0.1</text>" in text
    first, second = (each["d"] for each in Page(text).all("path"))
    assert first.count("V") == second.count("V") == 41
    # Many bars have a height of their own: neither is one bar beside an empty axis.
    assert min(len({each.split("H")[0] for each in path.split("V")}) for path in (first, second)) > 15


def _profile(training: np.ndarray, values: np.ndarray) -> dict[str, object]:
    return {"kind": "number", "histogram": histogram(summary(training, values))}


def test_the_latest_window_with_rows_is_shown_when_there_is_no_traffic(tmp_path: Path) -> None:
    found = Store(str(tmp_path / "taxi"))
    fill(found, Size(6))
    last = START + 5 * HOUR
    rows = [
        {**row, "window_start": last + HOUR, "window_end": last + 2 * HOUR, "rows": 0} for row in _last(found, last)
    ]
    found.append("windows", type(found.read("windows")).from_pylist(rows, schema=found.read("windows").schema))
    windows = Watched.of(found, "taxi", Scope()).windows
    assert (windows.starts[-1], windows.last_with_rows) == (last + HOUR, last)


def _last(store: Store, start: datetime) -> list[dict[str, object]]:
    found: list[dict[str, object]] = store.read("windows", [("window_start", "=", start)]).to_pylist()
    return found


def test_figures_that_are_missing_or_infinite_break_nothing(tmp_path: Path) -> None:
    found = Store(str(tmp_path / "taxi"))
    fill(found, Size(3))
    for name, columns_ in (("drift", ("effect", "ks", "ks_limit")), ("quality", ("value", "low", "high"))):
        rows = found.read(name).to_pylist()
        for index, row in enumerate(rows):
            row.update(dict.fromkeys(columns_, (None, float("nan"), float("inf"))[index % 3]))
        table = type(found.read(name)).from_pylist(rows, schema=found.read(name).schema)
        found.replace(name, table, "window_start >= '2000-01-01T00:00:00Z'")
    assert Page(report(found, "taxi")).wrong == []


def test_requests_that_no_version_answered_are_shown(tmp_path: Path) -> None:
    found = Store(str(tmp_path / "taxi"))
    fill(found, Size(3))
    assert "no version" not in report(found, "taxi")
    rows = [{**row, "version": None} for row in found.read("profile").to_pylist() if row["column"] == ""]
    found.append("profile", type(found.read("profile")).from_pylist(rows, schema=found.read("profile").schema))
    assert "no version" in report(found, "taxi")
