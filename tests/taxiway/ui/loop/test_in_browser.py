"""The pages on loops in Chromium: keyboard, contrast, phones, light and dark."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from taxiway.storage.home import Home
from tests.browser import chromium
from tests.taxiway.ui.loop.looped import MODEL, fill_loop
from tests.taxiway.ui.served import Client, served

pytestmark = [pytest.mark.slow, pytest.mark.skipif(chromium.program() is None, reason=chromium.MISSING)]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    home = Home(tmp_path_factory.mktemp("looped"))
    fill_loop(home)
    with served(home) as found:
        yield found


def test_pages_fit_and_are_accessible(client: Client, browser: Browser) -> None:
    earlier = client.json(f"/loop/{MODEL}")["cycles"][1]["id"]
    chromium.look(
        browser, client.origin, ("/loop", f"/loop/{MODEL}", f"/loop/{MODEL}/cycles/{earlier}", "/loop/by%20hand")
    )


def test_a_version_is_approved_by_keyboard(client: Client, browser: Browser) -> None:
    with chromium.tab(browser) as tab:
        page = tab.page
        page.goto(f"{client.origin}/loop/{MODEL}")
        form = page.get_by_role("form", name="Your decision")
        form.get_by_label("Your name").focus()
        page.keyboard.type("dispatch")
        page.keyboard.press("Tab")
        page.keyboard.type("right more often")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text(MODEL)
        assert tab.complaints == []
