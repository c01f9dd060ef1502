"""The pages that compare runs, and those on models, data and lineage, in Chromium: tick, compare, and look."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from taxiway.storage.home import Home
from tests.browser import chromium
from tests.taxiway.reports.homes import make_run
from tests.taxiway.ui.compare.test_compare import A, B, C, _make
from tests.taxiway.ui.served import Client, served

pytestmark = [pytest.mark.slow, pytest.mark.skipif(chromium.program() is None, reason=chromium.MISSING)]
PATHS = ("/compare", f"/compare?run={A}&run={B}", f"/compare?run={A}&run={B}&run={C}", "/models", "/data", "/lineage")


def test_the_pages_in_a_browser(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for run_id, steps, auc in ((A, 10, 0.5), (B, 20, 0.75), (C, 30, 0.625)):
        _make(home, run_id, steps, auc)
    for number in range(150):
        metrics = {f"metric {each}": number * each / 1e4 for each in range(20)}
        make_run(home, f"search-20260101-100000-{number:08x}", {}, {"rate": 10.0**-number}, known={"metrics": metrics})
    with served(home) as client, chromium.browser() as browser:
        _tick_and_compare(client, browser)
        chromium.look(browser, client.origin, PATHS)


def _tick_and_compare(client: Client, browser: Browser) -> None:
    with chromium.tab(browser) as tab:
        tab.page.goto(f"{client.origin}/compare?pipeline=taxi&sort=auc")
        for row in tab.page.locator("table input[type=checkbox]").all()[:2]:
            row.check()
        tab.page.get_by_role("button", name="Compare the chosen runs").click()
        assert tab.page.locator("h1").inner_text() == "Two runs"
        assert tab.page.locator("#metrics td").first.inner_text() == "0.75"
        assert tab.complaints == []
