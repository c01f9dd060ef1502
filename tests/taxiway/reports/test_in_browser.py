"""A report in Chromium: no errors, requests or serious violations; it sorts, filters and fits a narrow screen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from components.execution import stages
from components.pusher.card import content, pages, settings
from components.reports import stage_report
from components.reports.readers.protos import metrics_for_slice_pb2
from taxiway.reports import report, run
from taxiway.storage.home import Home
from tests.browser import chromium
from tests.components.reports.model import evaluations
from tests.components.reports.parsed import HOSTILE
from tests.taxiway.reports.homes import MadeTask, make_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.program() is None, reason=chromium.MISSING),
]
_NAMES = (
    "[...document.querySelector('#parameters tbody').rows]"
    ".filter(row => !row.hidden).map(row => row.cells[0].textContent)"
)


@pytest.fixture
def report_file(tmp_path: Path) -> Path:
    home = Home(tmp_path / "home")
    parameters = {f"parameter {number}": number for number in (10, 9, 100)} | {name[:20]: name for name in HOSTILE[:9]}
    tasks = {"a": MadeTask({"out": {"x": 1}}), "b": MadeTask(after=["a"], state="FAILED", error=HOSTILE[0])}
    make_run(home, "taxi-20260101-100000-0000aaaa", tasks, {**parameters, "long": ["x" * 200]}, log=HOSTILE[1])
    file = tmp_path / "report.html"
    file.write_text(report.page(run.find("latest", home), home, pytest.fail))
    return file


def test_a_report_in_a_browser(report_file: Path) -> None:
    with chromium.browser() as browser, chromium.tab(browser) as tab:
        page = tab.page
        page.goto(report_file.as_uri())
        _sort_and_filter(page)
        for width in (1280, 400):
            for is_dark in (False, True):
                page.set_viewport_size({"width": width, "height": 800})
                page.emulate_media(color_scheme="dark" if is_dark else "light")
                assert chromium.faults(page) == []
        assert len(page.pdf()) > 10_000
        assert tab.complaints == []
        assert tab.requests == [report_file.as_uri()]


def _evaluator(folder: Path) -> str:
    """The report of an evaluation with slices and a confusion matrix for each of 101 thresholds."""
    rows: Any = [{"example_count": 500, "binary_accuracy": 0.9 - each / 10} for each in range(4)]
    sliced = [evaluations.sliced(found, **({"city": f"{each}"} if each else {})) for each, found in enumerate(rows)]
    found = evaluations.evaluation(folder / "evaluation", sliced, evaluations.config())
    plots = metrics_for_slice_pb2.PlotsForSlice(slice_key={})
    matrices = plots.plot_keys_and_values.add().value.confusion_matrix_at_thresholds.matrices
    for step in range(101):
        matrices.add(threshold=step / 100, true_positives=100 - step, false_negatives=step, true_negatives=300)
    evaluations.write(found.path / "plots-00000-of-00001.tfrecord", [plots])
    return stage_report.page(stages.load("evaluator"), {}, {"evaluation": found})


def _card(folder: Path) -> str:
    push = {"digest": "sha256:" + "1" * 64, "type": "PushedModel", "stage": "pusher", "inputs": {}, "judged": True}
    where = {"pushed_destination": "served/taxi/3", "pushed_version": "3", "created": "2026-01-02T03:04:05+00:00"}
    slices = [{"slice": f"city: {each}", "rows": 500, "metrics": {"auc": 0.5}} for each in range(20)]
    given = {"overview": HOSTILE[0], "owners": [HOSTILE[1]], "limitations": ["x" * 300]}
    return pages.page(content.card(settings.parse(given), [{**push, **where}], slices))


@pytest.mark.parametrize("make", [_evaluator, _card])
def test_what_stages_leave_is_at_home_in_a_browser(make: Callable[[Path], str], tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(make(tmp_path))
    with chromium.browser() as browser, chromium.tab(browser) as tab:
        tab.page.goto(file.as_uri())
        for width, is_dark in ((1280, False), (420, True)):
            tab.page.set_viewport_size({"width": width, "height": 800})
            tab.page.emulate_media(color_scheme="dark" if is_dark else "light")
            assert tab.page.evaluate("document.querySelector('main').clientWidth") > 0.9 * min(width, 1280)
            assert chromium.faults(tab.page) == []
        assert tab.complaints == []
        assert tab.requests == [file.as_uri()]


def test_the_slider_of_thresholds_moves_the_confusion_matrix(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(_evaluator(tmp_path))
    with chromium.browser() as browser, chromium.tab(browser) as tab:
        tab.page.goto((tmp_path / "report.html").as_uri())
        square = tab.page.locator("[data-thresholds] table").first
        assert square.locator("td").all_text_contents() == ["50 · 12.5 %", "50 · 12.5 %", "0 · 0.0 %", "300 · 75.0 %"]
        tab.page.locator("[data-thresholds] input").focus()
        tab.page.keyboard.press("ArrowLeft")
        assert square.locator("td").first.text_content() == "51 · 12.8 %"
        assert square.locator("caption").text_content() == "Confusion matrix at the threshold 0.49"
        assert "recall 0.51" in (tab.page.locator("[data-thresholds] output").text_content() or "")


def _sort_and_filter(page: Page) -> None:
    page.locator("#parameters thead button").first.click()
    names = page.evaluate(_NAMES)
    numbered = [name for name in names if name.startswith("parameter")]
    assert numbered == ["parameter 9", "parameter 10", "parameter 100"]
    page.locator("#parameters thead button").first.click()
    assert [name for name in page.evaluate(_NAMES) if name in numbered] == numbered[::-1]
    assert page.locator("#parameters th").first.get_attribute("aria-sort") == "descending"
    page.locator("#parameters input").fill("PARAMETER 1")
    assert page.evaluate(_NAMES) == ["parameter 100", "parameter 10"]
    assert page.locator("#parameters output").text_content() == "2 of 13"
