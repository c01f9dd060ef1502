"""A run in Chromium: started from its page, followed without a reload, canceled by a click."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import taxiway
from taxiway.runs.progress import Observer
from taxiway.storage.home import Home
from tests.browser import chromium
from tests.taxiway.chain_pipeline import chain
from tests.taxiway.ui.served import Client, served

pytestmark = [pytest.mark.slow, pytest.mark.skipif(chromium.program() is None, reason=chromium.MISSING)]
_SOON = 60_000


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    home = Home(tmp_path / "home")
    taxiway.run(chain, home=home.root, observer=Observer())
    with served(home) as found:
        yield found


def _start(page: Page, client: Client, **parameters: str) -> None:
    page.goto(f"{client.origin}/runs/latest/again")
    for name, value in parameters.items():
        page.get_by_label(name, exact=True).fill(value)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page).to_have_url(re.compile(r"/runs/chain-\d{8}-"), timeout=_SOON)


def test_a_run_is_followed_to_its_end(client: Client) -> None:
    with chromium.browser() as browser, chromium.tab(browser) as tab:
        page = tab.page
        _start(page, client, text="live", pause="0.5")
        expect(page.locator("svg.graph")).to_contain_text("running", timeout=_SOON)
        expect(page.locator("#live")).to_have_text("Changes appear by themselves.", timeout=_SOON)
        # Parts are replaced where they are: what was marked in the page stays.
        page.evaluate("document.body.marked = true")
        expect(page.locator("#tasks td .badge.good").nth(2)).to_be_visible(timeout=_SOON)
        assert page.evaluate("document.body.marked")
        expect(page.locator("#subtitle .badge")).to_contain_text("done", timeout=_SOON)
        assert "Cancel the run" not in page.locator("#actions").inner_text()
        assert tab.complaints == []


def test_a_run_is_canceled_by_a_click(client: Client) -> None:
    with chromium.browser() as browser, chromium.tab(browser) as tab:
        page = tab.page
        _start(page, client, text="canceled", pause="60")
        page.get_by_role("button", name="Cancel the run").click()
        expect(page.locator("#subtitle .badge")).to_contain_text("canceled", timeout=_SOON)
        assert chromium.faults(page) == []
        assert tab.complaints == []
