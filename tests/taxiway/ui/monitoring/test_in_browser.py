"""The pages on watched models in Chromium: click and zoom, keyboard, contrast, phones, light and dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from components.monitoring.store import Store
from components.reports.monitoring.report import report
from components.reports.monitoring.wording import times
from taxiway.storage.home import Home
from tests.browser import chromium
from tests.components.reports.monitoring.watched import ALARM, COLUMN, HOUR, START, Size, fill
from tests.taxiway.ui.served import Client, served

pytestmark = [pytest.mark.slow, pytest.mark.skipif(chromium.program() is None, reason=chromium.MISSING)]
PATHS = (
    "/monitoring",
    "/monitoring/taxi",
    f"/monitoring/taxi/columns/{COLUMN}",
    "/monitoring/taxi/columns/payment_type",
    f"/monitoring/taxi/windows/{times.iso(START + 95 * HOUR)}",
    f"/monitoring/taxi/alarms/{ALARM}",
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("watched")
    fill(Store(str(folder / "taxi")), Size(96))
    (folder / "report.html").write_text(report(Store(str(folder / "taxi")), "taxi"))
    with served(Home(folder / "home"), tables=str(folder)) as found:
        yield found


def test_pages_fit_and_are_accessible(client: Client, browser: Browser) -> None:
    chromium.look(browser, client.origin, PATHS)


def test_long_numbers_stay_in_their_tiles(browser: Browser, tmp_path: Path) -> None:
    """Versions are often times, such as 20261128090159."""
    store = Store(str(tmp_path / "taxi"))
    fill(store, Size(6))
    profile = store.read("profile")
    rows = [{**row, "version": 20261128090159, "cost": 1e14 / 3} for row in profile.to_pylist() if not row["column"]]
    store.append("profile", type(profile).from_pylist(rows, schema=profile.schema))
    with served(Home(tmp_path / "home"), tables=str(tmp_path)) as own:
        chromium.look(browser, own.origin, ["/monitoring/taxi"])


def test_a_report_needs_no_network(client: Client, browser: Browser) -> None:
    file = Path(client.site.tables) / "report.html"
    with chromium.tab(browser, width=400) as tab:
        tab.page.goto(file.as_uri())
        assert chromium.faults(tab.page) == []
        assert (tab.complaints, tab.requests) == ([], [file.as_uri()])


def test_a_click_on_a_time_line_shows_a_range_then_a_window(client: Client, browser: Browser) -> None:
    with chromium.tab(browser) as tab:
        page = tab.page
        page.goto(f"{client.origin}/monitoring/taxi")
        page.locator("figure", has_text="Requests by window").locator(".hit").nth(20).click()
        expect(page.locator("#subtitle")).to_contain_text("2 windows of 1 h")
        assert "since=2026-03-03T16%3A00%3A00Z" in page.url
        page.locator("figure", has_text="Requests by window").locator(".hit").first.click()
        expect(page.locator("h1")).to_have_text("2026-03-03 16:00 UTC")
        page.locator("#columns tbody a").first.click()
        expect(page.locator("#window")).to_contain_text("from 2026-03-03 16:00 UTC")


def test_an_alarm_is_found_and_acknowledged_by_keyboard(client: Client, browser: Browser) -> None:
    with chromium.tab(browser) as tab:
        page = tab.page
        page.goto(f"{client.origin}/monitoring")
        link = page.get_by_role("link", name="trip_miles: mean")
        link.focus()
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("trip_miles: values moved")
        form = page.get_by_role("form", name="Acknowledge")
        form.get_by_label("Your name").focus()
        page.keyboard.type("dispatch")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#subtitle")).to_contain_text("acknowledged")
        assert tab.complaints == []
