"""A report in Chromium: no errors, requests or serious violations; it sorts, filters and fits a narrow screen."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from taxiway.reports import report, run
from taxiway.storage.home import Home
from tests.browser import chromium
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
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                assert chromium.violations(page) == []
        assert len(page.pdf()) > 10_000
        assert tab.complaints == []
        assert tab.requests == [report_file.as_uri()]


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
